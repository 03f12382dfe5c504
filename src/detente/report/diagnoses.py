"""The diagnoses that lie beside a study's runs, read for the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from detente.diagnosis_results.affinity import LookaheadAffinity
from detente.diagnosis_results.agreement import Agreement
from detente.diagnosis_results.base import FOLDER, Diagnosis
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.gradients import GradientConflict
from detente.diagnosis_results.masks import ParameterMasks
from detente.diagnosis_results.similarity import RepresentationSimilarity
from detente.report.inventory import Study, System

Found = TypeVar("Found", bound=Diagnosis)


@dataclass(frozen=True)
class Diagnoses:
    """Of the untreated runs of one mixture: seed -> what was found."""

    mixture: tuple[str, ...]
    gradients: Mapping[int, GradientConflict]
    series: Mapping[int, GradientConflictSeries]
    affinity: Mapping[int, LookaheadAffinity]
    masks: Mapping[int, ParameterMasks]
    similarity: Mapping[int, RepresentationSimilarity]

    def __bool__(self) -> bool:
        return any((self.gradients, self.series, self.affinity, self.masks, self.similarity))


def read_diagnoses(study: Study, mixture: tuple[str, ...]) -> Diagnoses:
    """Of the mixture without treatment, whose parameters are all shared.

    Raises:
        RecordError: a file is damaged.
    """
    system = System(mixture, "none")
    series = _read(study, system, GradientConflictSeries)
    # Where training was watched and nobody has asked since, its last measurement is the newest there is.
    watched = {seed: found.measurements[-1] for seed, found in series.items() if len(mixture) > 1}
    return Diagnoses(
        mixture,
        gradients=dict(sorted((watched | _read(study, system, GradientConflict)).items())),
        series=series,
        affinity=_read(study, system, LookaheadAffinity),
        masks=_read(study, system, ParameterMasks),
        similarity=_read(study, system, RepresentationSimilarity),
    )


def read_agreement(study_folder: Path) -> Agreement | None:
    """Which diagnosis foretells interference, where `detente diagnose STUDY` has asked."""
    folder = study_folder / FOLDER
    return Agreement.read(folder) if (folder / Agreement.FILE).exists() else None


def _read(study: Study, system: System, kind: type[Found]) -> dict[int, Found]:
    folders = {seed: run.folder / FOLDER for seed, run in study.by_system.get(system, {}).items()}
    return {seed: kind.read(folder) for seed, folder in folders.items() if (folder / kind.FILE).exists()}
