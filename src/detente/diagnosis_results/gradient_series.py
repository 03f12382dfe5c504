"""Gradient conflict over training (method 7; the source's Figure 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from detente.diagnosis_results.base import Diagnosis
from detente.diagnosis_results.gradients import THETA, Control, GradientConflict, PairConflict, Region


@dataclass(frozen=True)
class GradientConflictSeries(Diagnosis):
    """Measurements of the same languages, each with its step, in the order of training."""

    FILE: ClassVar[str] = "gradient-series.json"

    measurements: tuple[GradientConflict, ...]

    def __post_init__(self) -> None:
        assert self.measurements, "a series needs a measurement"
        assert len({each.languages for each in self.measurements}) == 1, "a series is of the same languages"
        assert len(self.steps) == len(self.measurements), "measurements of a series say their step"
        assert self.steps == sorted(set(self.steps)), "a series is in the order of training"

    @property
    def languages(self) -> tuple[str, ...]:
        return self.measurements[0].languages

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All pairs of languages."""
        return self.measurements[0].pairs

    @property
    def steps(self) -> list[int]:
        """Of training."""
        return [each.step for each in self.measurements if each.step is not None]

    def of_pair(self, first: str, second: str, region: Region = THETA) -> list[PairConflict]:
        """At each step."""
        return [each.pair(first, second, region) for each in self.measurements]

    def of_language(self, language: str, region: Region = THETA) -> list[Control]:
        """At each step."""
        return [each.control(language, region) for each in self.measurements]

    def share_below_zero(self, first: str, second: str, region: Region = THETA) -> float | None:
        """Of the steps, those whose cosine, raw or corrected, is below zero; None where there never was a gradient.

        One language twice: that of its control, which is below zero by noise alone.
        """
        if first == second:
            return _share_below_zero([each.cosine for each in self.of_language(first, region)])
        return _share_below_zero([each.raw for each in self.of_pair(first, second, region)])


def _share_below_zero(cosines: Sequence[float | None]) -> float | None:
    known = [cosine for cosine in cosines if cosine is not None]
    return sum(cosine < 0 for cosine in known) / len(known) if known else None
