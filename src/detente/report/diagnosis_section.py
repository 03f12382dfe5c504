"""The page's section on diagnoses: gradients over training and by layer, affinity, masks, similarity, and what foretells interference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from detente.diagnosis_results.agreement import Agreement, Matrix
from detente.diagnosis_results.base import Diagnosis
from detente.diagnosis_results.masks import ParameterMasks
from detente.report import phrases
from detente.report.agreement_figure import draw_agreement
from detente.report.canvas import Drawing
from detente.report.diagnoses import Diagnoses
from detente.report.gradient_figure import draw_conflict_over_training
from detente.report.heat import HeatTable, affinity_heat, cosine_heat, symmetric_heat
from detente.report.mask_figures import draw_mask_shares, draw_mask_similarity
from detente.report.similarity_figure import draw_similarity

Found = TypeVar("Found", bound=Diagnosis)

MASKS_CAPTION = (
    "Correlation of two languages' masks, mean over layers and kinds of module: 0 for masks that have nothing to do with each other, 1 "
    "for the same parameters."
)
SIMILARITY_CAPTION = (
    "How alike the last layer represents sentences that say the same (debiased CKA): about 0 for sentences that have nothing to do with "
    "each other, 1 for the same geometry."
)


@dataclass(frozen=True)
class DiagnosisPart:
    """One diagnosis, as it is shown."""

    key: str
    title: str
    whose: str
    """Which runs it is of."""
    drawings: tuple[Drawing, ...] = ()
    heats: tuple[HeatTable, ...] = ()


def draw_diagnoses(diagnoses: Diagnoses | None, agreement: Agreement | None, folder: Path) -> tuple[DiagnosisPart, ...]:
    """Of one mixture, whatever there is; figures go into a folder.

    Gradients by layer are means over seeds; the other diagnoses are those of the lowest seed that has them.
    """
    parts = [*(_parts(diagnoses, folder) if diagnoses else ()), *(_agreement(agreement, folder) if agreement else ())]
    return tuple(parts)


def _parts(found: Diagnoses, folder: Path) -> list[DiagnosisPart]:
    parts = []
    if found.series:
        drawing = draw_conflict_over_training([_first(found.series)], folder)
        parts.append(
            DiagnosisPart("gradients-over-time", "Gradients over training", _one(found, found.series), (drawing,))
        )
    if found.gradients:
        heat = cosine_heat(list(found.gradients.values()))
        parts.append(
            DiagnosisPart("gradients-by-layer", "Gradients by layer", _all(found, found.gradients), (), (heat,))
        )
    if found.affinity:
        heat = affinity_heat(_first(found.affinity))
        parts.append(DiagnosisPart("affinities", "Affinity", _one(found, found.affinity), (), (heat,)))
    if found.masks:
        masks = _first(found.masks)
        parts.append(DiagnosisPart("masks", "Masks", _one(found, found.masks), *_mask_views(masks, folder)))
    if found.similarity:
        similarity = _first(found.similarity)
        heat = symmetric_heat(
            "cka", "Similarity of the last layer", SIMILARITY_CAPTION, similarity.languages, similarity.matrix(-1)
        )
        drawing = draw_similarity(similarity, folder)
        parts.append(DiagnosisPart("similarities", "Similarity", _one(found, found.similarity), (drawing,), (heat,)))
    return parts


def _mask_views(masks: ParameterMasks, folder: Path) -> tuple[tuple[Drawing, ...], tuple[HeatTable, ...]]:
    shares = draw_mask_shares(masks, folder)
    if len(masks.languages) <= 2:
        return (shares, draw_mask_similarity(masks, masks.languages, folder)), ()
    values = mask_overlaps(masks)
    return (shares,), (symmetric_heat("mask-overlap", "Overlap of masks", MASKS_CAPTION, masks.languages, values),)


def mask_overlaps(masks: ParameterMasks) -> Matrix:
    """Correlation of logits, mean over layers and kinds; symmetric, nothing on the diagonal."""

    def overlap(first: str, second: str) -> float | None:
        known = [place.centred for place in masks.similarity(first, second) if place.centred is not None]
        return fmean(known) if first != second and known else None

    return tuple(tuple(overlap(a, b) for b in masks.languages) for a in masks.languages)


def _agreement(agreement: Agreement, folder: Path) -> list[DiagnosisPart]:
    drawing = draw_agreement(agreement, folder)
    whose = "Rank correlation of each diagnosis with what pairs lose; the line is its 95 % interval over languages."
    return (
        [DiagnosisPart("foretelling", "Which diagnosis foretells interference", whose, (drawing,))] if drawing else []
    )


def _first(found: Mapping[int, Found]) -> Found:
    return found[min(found)]


def _one(found: Diagnoses, seeds: Mapping[int, Diagnosis]) -> str:
    return f"Untreated {phrases.mixture_name(found.mixture)}, seed {min(seeds)}."


def _all(found: Diagnoses, seeds: Mapping[int, Diagnosis]) -> str:
    return f"Untreated {phrases.mixture_name(found.mixture)}, {phrases.seeds(len(seeds))}."


def subject_of(diagnoses: Iterable[Diagnoses]) -> Diagnoses | None:
    """Whose diagnoses are shown: those of the largest mixture that has any."""
    known = [each for each in diagnoses if each]
    return max(known, key=lambda each: len(each.mixture)) if known else None
