"""Means and 95 % intervals over seeds, differences paired by seed, and the word that an interval allows.

The seeds are the sample: an interval says where the mean over many more seeds would lie, on the same text.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from detente.student import student_t

Word = Literal["hurt", "helped", "cannot tell"]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval; no interval from one seed, or from values that are not finite."""

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def half_width(self) -> float | None:
        """The larger arm of the interval."""
        if self.low is None or self.high is None:
            return None
        return max(self.high - self.mean, self.mean - self.low)

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval is."""
        return self.low is not None and self.low > 0

    @property
    def is_below_zero(self) -> bool:
        """Whether the whole interval is."""
        return self.high is not None and self.high < 0


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student-t interval of independent values."""
    assert values, "an estimate needs a value"
    mean = math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan
    if len(values) < 2 or math.isnan(mean):
        return Estimate(mean, None, None, len(values))
    half_width = student_t(len(values)) * math.sqrt(covariance(values, values) / len(values))
    return Estimate(mean, mean - half_width, mean + half_width, len(values))


def paired_differences(values: Mapping[int, float], reference: Mapping[int, float]) -> dict[int, float]:
    """Value minus reference for each seed that has both."""
    return {seed: values[seed] - reference[seed] for seed in sorted(values.keys() & reference.keys())}


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate | None:
    """Ratio of two means of paired values with Fieller's interval (1954), or None where it is unbounded.

    It is unbounded when the denominator's own interval holds zero: then the ratio says nothing.
    """
    below = estimate(denominators)
    if not (below.is_above_zero or below.is_below_zero):
        return None
    above, count = estimate(numerators), len(numerators)
    if math.isnan(above.mean):
        return None
    scale = student_t(count) ** 2 / count
    # The interval holds every r for which mean(numerators - r * denominators) cannot be told from zero.
    square = below.mean**2 - scale * covariance(denominators, denominators)
    middle = above.mean * below.mean - scale * covariance(numerators, denominators)
    constant = above.mean**2 - scale * covariance(numerators, numerators)
    arm = math.sqrt(max(middle**2 - square * constant, 0.0))
    return Estimate(above.mean / below.mean, (middle - arm) / square, (middle + arm) / square, count)


def seeds_needed(difference: Estimate, most: int) -> int | None:
    """How many seeds would tell this difference from zero if mean and spread stayed as they are; None for more than `most`."""
    if difference.half_width is None or math.isnan(difference.mean):
        return None
    spread = difference.half_width * math.sqrt(difference.seeds) / student_t(difference.seeds)
    counts = range(difference.seeds, most + 1)
    return next((n for n in counts if student_t(n) * spread / math.sqrt(n) < abs(difference.mean)), None)


def word_for(difference: Estimate) -> Word:
    """What a difference in a lower-is-better score allows to say; only an interval clear of zero says anything."""
    if difference.is_above_zero:
        return "hurt"
    return "helped" if difference.is_below_zero else "cannot tell"


def covariance(first: Sequence[float], second: Sequence[float]) -> float:
    """Unbiased sample covariance of paired values."""
    mean_first, mean_second = math.fsum(first) / len(first), math.fsum(second) / len(second)
    products = ((x - mean_first) * (y - mean_second) for x, y in zip(first, second, strict=True))
    return math.fsum(products) / (len(first) - 1)
