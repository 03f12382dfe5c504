"""The source's Figures 1 to 4 from a study's own runs, under the source's numbers: `figures/paper-figure-4a.pdf`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from detente.diagnosis_results.base import FOLDER, Diagnosis
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.masks import ParameterMasks
from detente.errors import RecordError
from detente.report.canvas import Drawing
from detente.report.curves import CurveBook
from detente.report.gradient_figure import draw_conflict_over_training
from detente.report.inventory import Study, System
from detente.report.mask_figures import draw_mask_extremes, draw_mask_similarity
from detente.report.paper_bars import draw_within
from detente.report.paper_curves import draw_early_loss, draw_perplexity
from detente.report.paper_layout import Layout, layout_of

Found = TypeVar("Found", bound=Diagnosis)


@dataclass(frozen=True)
class Material:
    """What figures are drawn from, and where to."""

    study: Study
    book: CurveBook
    layout: Layout
    folder: Path


@dataclass(frozen=True)
class Kind:
    """One of the source's figures."""

    title: str
    needs: str
    """What a study must have for it."""
    draw: Callable[[Material, str], Drawing | None]
    """Writes its files under a name; None where the study has nothing for it."""


def draw_paper_figures(study: Study, book: CurveBook, folder: Path) -> dict[str, Drawing | str]:
    """By their numbers; in place of one that cannot be drawn, why."""
    layout = layout_of(study)
    if layout is None:
        return {number: f"needs {kind.needs}" for number, kind in KINDS.items()}
    material = Material(study, book, layout, folder)
    return {number: _drawn(material, number) for number in KINDS}


def _drawn(material: Material, number: str) -> Drawing | str:
    kind = KINDS[number]
    try:
        return kind.draw(material, f"paper-figure-{number}") or f"needs {kind.needs}"
    except RecordError as error:
        # Without the leading folders, so that a study gives the same report wherever it lies.
        return str(error).replace(f"{material.folder.parent}/", "")


def _within(material: Material, key: str) -> Drawing | None:
    return draw_within(material.study, material.layout, material.folder, key=key)


def _perplexity(material: Material, key: str) -> Drawing | None:
    return draw_perplexity(material.study, material.book, material.layout, material.folder, key=key)


def _gradients(material: Material, key: str) -> Drawing | None:
    """Of all pairs that were watched, one seed of each; without any, of a larger mixture."""
    for company in material.layout.companies:
        systems = [System(mixture, "none") for mixture in dict.fromkeys(company.mixtures.values())]
        series = [found for system in systems for found in _diagnoses(material.study, system, GradientConflictSeries)]
        if series:
            return draw_conflict_over_training(series, material.folder, key=key)
    return None


def _similarity(material: Material, key: str) -> Drawing | None:
    for target, masks in _masks(material.study, material.layout):
        return draw_mask_similarity(masks, (target, material.layout.source), material.folder, key=key)
    return None


def _extremes(material: Material, key: str) -> Drawing | None:
    for target, masks in _masks(material.study, material.layout):
        return draw_mask_extremes(masks, target, material.layout.source, material.folder, key=key)
    return None


def _early_loss(material: Material, key: str) -> Drawing | None:
    return draw_early_loss(material.study, material.book, material.layout, material.folder, key=key)


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
    "1": Kind("scores alone and together", "fine-tunings within a language, of mono and of a pair", _within),
    "2": Kind("validation perplexity", "learning curves of mono and of a pair, under one vocabulary", _perplexity),
    "3": Kind("gradients along training", "an untreated run with `watch: {gradients_every: N}`", _gradients),
    "4a": Kind("masks by layer", "`detente diagnose RUN --masks` of an untreated run", _similarity),
    "4b": Kind("extremes of masks", "`detente diagnose RUN --masks` of an untreated run", _extremes),
    "4c": Kind(
        "early training loss",
        "learning curves of two of untreated, adapter and meta-adapter in one mixture",
        _early_loss,
    ),
}
