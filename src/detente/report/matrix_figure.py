"""A matrix over the languages as a heat map with its numbers: interference, affinity, cosines of gradients."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detente.diagnosis_results.affinity import LookaheadAffinity
from detente.diagnosis_results.agreement import Matrix
from detente.report import numbers
from detente.report.canvas import WIDTH, Drawing, drawing_style, new_figure, save, shortened
from detente.report.interference_matrix import InterferenceMatrix, has_number
from detente.report.palette import MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

# Numbers stand on a cell's own colour, also where the page is dark: none of these may be among the page's own.
BAD, MIDDLE, GOOD = "#b84f0c", "#f3f3f1", "#1c6ea8"
ON_LIGHT, ON_DARK = "#1a1a1a", "#fcfcfc"
LARGEST_TYPE = 8.5
LARGEST_CELL = 0.9
"""Inches."""
LONGEST_UPRIGHT = 4
"""Characters of a label that still stands upright under a column."""


LONGEST_TICK = 16
"""Characters."""


@dataclass(frozen=True)
class MatrixPicture:
    """A matrix and how to show it."""

    key: str
    """Of the files."""
    title: str
    rows: str
    """What a row is."""
    columns: str
    languages: tuple[str, ...]
    values: Matrix
    """None is hatched."""
    better: Literal["lower", "higher"]
    """Which side of zero is blue, and which orange."""
    clear: tuple[tuple[bool, ...], ...] | None = None
    """Which numbers are bold: their intervals are clear of zero."""


def interference_picture(matrix: InterferenceMatrix) -> MatrixPicture:
    """Who is hurt (rows) by whom (columns)."""
    clear = tuple(
        tuple(has_number(cell) and cell.word != "cannot tell" for cell in row)  # type: ignore[union-attr]
        for row in matrix.cells
    )
    treated = "" if matrix.system == "none" else f", {matrix.system}"
    return MatrixPicture(
        key=f"{matrix.harm.key}-matrix" if matrix.system == "none" else f"{matrix.harm.key}-matrix-{matrix.system}",
        title=f"{matrix.harm.unit[0].upper()}{matrix.harm.unit[1:]} lost in pairs{treated}, by {matrix.budget}",
        rows="hurt",
        columns="trained with",
        languages=matrix.languages,
        values=matrix.values,
        better="lower",
        clear=clear,
    )


def affinity_picture(affinity: LookaheadAffinity) -> MatrixPicture:
    """What a step on a language (rows) does to the loss of each (columns), in percent of it; on the diagonal to its own, of other text."""
    percent = tuple(tuple(100 * value for value in row) for row in affinity.mean)
    clear = None
    if affinity.low and affinity.high:
        ends = [zip(low, high, strict=True) for low, high in zip(affinity.low, affinity.high, strict=True)]
        clear = tuple(tuple(not low <= 0 <= high for low, high in row) for row in ends)
    return MatrixPicture(
        key="affinity",
        title="Lookahead affinity: percent of the loss that a step takes away",
        rows="step on",
        columns="effect on",
        languages=affinity.languages,
        values=percent,
        better="higher",
        clear=clear,
    )


def draw_matrix(picture: MatrixPicture, folder: Path) -> Drawing:
    """Numbers in their cells, colours around zero, what is missing hatched."""
    with drawing_style():
        side = min(WIDTH - 0.9, LARGEST_CELL * len(picture.languages))
        figure, axes = new_figure(side + (1.2 if _has_long_labels(picture) else 0.7))
        for row, column, value in _cells(picture):
            _cell(axes, picture, (row, column), value)
        _finish(axes, picture)
        drawing = Drawing(picture.key, picture.title, _description(picture), "", "matrix")
        return save(figure, folder, drawing)


def _cells(picture: MatrixPicture) -> Iterator[tuple[int, int, float | None]]:
    for row, values in enumerate(picture.values):
        for column, value in enumerate(values):
            yield row, column, value


def _largest(picture: MatrixPicture) -> float:
    return max((abs(value) for _, _, value in _cells(picture) if value is not None), default=0.0) or 1.0


def _cell(axes: "Axes", picture: MatrixPicture, place: tuple[int, int], value: float | None) -> None:
    from matplotlib.patches import Rectangle

    row, column = place
    corner = (column - 0.5, row - 0.5)
    if value is None:
        # A matrix that has nothing on its diagonal is not missing anything there.
        hatch = "" if row == column else "////"
        axes.add_patch(Rectangle(corner, 1, 1, facecolor="none", edgecolor=MUTED, hatch=hatch, linewidth=0))
        return
    # Zero is the middle; the larger side fills its half of the colours.
    color = _colors(picture.better)(0.5 + 0.5 * value / _largest(picture))
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=color, linewidth=0))
    is_clear = picture.clear is not None and picture.clear[row][column]
    axes.text(
        column,
        row,
        _number(picture, value),
        color=_ink_on(color),
        weight="bold" if is_clear else "normal",
        fontsize=min(LARGEST_TYPE, 60 / len(picture.languages)),
        ha="center",
        va="center",
    )


def _colors(better: Literal["lower", "higher"]) -> "Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    ends = (GOOD, BAD) if better == "lower" else (BAD, GOOD)
    return LinearSegmentedColormap.from_list(better, [ends[0], MIDDLE, ends[1]])


def _ink_on(color: Sequence[float]) -> str:
    """Dark or light, whichever has more contrast (relative luminance of WCAG, with one exponent for its curve)."""
    luminance = sum(weight * part**2.2 for weight, part in zip((0.2126, 0.7152, 0.0722), color, strict=False))
    return ON_DARK if luminance < 0.2 else ON_LIGHT


def _finish(axes: "Axes", picture: MatrixPicture) -> None:
    places = range(len(picture.languages))
    is_long = _has_long_labels(picture)
    names = [shortened(label, LONGEST_TICK) for label in picture.languages]
    axes.set_xticks(places, names, rotation=45 if is_long else 0, ha="left" if is_long else "center")
    axes.set_yticks(places, names)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(picture.columns)
    axes.set_ylabel(picture.rows)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _number(picture: MatrixPicture, value: float) -> str:
    """With as many decimals as give the largest three digits."""
    digits = max(0, 2 - math.floor(math.log10(_largest(picture))))
    return f"{value:+.{digits}f}".replace("-", numbers.MINUS)


def _has_long_labels(picture: MatrixPicture) -> bool:
    return max(map(len, picture.languages)) > LONGEST_UPRIGHT


def _description(picture: MatrixPicture) -> str:
    names = picture.languages
    found = [
        f"{names[row]} {names[column]} {'missing' if value is None else _number(picture, value)}"
        for row, column, value in _cells(picture)
        if value is not None or row != column
    ]
    return f"Rows: {picture.rows}; columns: {picture.columns}. {'; '.join(found)}."
