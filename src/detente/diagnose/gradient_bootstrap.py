"""Intervals of corrected cosines and controls, by drawing the parts of each language's batch again (Efron 1979).

Products of means are taken to first order: a part drawn w times instead of once moves <m_i, m_j> by (w - 1) / R <a_r, m_j>. The
terms of second order would count the noise of single products <a_r, b_t> again: drawing rows and columns of a matrix triples the
variance that comes from its entries (Owen 2007, "The pigeonhole bootstrap"); terms of first order double it. So where noise rules,
intervals are too wide rather than too narrow.

Resamples of R parts vary less than batches do. For that, percentiles are taken further out than 2.5 % (Hesterberg 2015, "What
teachers should know about the bootstrap", expanded percentiles).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, stdtrit

from detente.diagnosis_results.conflict_statistics import Cosines, Gram, PerLanguage, controls_of
from detente.diagnosis_results.gradients import Interval
from detente.seeds import generator

TAIL = 0.025
LEAST_PARTS = 4
"""Fewer give no interval."""

Intervals = tuple[Interval | None, ...]


@dataclass(frozen=True)
class Sample:
    """Over some parameters. Places of parts that a language lacks hold zeros.

    Attributes:
        cosines: of the batches as they are.
        influences: <a_r, m_j>; of a language on itself, the mean of <a_r, a_s> over its other parts.
        part_squares: |a_r|^2.
        variances: of the Gram matrix, where that comes from projections.
    """

    cosines: Cosines
    influences: Float[np.ndarray, "languages parts languages"]
    part_squares: Float[np.ndarray, "languages parts"]
    variances: Gram


class Bootstrap:
    """The same resamples of the parts for everything.

    Args:
        parts: R of each language.
        resamples: how often they are drawn again.
    """

    def __init__(self, parts: PerLanguage, *, resamples: int, seed: int) -> None:
        self._parts, self._seed = parts, seed
        random = generator("gradient parts", seed)
        self._changes = np.zeros((resamples, len(parts), int(max(parts))))
        """w - 1 of each part."""
        for place, count in enumerate(parts.astype(int)):
            self._changes[:, place, :count] = random.multinomial(count, [1 / count] * count, size=resamples) - 1

    def intervals(self, sample: Sample) -> tuple[Intervals, Intervals]:
        """Of each language's control, and of each pair's corrected cosine where both signals are clear of zero."""
        signals = self._signals(sample)
        drawn = controls_of(signals, self._part_squares(sample), self._parts)
        controls = tuple(self._interval(drawn[:, i], i, i) for i in range(len(self._parts)))
        is_clear = [control is not None and control.low > 0 for control in controls]
        pairs: list[Interval | None] = []
        for i in range(len(self._parts)):
            others = range(i + 1, len(self._parts))
            if not is_clear[i]:
                pairs += [None] * len(others)
                continue
            cosines = _cosines(self._row(sample, i), signals[:, [i]] * signals)
            pairs += [self._interval(cosines[:, j], i, j) if is_clear[j] else None for j in others]
        return controls, tuple(pairs)

    def _signals(self, sample: Sample) -> Float[np.ndarray, "resamples languages"]:
        own = np.einsum("lrl->lr", sample.influences)
        return sample.cosines.signals + 2 * np.einsum("blr,lr->bl", self._changes, own) / self._parts

    def _part_squares(self, sample: Sample) -> Float[np.ndarray, "resamples languages"]:
        moved = np.einsum("blr,lr->bl", self._changes, sample.part_squares)
        return (sample.part_squares.sum(axis=1) + moved) / self._parts

    def _row(self, sample: Sample, i: int) -> Float[np.ndarray, "resamples languages"]:
        """<m_i, m_j> for every j."""
        mine = self._changes[:, i] @ sample.influences[i] / self._parts[i]
        theirs = np.einsum("bjr,jr->bj", self._changes, sample.influences[:, :, i]) / self._parts
        row = sample.cosines.gram[i] + mine + theirs
        if sample.variances[i].any():
            noise = generator("gradient projection", self._seed, i).standard_normal(row.shape)
            row += noise * np.sqrt(sample.variances[i])
        return row

    def _interval(self, drawn: Float[np.ndarray, " resamples"], i: int, j: int) -> Interval | None:
        count = min(self._parts[i], self._parts[j])
        if count < LEAST_PARTS or np.isnan(drawn).any():
            return None
        tail = float(ndtr(stdtrit(count - 1, TAIL) * np.sqrt(count / (count - 1))))
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Interval(float(low), float(high))


def _cosines(products: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """Within -1 and 1; at the end where a resample leaves no signal to divide by."""
    lengths = np.sqrt(np.maximum(squared, 0))
    found = np.divide(products, lengths, out=np.sign(products), where=lengths > 0)
    return np.clip(found, -1, 1)
