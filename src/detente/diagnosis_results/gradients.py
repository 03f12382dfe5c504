"""Gradient conflict between languages: what one measurement found (method 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from detente.diagnosis_results.base import Diagnosis
from detente.diagnosis_results.conflict_statistics import Cosines, Gram, cosines_of, product_variances
from detente.errors import ConfigError, did_you_mean

Verdict = Literal["conflict", "agreement", "cannot tell"]


@dataclass(frozen=True)
class Region:
    """The parameters that a cosine is taken over: all of theta, or those of a layer, of a kind, or of both."""

    layer: int | None = None
    kind: str | None = None

    @property
    def label(self) -> str:
        """theta, layer 3, attention, layer 3 attention."""
        words = [*([] if self.layer is None else [f"layer {self.layer}"]), *([self.kind] if self.kind else [])]
        return " ".join(words) or "theta"


THETA = Region()


class Interval(NamedTuple):
    """95 %."""

    low: float
    high: float


@dataclass(frozen=True)
class GradientGroup:
    """The parameters of one layer and kind, and what is kept of their gradients.

    Attributes:
        layer: counted from 0; None outside the layers.
        gram: <m_i, m_j> of the languages' mean gradients.
        part_squares: of each language, the mean of |a_r|^2 over its parts.
        width: numbers that the projection leaves of a gradient; with as many as there are parameters it loses nothing.
        projection_error: relative, of the projected |a_r|^2: the median over all parts of all languages, measured.
        largest_projection_error: the largest of them.
    """

    layer: int | None
    kind: str
    num_parameters: int
    gram: tuple[tuple[float, ...], ...]
    part_squares: tuple[float, ...]
    width: int
    projection_error: float
    largest_projection_error: float


@dataclass(frozen=True)
class RegionIntervals:
    """Of one region, by the bootstrap over parts.

    Attributes:
        controls: of each language's control; None for a language with too few parts.
        pairs: of the corrected cosines, in the order of `GradientConflict.pairs`; None where a signal is too weak.
    """

    region: Region
    controls: tuple[Interval | None, ...]
    pairs: tuple[Interval | None, ...]


@dataclass(frozen=True)
class PairConflict:
    """Two languages in one region.

    Attributes:
        raw: cosine of the gradients as they are; None where one is zero.
        if_same: the raw cosine to expect if they differed in noise only; None where a signal is not above zero.
        corrected: cosine of the gradients without sampling noise; chance may take it past 1. None as `if_same`.
        interval: of `corrected`; None where a signal is too weak, or the parts are too few.
    """

    raw: float | None
    if_same: float | None
    corrected: float | None
    interval: Interval | None

    @property
    def verdict(self) -> Verdict:
        """Only an interval clear of zero says anything."""
        if self.interval is None or self.interval.low <= 0 <= self.interval.high:
            return "cannot tell"
        return "conflict" if self.interval.high < 0 else "agreement"


@dataclass(frozen=True)
class Control:
    """One language against itself in one region.

    Attributes:
        cosine: to expect of two independent batches of this size; None without a gradient.
        interval: where it reaches zero, the signal is too weak to say anything about this language.
    """

    cosine: float | None
    interval: Interval | None


@dataclass(frozen=True)
class GradientConflict(Diagnosis):
    """How the gradients of languages agree at one point of training.

    Attributes:
        step: of training; None where nobody said.
        parts: R of each language.
        microbatches: of each language, how many its gradient is the mean of. Fewer than others have is a smaller batch, with
            a lower control.
        left_out: of each language, microbatches that were not needed to fill the parts evenly.
        is_exact: whether the Gram matrices are of the gradients; else of their projections, but for the diagonals.
        cosine_error: largest difference between exact and projected raw cosines over theta; None where only one is known.
    """

    FILE: ClassVar[str] = "gradients.json"

    languages: tuple[str, ...]
    step: int | None
    parts: tuple[int, ...]
    microbatches: tuple[int, ...]
    left_out: tuple[int, ...]
    is_exact: bool
    groups: tuple[GradientGroup, ...]
    cosine_error: float | None
    intervals: tuple[RegionIntervals, ...]
    resamples: int
    seed: int

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All pairs of languages."""
        return tuple(combinations(self.languages, 2))

    @property
    def regions(self) -> list[Region]:
        """Those that have intervals: theta, every layer, every kind."""
        return [each.region for each in self.intervals]

    @property
    def short_languages(self) -> list[str]:
        """Languages with fewer microbatches than the others."""
        most = max(self.microbatches)
        return [language for language, count in zip(self.languages, self.microbatches, strict=True) if count < most]

    def pair(self, first: str, second: str, region: Region = THETA) -> PairConflict:
        """Two languages; over both a layer and a kind, without an interval.

        Raises:
            ConfigError: they are not two of the languages.
        """
        i, j = sorted((self._index(first), self._index(second)))
        if i == j:
            raise ConfigError(f"a pair is of two languages, found `{first}` twice. `control` has it against itself.")
        found = self.cosines(region)
        interval = self._pair_intervals.get((region, self.languages[i], self.languages[j]))
        corrected = _number(found.corrected[i, j])
        if_same = None if corrected is None else float(np.sqrt(found.controls[i] * found.controls[j]))
        return PairConflict(_number(found.raw[i, j]), if_same, corrected, interval)

    def control(self, language: str, region: Region = THETA) -> Control:
        """One language.

        Raises:
            ConfigError: it is not one of the languages.
        """
        cosine = self.cosines(region).controls[self._index(language)]
        return Control(_number(cosine), self._control_intervals.get((region, language)))

    def cosines(self, region: Region = THETA) -> Cosines:
        """All languages at once."""
        if region not in self._cosines:
            where = membership(self.groups, region)
            squares = np.array([group.part_squares for group in self.groups])
            self._cosines[region] = cosines_of(
                self._grams[where].sum(axis=0), squares[where].sum(axis=0), np.array(self.parts, dtype=float)
            )
        return self._cosines[region]

    def projection_errors(self, region: Region = THETA) -> Gram:
        """Standard error that the projection adds to raw cosines, at most; zero where they are exact."""
        squares = np.diagonal(self.cosines(region).gram)
        lengths = np.sqrt(np.outer(squares, squares))
        return np.sqrt(self.projection_variances(region)) / np.where(lengths > 0, lengths, 1)

    def projection_variances(self, region: Region = THETA) -> Gram:
        """Of the Gram matrix, at most; zero where it is exact, as the diagonal always is."""
        if self.is_exact:
            return np.zeros((len(self.languages),) * 2)
        where = membership(self.groups, region)
        widths = np.array([group.width if group.width < group.num_parameters else np.inf for group in self.groups])
        found = product_variances(self._grams[where], widths[where])
        return found - np.diag(np.diagonal(found))

    def share_below_zero(self, first: str, second: str) -> float:
        """Of the groups, one for each layer and kind, those with a cosine below zero; noise has its part in it.

        One language twice: those with a control below zero, which only noise can do.
        """
        i, j = self._index(first), self._index(second)
        squares = np.array([group.part_squares[i] for group in self.groups])
        products = self._grams[:, i, j]
        return float(np.mean((self.parts[i] * products < squares) if i == j else (products < 0)))

    def as_rows(self) -> list[list[str]]:
        """Header, then a row for each region and pair, for a terminal."""
        header = ["parameters", "languages", "raw cosine", "if the same", "corrected", "low", "high", "verdict"]
        return [header, *(self._row(*pair, region) for region in self.regions for pair in self.pairs)]

    def control_rows(self) -> list[list[str]]:
        """Header, then a row for each region and language."""
        places = [(region, language) for region in self.regions for language in self.languages]
        return [["parameters", "language", "control", "low", "high"], *(self._control_row(*each) for each in places)]

    def _row(self, first: str, second: str, region: Region) -> list[str]:
        pair = self.pair(first, second, region)
        values = (pair.raw, pair.if_same, pair.corrected, *(pair.interval or (None, None)))
        return [region.label, f"{first}-{second}", *map(_text, values), pair.verdict]

    def _control_row(self, region: Region, language: str) -> list[str]:
        control = self.control(language, region)
        return [region.label, language, *map(_text, (control.cosine, *(control.interval or (None, None))))]

    def _index(self, language: str) -> int:
        if language not in self.languages:
            hint = did_you_mean(language, self.languages)
            raise ConfigError(f"gradients were measured of {', '.join(self.languages)}, not of `{language}`.{hint}")
        return self.languages.index(language)

    @cached_property
    def _pair_intervals(self) -> dict[tuple[Region, str, str], Interval | None]:
        return {
            (each.region, *pair): interval
            for each in self.intervals
            for pair, interval in zip(self.pairs, each.pairs, strict=True)
        }

    @cached_property
    def _control_intervals(self) -> dict[tuple[Region, str], Interval | None]:
        return {
            (each.region, language): interval
            for each in self.intervals
            for language, interval in zip(self.languages, each.controls, strict=True)
        }

    @cached_property
    def _grams(self) -> Float[np.ndarray, "groups languages languages"]:
        return np.array([group.gram for group in self.groups])

    @cached_property
    def _cosines(self) -> dict[Region, Cosines]:
        """Filled as they are asked for."""
        return {}


def regions_of(groups: Sequence[GradientGroup]) -> list[Region]:
    """Theta, every layer, every kind."""
    layers = sorted({group.layer for group in groups if group.layer is not None})
    kinds = sorted({group.kind for group in groups})
    return [THETA, *(Region(layer=layer) for layer in layers), *(Region(kind=kind) for kind in kinds)]


def membership(groups: Sequence[GradientGroup], region: Region) -> Bool[np.ndarray, " groups"]:
    """Which groups a region is made of."""
    return np.array([region.layer in (None, each.layer) and region.kind in (None, each.kind) for each in groups])


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"
