"""Intervals of scores by drawing the test examples again, with replacement (Efron 1979), read off as percentiles.

Every metric of the tasks is one sum over examples divided by another, so what an example adds to both is all that has to be kept:
a thousand resamples are two products of matrices. The resamples depend on the seed and the number of examples alone, hence all
metrics, and all systems, see the same ones. Examples count as independent: several questions on one passage, or hypotheses on
one premise, make the true interval somewhat wider.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detente.seeds import generator

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

_BLOCK_NUMBERS = 1 << 20


@dataclass(frozen=True)
class Tally:
    """What each example adds to the two sums of a metric.

    Attributes:
        numerators: for entity F1, twice the right entities of a sentence.
        denominators: for entity F1, the gold entities and the predicted ones.
    """

    numerators: Numbers
    denominators: Numbers

    def __post_init__(self) -> None:
        assert self.numerators.shape == self.denominators.shape == (len(self),), "one pair of numbers for each example"
        assert len(self), "a score needs an example"

    def __len__(self) -> int:
        return len(self.numerators)

    @property
    def value(self) -> float:
        """In percent; 0 where there is nothing to be right or wrong about."""
        return float(_percent(self.numerators.sum(), self.denominators.sum()))


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        resamples: how often the examples are drawn again.
        confidence: share of the resamples' values inside the interval.
    """

    resamples: int = 1000
    seed: int = 0
    confidence: float = 0.95


RESAMPLING = Resampling()


@dataclass(frozen=True)
class Interval:
    """A value, or a difference of two, with its interval; in percent, or percentage points."""

    value: float
    low: float | None
    high: float | None


def intervals(tallies: Sequence[Tally], resampling: Resampling = RESAMPLING) -> list[Interval]:
    """Of several metrics of the same examples."""
    values = _resampled(tallies, resampling)
    return [_interval(tally.value, values[:, column], resampling) for column, tally in enumerate(tallies)]


def paired_interval(first: Tally, second: Tally, resampling: Resampling = RESAMPLING) -> Interval:
    """Of first minus second, two systems on the same examples in the same order."""
    values = _resampled([first, second], resampling)
    return _interval(first.value - second.value, values[:, 0] - values[:, 1], resampling)


def interval_over_seeds(tallies: Sequence[Tally], resampling: Resampling = RESAMPLING) -> Interval:
    """Of the mean over seeds, one tally each, all on the same examples.

    Seeds are drawn again, then examples, the same for all seeds, since it is one test set that might have been another
    (Multi-Bootstrap, Sellam et al. 2022). One seed gives no interval. With few seeds it is too narrow: n drawn seeds vary
    by (n - 1) / n of the true variance.
    """
    return _over_seeds([tally.value for tally in tallies], _resampled(tallies, resampling), resampling)


def paired_interval_over_seeds(
    firsts: Sequence[Tally], seconds: Sequence[Tally], resampling: Resampling = RESAMPLING
) -> Interval:
    """Of the mean of first minus second, paired by seed, as `interval_over_seeds`."""
    differences = [first.value - second.value for first, second in zip(firsts, seconds, strict=True)]
    values = _resampled([*firsts, *seconds], resampling)
    return _over_seeds(differences, values[:, : len(firsts)] - values[:, len(firsts) :], resampling)


def draw_examples(examples: int, resampling: Resampling) -> Iterator[Indices]:
    """The resamples, in blocks: one row each, of as many indices as there are examples."""
    random = generator("bootstrap examples", resampling.seed)
    rows = max(1, _BLOCK_NUMBERS // examples)
    for done in range(0, resampling.resamples, rows):
        yield random.integers(examples, size=(min(rows, resampling.resamples - done), examples))


def _resampled(tallies: Sequence[Tally], resampling: Resampling) -> Numbers:
    """The value of each tally (column) in each resample (row)."""
    examples = len(tallies[0])
    assert all(len(tally) == examples for tally in tallies), "tallies must be of the same examples"
    addends = np.stack([part for tally in tallies for part in (tally.numerators, tally.denominators)], axis=1)
    sums = np.concatenate([_times_drawn(indices) @ addends for indices in draw_examples(examples, resampling)])
    return _percent(sums[:, 0::2], sums[:, 1::2])


def _times_drawn(indices: Indices) -> Numbers:
    """How often each example (column) is in each resample (row)."""
    rows, examples = indices.shape
    places = indices + examples * np.arange(rows)[:, None]
    return np.bincount(places.ravel(), minlength=rows * examples).reshape(rows, examples).astype(np.float64)


def _percent(numerators: Numbers, denominators: Numbers) -> Numbers:
    return np.divide(100 * numerators, denominators, out=np.zeros_like(denominators), where=denominators > 0)


def _over_seeds(values: Sequence[float], resampled: Numbers, resampling: Resampling) -> Interval:
    mean, seeds = float(np.mean(values)), len(values)
    if seeds < 2:
        return Interval(mean, None, None)
    drawn = generator("bootstrap seeds", resampling.seed).integers(seeds, size=resampled.shape)
    return _interval(mean, np.take_along_axis(resampled, drawn, axis=1).mean(axis=1), resampling)


def _interval(value: float, resampled: Numbers, resampling: Resampling) -> Interval:
    outside = (1 - resampling.confidence) / 2
    low, high = np.quantile(resampled, [outside, 1 - outside])
    return Interval(value, float(low), float(high))
