"""Which cheap diagnosis foretells interference? The diagnoses of a study of all pairs as matrices, held against what pairs really lose.

joint run     one run with all languages foretells every pair: gradient cosine at its end and along training, affinity, mask
              overlap, CKA
pair runs     gradient cosine of pairs: as dear as the truth, but for the mono runs
no run        same script, and the built-in distance of constructed languages
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from detente.corpus.manifest import read_manifest
from detente.corpus.relatedness import built_distances, same_script
from detente.diagnosis_results.affinity import LookaheadAffinity
from detente.diagnosis_results.agreement import Agreement, Matrix, rank_agreement
from detente.diagnosis_results.base import Diagnosis
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.gradients import GradientConflict
from detente.diagnosis_results.masks import ParameterMasks
from detente.diagnosis_results.similarity import RepresentationSimilarity
from detente.errors import RecordError
from detente.examine import FOLDER
from detente.report.interference_matrix import InterferenceMatrix
from detente.report.inventory import Run, Study
from detente.settings.load_tasks import load_resolved
from detente.settings.schema import ConstructedSettings

FEWEST_LANGUAGES = 3
Pick = Callable[[str, str], float | None]
"""What a diagnosis says of the first language, beside the second."""
Found = TypeVar("Found", bound=Diagnosis)


def joint_runs(study: Study) -> list[Run]:
    """Untreated, with all languages; one a seed."""
    return _untreated(study, len(study.languages))


def pair_runs(study: Study) -> list[Run]:
    """Untreated, with two languages."""
    return _untreated(study, 2)


def foretell(folder: Path, study: Study, truth: InterferenceMatrix) -> Agreement:
    """Rank correlation of every diagnosis that there is with interference; written into STUDY/diagnosis.

    Raises:
        RecordError: the study has fewer than three languages, or no pair and mono runs to compare, or nothing to foretell from.
    """
    if len(study.languages) < FEWEST_LANGUAGES or not any(value is not None for row in truth.values for value in row):
        raise RecordError(
            f"{folder} has nothing to foretell: that takes three languages or more, each alone and in pairs. "
            "Write `mixtures: [mono, pairs, joint]`."
        )
    found = rank_agreement(
        truth.languages, truth.values, predictors(folder, study), name=f"interference, {truth.harm.unit}"
    )
    found.write(folder / FOLDER)
    return found


def predictors(folder: Path, study: Study) -> dict[str, Matrix]:
    """Name -> [i][j], mean over seeds, of all that are known."""
    labels, joint = study.languages, joint_runs(study)
    found = {
        "gradient cosine": _mean(labels, map(_cosine, _read(GradientConflict, joint))),
        "gradient cosine along training": _mean(labels, map(_along, _read(GradientConflictSeries, joint))),
        "gradient cosine of pairs": _mean(labels, map(_cosine, _read(GradientConflict, pair_runs(study)))),
        "affinity": _mean(labels, map(_affinity, _read(LookaheadAffinity, joint))),
        "mask overlap": _mean(labels, map(_overlap, _read(ParameterMasks, joint))),
        "CKA": _mean(labels, map(_similarity, _read(RepresentationSimilarity, joint))),
        "same script": same_script({label: _script(folder, label) for label in labels}),
        "distance": built_distances(_constructed(folder, labels)),
    }
    return {name: matrix for name, matrix in found.items() if any(value is not None for row in matrix for value in row)}


def _untreated(study: Study, size: int) -> list[Run]:
    return [run for run in study.runs if run.system.is_untreated and len(run.system.mixture) == size]


def _read(kind: type[Found], runs: Sequence[Run]) -> list[Found]:
    return [kind.read(run.folder / FOLDER) for run in runs if (run.folder / FOLDER / kind.FILE).exists()]


def _mean(labels: Sequence[str], picks: Iterable[Pick]) -> Matrix:
    """Over the diagnoses that know both languages; None where none does."""
    each = list(picks)

    def cell(first: str, second: str) -> float | None:
        known = [value for pick in each if first != second and (value := pick(first, second)) is not None]
        return fmean(known) if known else None

    return tuple(tuple(cell(first, second) for second in labels) for first in labels)


def _cosine(found: GradientConflict) -> Pick:
    """Without noise."""
    known = frozenset(found.languages)
    return lambda first, second: found.pair(first, second).corrected if known >= {first, second} else None


def _along(found: GradientConflictSeries) -> Pick:
    """Mean over the measurements: at a single step chance of the weights decides much of it."""
    each = [_cosine(one) for one in found.measurements]

    def pick(first: str, second: str) -> float | None:
        known = [value for one in each if (value := one(first, second)) is not None]
        return fmean(known) if known else None

    return pick


def _affinity(found: LookaheadAffinity) -> Pick:
    """What a step on the second does to the first."""
    return _of_matrix(found.languages, found.received)


def _overlap(found: ParameterMasks) -> Pick:
    """Correlation of logits, mean over layers and kinds."""

    def pick(first: str, second: str) -> float | None:
        parts = [part.centred for part in found.similarity(first, second) if part.centred is not None]
        return fmean(parts) if parts else None

    return pick


def _similarity(found: RepresentationSimilarity) -> Pick:
    """Debiased CKA of the last layer."""
    return _of_matrix(found.languages, found.matrix(-1))


def _of_matrix(labels: Sequence[str], values: Matrix) -> Pick:
    return lambda first, second: values[labels.index(first)][labels.index(second)]


def _script(folder: Path, label: str) -> str:
    return read_manifest(folder / "data" / "corpus" / label).script


def _constructed(folder: Path, labels: Sequence[str]) -> dict[str, ConstructedSettings | None]:
    languages = load_resolved(folder / "study.yaml").languages
    return {label: languages[label].constructed for label in labels}
