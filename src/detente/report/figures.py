"""Figures of a study: learning curves, early training loss, interference. PDF, PNG and SVG files, and SVG for the page."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detente.report import numbers
from detente.report.canvas import WIDTH, Drawing, drawing_style, file_labels, new_figure, save
from detente.report.comparisons import Comparison, interference
from detente.report.curves import CurveBook
from detente.report.interference_matrix import InterferenceMatrix, mixtures_beside_matrix
from detente.report.inventory import Study, System, mono
from detente.report.matrix_figure import draw_matrix, interference_picture
from detente.report.measures import bits_of_nats
from detente.report.palette import HATCH, INK, MONO, MUTED, UNIGRAM, Look, look_of, look_of_variant
from detente.report.panels import CurveLine, panels_of, short_label
from detente.report.tables import system_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS_LABEL = "bits per character minus mono\n\N{LEFTWARDS ARROW} helped  \N{MIDDLE DOT}  hurt \N{RIGHTWARDS ARROW}"
LEGEND_CHARACTERS = {3: 42, 2: 52}
"""Columns -> characters that there is room for beside their samples."""


def draw_all(study: Study, book: CurveBook, matrix: InterferenceMatrix | None, folder: Path) -> list[Drawing]:
    """Draw every figure that there are numbers for, and write the files."""
    heat_map = draw_matrix(interference_picture(matrix), folder) if matrix else None
    mixtures = mixtures_beside_matrix(study)
    with drawing_style():
        bars = [draw_interference(study, mixture, folder) for mixture in mixtures]
        panels = [(mixture, label) for mixture in mixtures for label in mixture]
        panels = panels or [((label,), label) for label in study.languages]
        curves = [
            draw_curves(study, book, kind, panel, folder) for panel in panels for kind in ("validation", "early-loss")
        ]
    return [drawing for drawing in (heat_map, *bars, *curves) if drawing]


def draw_interference(study: Study, mixture: tuple[str, ...], folder: Path) -> Drawing | None:
    """Bars with intervals: what a mixture costs each language, treated and not."""
    systems = [system for system in study.systems if system.mixture == mixture]
    bars = [
        (label, system, comparison)
        for label in mixture
        for system in systems
        if (comparison := interference(study, system, label))
    ]
    if not any(comparison.has_learned for _, _, comparison in bars):
        return None
    figure, axes = new_figure(0.6 + 0.2 * len(bars) + 0.22 * len(mixture))
    places = _places([label for label, _, _ in bars])
    for number, (place, (_, system, comparison)) in enumerate(zip(places, bars, strict=True)):
        _bar(axes, place, _look(study, system), comparison, f"tip-{number}")
    _finish_bars(axes, places, bars)
    key = f"interference-{_file_name(study, mixture)}"
    title = f"Interference in {'+'.join(mixture)}"
    values = tuple(f"{label} {system_label(system)} {_words(comparison)}" for label, system, comparison in bars)
    words = f"Bits per character minus mono: {'; '.join(values)}."
    drawing = Drawing(key, title, words, "", "interference", mixture, values)
    return save(figure, folder, drawing)


def draw_curves(
    study: Study, book: CurveBook, kind: str, panel: tuple[tuple[str, ...], str], folder: Path
) -> Drawing | None:
    """One line a system: mono and all treatments of one mixture, on one language; variants in panels below."""
    mixture, language = panel
    curve_of = book.validation if kind == "validation" else book.early_loss
    mixed = [system for system in study.systems if system.mixture == mixture and not system.is_mono]
    lines = [(system, curve) for system in (mono(language), *mixed) if (curve := curve_of(system, language))]
    if not lines:
        return None
    figure = _draw_panels(study, panels_of(lines), _unigram(study, mixture, language, kind), kind)
    what = "Learning curve" if kind == "validation" else "Early training loss"
    title = f"{what} of {language}" + (f" in {'+'.join(mixture)}" if len(mixture) > 1 else "")
    names = ["mono" if system.is_mono else system_label(system) for system, _ in lines]
    ends = "; ".join(
        f"{name} {curve.mean[-1]:.3f} at step {curve.steps[-1]}" for name, (_, curve) in zip(names, lines, strict=True)
    )
    key = f"{kind}-{_file_name(study, mixture)}-{_file_name(study, (language,))}"
    return save(figure, folder, Drawing(key, title, f"Last values: {ends}.", "", kind, (language,)))


def _look(study: Study, system: System) -> Look:
    if system.is_mono:
        return MONO
    return look_of_variant(study.variants.index(system.variant)) if system.variant else look_of(system.treatment)


def _bar(axes: "Axes", place: float, look: Look, comparison: Comparison, mark: str) -> None:
    difference = comparison.difference
    if not comparison.has_learned:
        # Drawn to scale it would squeeze the bars that mean something.
        axes.text(0, place, f" not learned yet{numbers.DAGGER}", va="center", color=MUTED, style="italic", gid=mark)
        return
    # A hollow bar stands on one seed: nothing follows from its length.
    fill = "none" if difference.low is None else look.color
    if look.hatch and difference.low is not None:
        axes.barh(place, difference.mean, height=0.66, color=fill, edgecolor=HATCH, hatch=look.hatch, linewidth=0)
        fill = "none"
    axes.barh(place, difference.mean, height=0.66, color=fill, edgecolor=look.color, linewidth=1, gid=mark)
    if difference.low is not None and difference.high is not None:
        arms = [[difference.mean - difference.low], [difference.high - difference.mean]]
        axes.errorbar(difference.mean, place, xerr=arms, color=INK, capsize=2.5, linewidth=1.1)


def _finish_bars(axes: "Axes", places: list[float], bars: list[tuple[str, System, Comparison]]) -> None:
    axes.set_yticks(places, [short_label(system) for _, system, _ in bars])
    headings = {label: place for place, (label, _, _) in reversed(list(zip(places, bars, strict=True)))}
    beside_ticks = axes.get_yaxis_transform()
    for label, place in headings.items():
        axes.text(-0.015, place - 0.85, label, transform=beside_ticks, weight="bold", ha="right", va="center")
    axes.set_ylim(places[-1] + 0.6, -1.3)
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(BARS_LABEL)


def _places(labels: list[str]) -> list[float]:
    """Rows with a gap for the name of each language."""
    return [place + 1.1 * list(dict.fromkeys(labels)).index(label) for place, label in enumerate(labels)]


def _draw_panels(study: Study, panels: list[list[CurveLine]], unigram: float | None, kind: str) -> "Figure":
    """Panels below each other, on the same scales, each with its legend below."""
    from matplotlib.figure import Figure

    heights = [_panel_height(panel) for panel in panels]
    figure = Figure(figsize=(WIDTH, sum(heights)))
    parts: Any = [figure]
    if len(panels) > 1:
        parts = figure.subfigures(len(panels), 1, height_ratios=heights)
    first: Axes | None = None
    for part, panel in zip(parts, panels, strict=True):
        axes = part.add_subplot(sharex=first, sharey=first)
        first = first or axes
        for line in panel:
            draw_line(axes, line, _look(study, line.system))
        if unigram is not None:
            axes.axhline(unigram, color=UNIGRAM.color, linestyle=UNIGRAM.dash, linewidth=1.1, label="unigram")
        axes.set_xlabel("steps")
        axes.set_ylabel("bits per character, validation" if kind == "validation" else "training loss, nats")
        part.legend(loc="outside lower left", ncols=_legend_columns(panel), handlelength=2.8, columnspacing=1.2)
    return figure


def _panel_height(panel: Sequence[CurveLine]) -> float:
    """In inches, with room for three lines of legend in the first number."""
    rows = math.ceil((len(panel) + 1) / _legend_columns(panel))
    return 3.5 + 0.17 * max(0, rows - 3)


def _legend_columns(panel: Sequence[CurveLine]) -> int:
    """As many as fit the figure's width; the legend is filled column by column."""
    labels = [*(line.label for line in panel), "unigram"]
    for num in (3, 2):
        size = math.ceil(len(labels) / num)
        widths = [max(map(len, labels[start : start + size])) for start in range(0, len(labels), size)]
        if sum(widths) <= LEGEND_CHARACTERS[num]:
            return num
    return 1


def draw_line(axes: "Axes", line: CurveLine, look: Look, *, label: str = "") -> None:
    """One system's curve, with the range of its seeds; under its own name where no other is given."""
    curve = line.curve
    every = max(1, len(curve.steps) // 6)
    axes.plot(
        curve.steps,
        curve.mean,
        color=look.color,
        linestyle=look.dash,
        marker="" if line.is_context else look.marker,
        markevery=every,
        markersize=3.6,
        linewidth=0.9 if line.is_context else 1.4,
        label=label or line.label,
    )
    if curve.seeds > 1 and not line.is_context:
        axes.fill_between(curve.steps, curve.low, curve.high, color=look.color, alpha=0.15, linewidth=0)


def _unigram(study: Study, mixture: tuple[str, ...], language: str, kind: str) -> float | None:
    """In the units of the curve; None when the lines have different vocabularies and so different unigrams."""
    records = [run.record for run in study.runs if run.record.mixture in {mixture, (language,)}]
    results = {record.vocabulary: record.languages[language] for record in records if language in record.languages}
    if len(results) != 1:
        return None
    result = next(iter(results.values()))
    return bits_of_nats(result, result.baseline.unigram) if kind == "validation" else result.baseline.unigram


def _words(comparison: Comparison) -> str:
    return f"{numbers.signed(comparison.difference)} ({comparison.word})"


def _file_name(study: Study, labels: tuple[str, ...]) -> str:
    return "+".join(file_labels(labels, study.languages))
