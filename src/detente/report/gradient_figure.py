"""Figures of gradient conflict: over training (the source's Figure 3), and at one point, by layer and kind of module."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.gradients import THETA, GradientConflict, Interval, PairConflict, Region
from detente.report import numbers
from detente.report.canvas import WIDTH, Drawing, drawing_style, file_labels, new_figure, or_gap, save
from detente.report.palette import INK, LOOKS, MONO, MUTED, OTHER, UNIGRAM, VARIANTS, Look, look_of_variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND = "gradients"
MOST_PAIRS = 7
"""More lines are not told apart."""
CONTROLS = (MONO, UNIGRAM, OTHER, *LOOKS.values())
AXIS = "cosine of gradients\n\N{LEFTWARDS ARROW} conflict  \N{MIDDLE DOT}  agreement \N{RIGHTWARDS ARROW}"


@dataclass(frozen=True)
class _Line:
    """Two languages, or one against itself, at each step.

    Attributes:
        corrected: empty for one language, where it is 1 by its making.
        share: of the steps, those whose cosine is below zero.
    """

    label: str
    mixture: str
    languages: frozenset[str]
    steps: list[int]
    raw: list[float | None]
    corrected: list[PairConflict]
    share: float | None
    look: Look = MONO


def draw_conflict_over_training(
    series: Sequence[GradientConflictSeries], folder: Path, *, region: Region = THETA, key: str = ""
) -> Drawing:
    """Raw cosines with each language's control, as the source has them, and below them the corrected ones with intervals.

    Series of several mixtures share the axes. Of more pairs than `MOST_PAIRS`, those with the lowest cosines are drawn.
    """
    pairs = _lowest([line for each in series for line in _pair_lines(each, region)])
    shown = {(line.mixture, language) for line in pairs for language in line.languages}
    controls = [
        line
        for each in series
        for line in _control_lines(each, region)
        if not pairs or (line.mixture, *line.languages) in shown
    ]
    lines = _with_mixtures([*_with_looks(pairs, VARIANTS), *_with_looks(controls, CONTROLS)])
    with drawing_style():
        figure = _panels(lines)
        words = "; ".join(map(_words, lines))
        key, title = (
            key or f"gradient-series-{_file_name(region.label)}",
            f"Cosine of gradients over training: {region.label}",
        )
        return save(figure, folder, Drawing(key, title, f"Raw cosines at the last step: {words}.", "", KIND))


def draw_conflict(conflict: GradientConflict, first: str, second: str, folder: Path) -> Drawing:
    """Two languages over theta, each layer and each kind: raw cosine (hollow), corrected (filled) with its interval.

    A grey stroke is where the raw cosine would be if the languages differed in sampling noise only.

    Raises:
        ConfigError: they are not two of the languages.
    """
    rows = [(region, conflict.pair(first, second, region)) for region in conflict.regions]
    with drawing_style():
        figure, axes = new_figure(1.2 + 0.22 * len(rows))
        for place, (_, pair) in enumerate(rows):
            _draw_pair(axes, place, pair)
        _finish_rows(axes, [region.label for region, _ in rows])
        handles, labels = axes.get_legend_handles_labels()
        # Each row has its own; one of each will do.
        figure.legend(
            dict(zip(labels, handles, strict=True)).values(), dict.fromkeys(labels), loc="outside lower left", ncols=3
        )
        values = "; ".join(f"{region.label} {_value(pair.corrected)} ({pair.verdict})" for region, pair in rows)
        title = f"Cosine of gradients: {first} and {second}"
        key = f"gradients-{'-'.join(file_labels((first, second), conflict.languages))}"
        drawing = Drawing(key, title, f"Without sampling noise: {values}.", "", KIND)
        return save(figure, folder, drawing)


def _pair_lines(series: GradientConflictSeries, region: Region) -> list[_Line]:
    lines = []
    for first, second in series.pairs:
        found = series.of_pair(first, second, region)
        share = series.share_below_zero(first, second, region)
        raw = [each.raw for each in found]
        lines.append(_line(series, (first, second), raw, found, share))
    return lines


def _control_lines(series: GradientConflictSeries, region: Region) -> list[_Line]:
    return [
        _line(
            series,
            (language, language),
            [each.cosine for each in series.of_language(language, region)],
            [],
            series.share_below_zero(language, language, region),
        )
        for language in series.languages
    ]


def _line(
    series: GradientConflictSeries,
    languages: tuple[str, str],
    raw: list[float | None],
    corrected: list[PairConflict],
    share: float | None,
) -> _Line:
    return _Line(
        "-".join(languages), "+".join(series.languages), frozenset(languages), series.steps, raw, corrected, share
    )


def _lowest(lines: Sequence[_Line]) -> list[_Line]:
    """In the order they came in."""

    def mean(line: _Line) -> float:
        known = [value for value in line.raw if value is not None]
        return math.fsum(known) / len(known) if known else math.inf

    chosen = sorted(range(len(lines)), key=lambda place: mean(lines[place]))[:MOST_PAIRS]
    return [lines[place] for place in sorted(chosen)]


def _with_looks(lines: Sequence[_Line], looks: Sequence[Look]) -> list[_Line]:
    return [replace(line, look=looks[place % len(looks)]) for place, line in enumerate(lines)]


def _with_mixtures(lines: Sequence[_Line]) -> list[_Line]:
    """Named where a label alone would not say which line it is."""
    times = Counter(line.label for line in lines)
    return [replace(line, label=f"{line.label} in {line.mixture}") if times[line.label] > 1 else line for line in lines]


def _panels(lines: Sequence[_Line]) -> "Figure":
    from matplotlib.figure import Figure

    has_pairs = any(line.corrected for line in lines)
    figure = Figure(figsize=(WIDTH, (4.4 if has_pairs else 2.6) + 0.17 * math.ceil(len(lines) / 3)))
    panels = figure.subplots(1 + has_pairs, 1, sharex=True, squeeze=False)[:, 0]
    for line in lines:
        _draw_line(panels[0], line, line.raw)
        if line.corrected:
            _draw_line(panels[1], line, [each.corrected if each.interval else None for each in line.corrected])
            _draw_band(panels[1], line)
    for axes, label in zip(panels, ("cosine of gradients", "without sampling noise"), strict=False):
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.set_ylabel(label)
    panels[-1].set_xlabel("steps")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=3, handlelength=2.8)
    return figure


def _draw_line(axes: "Axes", line: _Line, values: Sequence[float | None]) -> None:
    # Between gaps a single value has no line to be seen by.
    every = 1 if None in values else max(1, len(line.steps) // 6)
    axes.plot(
        line.steps,
        list(map(or_gap, values)),
        color=line.look.color,
        linestyle=line.look.dash,
        marker=line.look.marker,
        markevery=every,
        markersize=3.6,
        linewidth=1.4 if line.corrected else 0.9,
        label=line.label,
    )


def _draw_band(axes: "Axes", line: _Line) -> None:
    """Interrupted where nothing can be told."""
    bands = [each.interval or Interval(math.nan, math.nan) for each in line.corrected]
    lows, highs = [each.low for each in bands], [each.high for each in bands]
    axes.fill_between(line.steps, lows, highs, color=line.look.color, alpha=0.15, linewidth=0)


def _draw_pair(axes: "Axes", place: int, pair: PairConflict) -> None:
    color = look_of_variant(0).color
    if pair.raw is not None:
        axes.plot(pair.raw, place, "o", color=color, markerfacecolor="none", markersize=4.5, label="raw")
    if pair.if_same is not None:
        axes.plot(pair.if_same, place, "|", color=MUTED, markersize=9, markeredgewidth=1.6, label="raw if the same")
    if pair.corrected is None or pair.interval is None:
        axes.text(0, place + 0.02, "  cannot tell", va="center", color=MUTED, style="italic")
        return
    axes.plot(pair.interval, (place, place), color=INK, linewidth=1.1, solid_capstyle="butt")
    axes.plot(pair.corrected, place, "o", color=color, markersize=4.5, label="without noise")


def _finish_rows(axes: "Axes", labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(AXIS)


def _words(line: _Line) -> str:
    share = "" if line.share is None else f", below zero at {numbers.share_of(line.share)} of steps"
    return f"{line.label} {_value(line.raw[-1])}{share}"


def _value(value: float | None) -> str:
    return "unknown" if value is None else numbers.difference(value)


def _file_name(label: str) -> str:
    return label.replace(" ", "-")
