"""The source's Figures 1 to 4 from a study's own runs, under the source's numbers: `figures/paper-figure-4a.pdf`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from detente.diagnosis_results.base import FOLDER, Diagnosis
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.masks import ParameterMasks
from detente.errors import RecordError
from detente.report.canvas import Drawing
from detente.report.gradient_figure import draw_conflict_over_training
from detente.report.inventory import Study, System
from detente.report.mask_figures import draw_mask_extremes, draw_mask_similarity
from detente.report.paper_bars import draw_within
from detente.report.paper_curves import draw_early_loss, draw_perplexity
from detente.report.paper_layout import Layout, layout_of

Found = TypeVar("Found", bound=Diagnosis)


class Draw(Protocol):
    """Writes a figure's files; None where the study has nothing for it."""

    def __call__(self, study: Study, layout: Layout, folder: Path, *, key: str) -> Drawing | None: ...


@dataclass(frozen=True)
class Kind:
    """One of the source's figures."""

    title: str
    needs: str
    """What a study must have for it."""
    draw: Draw


def draw_paper_figures(study: Study, folder: Path) -> dict[str, Drawing | str]:
    """By their numbers; in place of one that cannot be drawn, why."""
    layout = layout_of(study)
    return {number: _drawn(study, layout, number, folder) for number in KINDS}


def _drawn(study: Study, layout: Layout | None, number: str, folder: Path) -> Drawing | str:
    kind = KINDS[number]
    try:
        drawing = kind.draw(study, layout, folder, key=f"paper-figure-{number}") if layout else None
    except RecordError as error:
        # Without the leading folders, so that a study gives the same report wherever it lies.
        return str(error).replace(f"{folder.parent}/", "")
    return drawing or f"needs {kind.needs}"


def _gradients(study: Study, layout: Layout, folder: Path, *, key: str) -> Drawing | None:
    """Of all pairs of one seed that were watched; without any, of a larger mixture."""
    for company in layout.companies:
        systems = [System(mixture, "none") for mixture in dict.fromkeys(company.mixtures.values())]
        series = [found for system in systems for found in _diagnoses(study, system, GradientConflictSeries)]
        if series:
            return draw_conflict_over_training(series, folder, key=key)
    return None


def _similarity(study: Study, layout: Layout, folder: Path, *, key: str) -> Drawing | None:
    for target, masks in _masks(study, layout):
        return draw_mask_similarity(masks, (target, layout.source), folder, key=key)
    return None


def _extremes(study: Study, layout: Layout, folder: Path, *, key: str) -> Drawing | None:
    for target, masks in _masks(study, layout):
        return draw_mask_extremes(masks, target, layout.source, folder, key=key)
    return None


def _masks(study: Study, layout: Layout) -> Iterator[tuple[str, ParameterMasks]]:
    """Of untreated mixtures, the smallest first, each with the language that stands beside the source's."""
    for company in layout.companies:
        for target, mixture in company.mixtures.items():
            for masks in _diagnoses(study, System(mixture, "none"), ParameterMasks):
                yield target, masks


def _diagnoses(study: Study, system: System, kind: type[Found]) -> Iterator[Found]:
    """Of the first seed that has one.

    Raises:
        RecordError: its file is damaged.
    """
    for run in study.by_system.get(system, {}).values():
        if (run.folder / FOLDER / kind.FILE).exists():
            yield kind.read(run.folder / FOLDER)
            return


KINDS: Mapping[str, Kind] = {
    "1": Kind("scores alone and together", "fine-tunings within a language, of mono and of a pair", draw_within),
    "2": Kind("validation perplexity", "learning curves of mono and of a pair, under one vocabulary", draw_perplexity),
    "3": Kind("gradients along training", "an untreated run with `watch: {gradients_every: N}`", _gradients),
    "4a": Kind("masks by layer", "`detente diagnose RUN --masks` of an untreated run", _similarity),
    "4b": Kind("extremes of masks", "`detente diagnose RUN --masks` of an untreated run", _extremes),
    "4c": Kind(
        "early training loss",
        "learning curves of two of untreated, adapter and meta-adapter in one mixture",
        draw_early_loss,
    ),
}
