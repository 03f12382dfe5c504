"""The source's Figures 2 and 4c: perplexity along pretraining, and early training loss of treatments that converge differently."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from detente.report.canvas import WIDTH, Drawing, drawing_style, new_figure, save
from detente.report.curves import Curve, CurveBook
from detente.report.figures import draw_line
from detente.report.inventory import Study, System, mono
from detente.report.palette import MONO as MONO_LOOK
from detente.report.palette import Look, look_of, look_of_variant
from detente.report.panels import CurveLine
from detente.report.paper_layout import MONO, TREATED, Layout

MOST_PANELS = 6
"""Languages, in the order of the study."""
CONVERGING = ("none", "adapter", "meta-adapter")
"""Treatments whose early losses the source compares."""
FEWEST_POINTS = 3
"""After the warm-up, without which a line says little."""


class Named(NamedTuple):
    """A line under its name in the source."""

    name: str
    look: Look
    system: System
    curve: Curve


def draw_perplexity(study: Study, book: CurveBook, layout: Layout, folder: Path, *, key: str) -> Drawing | None:
    """Validation split: mono and the untreated mixtures, a panel each language."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    found = {label: list(_alone_and_together(book, layout, label)) for label in layout.targets}
    panels = {label: lines for label, lines in found.items() if len(lines) > 1}
    chosen = dict(list(panels.items())[:MOST_PANELS])
    if not chosen or len(study.vocabularies) > 1:
        return None
    with drawing_style():
        rows = math.ceil(len(chosen) / 2)
        figure = Figure(figsize=(WIDTH, 0.5 + 2.1 * rows))
        grid = figure.subplots(rows, min(2, len(chosen)), squeeze=False)
        for axes, (label, lines) in zip(grid.flat, chosen.items(), strict=False):
            for line in lines:
                draw_line(axes, CurveLine(line.system, line.curve), line.look, label=line.name)
            axes.set(title=label, xlabel="steps", yscale="log")
            # Labels of a logarithmic axis are formulas, and none is read as such here.
            axes.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter=StrMethodFormatter("{x:,g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        for axes in grid.flat[len(chosen) :]:
            axes.set_visible(False)
        grid[0, 0].set_ylabel("perplexity, validation")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=3, handlelength=2.8)
        words = "; ".join(f"{label}: {_ends(lines)}" for label, lines in chosen.items())
        title = "Validation perplexity during pretraining"
        return save(figure, folder, Drawing(key, title, f"Last values: {words}.", "", "paper"))


def draw_early_loss(study: Study, book: CurveBook, layout: Layout, folder: Path, *, key: str) -> Drawing | None:
    """Mean over the languages of one mixture, after the warm-up: the first mixture that has two of the treatments."""
    mixtures = dict.fromkeys(mixture for each in layout.companies for mixture in each.mixtures.values())
    for mixture in mixtures:
        lines = list(_converging(study, book, layout, mixture))
        if len(lines) > 1:
            break
    else:
        return None
    with drawing_style():
        figure, axes = new_figure(3.0)
        for line in lines:
            draw_line(axes, CurveLine(line.system, line.curve), line.look, label=line.name)
        axes.set(xlabel="steps", ylabel="training loss, nats")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=3, handlelength=2.8)
        title = f"Early training loss after the warm-up in {'+'.join(mixture)}"
        return save(figure, folder, Drawing(key, title, f"Last values: {_ends(lines)}.", "", "paper"))


def _alone_and_together(book: CurveBook, layout: Layout, label: str) -> Iterator[Named]:
    systems = [(MONO, MONO_LOOK, mono(label))]
    for number, company in enumerate(each for each in layout.companies if label in each.mixtures):
        look = look_of_variant(number - 1) if number else look_of("none")
        systems.append((company.label, look, System(company.mixtures[label], "none")))
    for name, look, system in systems:
        if curve := book.perplexity(system, label):
            yield Named(name, look, system, curve)


def _converging(study: Study, book: CurveBook, layout: Layout, mixture: tuple[str, ...]) -> Iterator[Named]:
    untreated = next(each.label for each in layout.companies if mixture in each.mixtures.values())
    for treatment in CONVERGING:
        system = System(mixture, treatment)
        if curve := book.mean_early_loss(system):
            name = TREATED.get(treatment, untreated)
            yield Named(name, look_of(treatment), system, _after(curve, _warmup(study, system)))


def _warmup(study: Study, system: System) -> int:
    """In steps; of runs that differ in it, the longest."""
    found = [run.record.settings.get("training", {}).get("warmup_steps", 0) for run in study.by_system[system].values()]
    return max(found, default=0)


def _after(curve: Curve, step: int) -> Curve:
    """The part after a step; all of it where that would leave next to nothing."""
    first = sum(each <= step for each in curve.steps)
    if len(curve.steps) - first < FEWEST_POINTS:
        return curve
    return Curve(curve.steps[first:], curve.mean[first:], curve.low[first:], curve.high[first:], curve.seeds)


def _ends(lines: Sequence[Named]) -> str:
    return ", ".join(f"{line.name} {line.curve.mean[-1]:.3f} at step {line.curve.steps[-1]}" for line in lines)
