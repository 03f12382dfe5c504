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
from detente.examine import FOLDER, constructed_languages
from detente.report.interference_matrix import InterferenceMatrix, has_matrix, interference_matrix
from detente.report.inventory import Run, Study

Pick = Callable[[str, str], float | None]
"""What a diagnosis says of the first language, beside the second."""
Found = TypeVar("Found", bound=Diagnosis)


def joint_runs(study: Study) -> list[Run]:
    """Untreated, with all languages; one a seed."""
    return _untreated(study, len(study.languages))


def pair_runs(study: Study) -> list[Run]:
    """Untreated, with two languages."""
    return _untreated(study, 2)


def truth_of(folder: Path, study: Study) -> InterferenceMatrix:
    """What pairs lose.

    Raises:
        RecordError: the study has fewer than three languages, or no pair and mono runs to compare.
    """
    truth = interference_matrix(study)
    if not (has_matrix(study) and _is_known(truth.values)):
        raise RecordError(
            f"{folder} has nothing to foretell: that takes three languages or more, each alone and in pairs. "
            "Write `mixtures: [mono, pairs, joint]`."
        )
    return truth


def foretell(folder: Path, study: Study, truth: InterferenceMatrix) -> Agreement:
    """Rank correlation of every diagnosis that there is with interference; written into STUDY/diagnosis."""
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
        "distance": built_distances(constructed_languages(folder, labels)),
    }
    return {name: matrix for name, matrix in found.items() if _is_known(matrix)}


def _is_known(matrix: Matrix) -> bool:
    """Whether it has a number."""
    return any(value is not None for row in matrix for value in row)


def _untreated(study: Study, size: int) -> list[Run]:
    return [run for run in study.runs if run.system.is_untreated and len(run.system.mixture) == size]


def _read(kind: type[Found], runs: Sequence[Run]) -> list[Found]:
    return [kind.read(run.folder / FOLDER) for run in runs if (run.folder / FOLDER / kind.FILE).exists()]


def _mean(labels: Sequence[str], picks: Iterable[Pick]) -> Matrix:
    """Over the diagnoses that know both languages; None where none does, and on the diagonal."""
    each = list(picks)
    return tuple(
        tuple(_mean_known(pick(first, second) for pick in each if first != second) for second in labels)
        for first in labels
    )


def _mean_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _cosine(found: GradientConflict) -> Pick:
    """Without noise."""
    known = frozenset(found.languages)
    return lambda first, second: found.pair(first, second).corrected if known >= {first, second} else None


def _along(found: GradientConflictSeries) -> Pick:
    """Mean over the measurements: at a single step chance of the weights decides much of it."""
    return lambda first, second: _mean_known(pair.corrected for pair in found.of_pair(first, second))


def _affinity(found: LookaheadAffinity) -> Pick:
    """What a step on the second does to the first."""
    return _of_matrix(found.languages, found.received)


def _overlap(found: ParameterMasks) -> Pick:
    """Correlation of logits, mean over layers and kinds."""
    return lambda first, second: _mean_known(part.centred for part in found.similarity(first, second))


def _similarity(found: RepresentationSimilarity) -> Pick:
    """Debiased CKA of the last layer."""
    return _of_matrix(found.languages, found.matrix(-1))


def _of_matrix(labels: Sequence[str], values: Matrix) -> Pick:
    """Some languages may be unknown: those without parallel text, say."""
    known = {label: number for number, label in enumerate(labels)}

    def pick(first: str, second: str) -> float | None:
        return values[known[first]][known[second]] if known.keys() >= {first, second} else None

    return pick


def _script(folder: Path, label: str) -> str:
    return read_manifest(folder / "data" / "corpus" / label).script
