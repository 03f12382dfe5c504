"""Matrices of the page: a number in each cell, its interval below it, and a colour that says which side of zero it is on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from detente.diagnosis_results.affinity import LookaheadAffinity
from detente.diagnosis_results.agreement import Matrix
from detente.diagnosis_results.gradients import GradientConflict, PairConflict
from detente.report import numbers
from detente.report.interference_matrix import InterferenceMatrix
from detente.report.matrix_table import matrix_table
from detente.report.statistics import Estimate, Word, estimate

LEVELS = 4
"""Shades on either side of zero."""
FAINTEST = 0.04
"""Of the largest number: below it a cell has no colour."""
NO_INTERVAL = "One seed gives no interval: nothing follows from the size of a number."
OVER = {True: "mean over seeds and 95 % interval", False: "one seed, with the 95 % interval of its measurement alone"}


@dataclass(frozen=True)
class HeatCell:
    """Of a matrix; without text there is nothing to show."""

    text: str = ""
    interval: str = ""
    shade: str = ""
    """bad-1 to bad-4, good-1 to good-4, or none."""
    word: str = ""
    is_clear: bool = False
    """Whether the interval is clear of zero."""


@dataclass(frozen=True)
class HeatRow:
    """A label, and whom it is about."""

    label: str
    languages: tuple[str, ...]
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True)
class HeatTable:
    """Rows can be sorted by each column."""

    key: str
    title: str
    caption: str
    legend: str
    """What its colours mean."""
    corner: str
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    foot: HeatRow | None = None
    """Stays below when the rows are sorted."""
    notes: tuple[str, ...] = ()

    @property
    def has_intervals(self) -> bool:
        """Whether any number has one."""
        return any(cell.interval for row in self.rows for cell in row.cells)


def interference_heat(matrix: InterferenceMatrix) -> HeatTable:
    """Who is hurt (rows) by whom (columns)."""
    table = matrix_table(matrix)
    largest = _largest(matrix.values)
    rows = []
    for place, language in enumerate(matrix.languages):
        cells = [
            heat_cell(cell.difference, largest, is_better="lower", word=cell.word, has_learned=cell.has_learned)
            if cell
            else HeatCell()
            for cell in matrix.cells[place]
        ]
        rows.append(HeatRow(language, (language,), (*cells, _mean(matrix.row_means[place], largest))))
    means = tuple(_mean(mean, largest) for mean in matrix.column_means)
    foot = HeatRow("what others lose to it", (), (*means, HeatCell()))
    columns = (*matrix.languages, "mean")
    legend = "Orange loses, blue gains; the stronger, the more."
    heat = HeatTable(table.key, table.title, table.caption, legend, "hurt, beside", columns, tuple(rows), foot)
    return replace(heat, notes=(*([] if heat.has_intervals else [NO_INTERVAL]), *table.notes))


def cosine_heat(found: Sequence[GradientConflict]) -> HeatTable:
    """Pairs of languages (rows) over all shared parameters, each layer and each kind of module (columns); one measurement a seed."""
    first = found[0]
    estimates = {
        (pair, region): _cosines([each.pair(*pair, region) for each in found])
        for pair in first.pairs
        for region in first.regions
    }
    largest = max((abs(known.mean) for known in estimates.values() if known), default=0.0)
    rows = [
        HeatRow(
            f"{pair[0]} and {pair[1]}",
            pair,
            tuple(_cosine_cell(estimates[pair, region], largest) for region in first.regions),
        )
        for pair in first.pairs
    ]
    caption = (
        f"Cosine of the gradients of two languages without sampling noise, {OVER[len(found) > 1]}; below zero they conflict. "
        "A kind of module is taken over all layers. Empty where a gradient is lost in its noise."
    )
    columns = tuple("all shared" if region.label == "theta" else region.label for region in first.regions)
    legend = "Orange conflicts, blue agrees; the stronger, the more."
    return HeatTable("gradient-places", "Where gradients conflict", caption, legend, "languages", columns, tuple(rows))


def affinity_heat(found: LookaheadAffinity) -> HeatTable:
    """Which step (rows) takes how much of whose loss (columns), in percent."""
    intervals = found.low is not None and found.high is not None
    values = [[100 * value for value in row] for row in found.mean]
    largest = max(abs(value) for row in values for value in row)
    rows = []
    for i, language in enumerate(found.languages):
        cells = []
        for j, value in enumerate(values[i]):
            low, high = (100 * found.low[i][j], 100 * found.high[i][j]) if intervals else (None, None)  # type: ignore[index]
            cells.append(heat_cell(Estimate(value, low, high, len(found.draws)), largest, is_better="higher"))
        rows.append(HeatRow(language, (language,), tuple(cells)))
    caption = (
        "Percent of the column's loss that one step on the row's language takes away, on other text; below zero the step harms. "
        f"Mean over {len(found.draws)} draws of batches and 95 % interval."
    )
    legend = "Orange harms, blue helps; the stronger, the more."
    return HeatTable("affinity", "Affinity", caption, legend, "step on, effect on", found.languages, tuple(rows))


def symmetric_heat(key: str, title: str, caption: str, languages: tuple[str, ...], values: Matrix) -> HeatTable:
    """Something that is alike both ways, without intervals."""
    largest = _largest(values)
    rows = tuple(
        HeatRow(
            language,
            (language,),
            tuple(
                HeatCell() if value is None else heat_cell(estimate([value]), largest, is_better="higher")
                for value in row
            ),
        )
        for language, row in zip(languages, values, strict=True)
    )
    return HeatTable(key, title, caption, "The stronger the blue, the more alike.", "languages", languages, rows)


def heat_cell(
    value: Estimate, largest: float, *, is_better: str, word: Word | None = None, has_learned: bool = True
) -> HeatCell:
    """A number with its shade; none for a model that has not learned, of which nothing follows.

    Args:
        largest: size that the strongest shade stands for.
        is_better: lower or higher.
    """
    is_clear = value.is_above_zero or value.is_below_zero
    arm = (
        ""
        if value.half_width is None
        else f"{numbers.PLUS_MINUS}\N{NO-BREAK SPACE}{value.half_width:.{_digits(largest)}f}"
    )
    text = _number(value.mean, largest)
    if not has_learned:
        return HeatCell(f"{text}{numbers.DAGGER}", arm, "", "cannot tell")
    shade = _shade(value.mean, largest, is_better)
    return HeatCell(text, arm, shade, word or ("" if value.low is None or is_clear else "cannot tell"), is_clear)


def _mean(mean: Estimate | None, largest: float) -> HeatCell:
    return heat_cell(mean, largest, is_better="lower") if mean else HeatCell()


def _cosines(pairs: Sequence[PairConflict]) -> Estimate | None:
    """Only where every seed has one; a single seed has the interval of its own measurement."""
    known = [pair.corrected for pair in pairs if pair.corrected is not None]
    if len(known) < len(pairs):
        return None
    low, high = pairs[0].interval or (None, None)
    return estimate(known) if len(known) > 1 else Estimate(known[0], low, high, 1)


def _cosine_cell(value: Estimate | None, largest: float) -> HeatCell:
    return heat_cell(value, largest, is_better="higher") if value else HeatCell()


def _shade(value: float, largest: float, is_better: str) -> str:
    share = abs(value) / largest if largest else 0.0
    if not math.isfinite(share) or share < FAINTEST:
        return ""
    side = "good" if (value > 0) == (is_better == "higher") else "bad"
    return f"{side}-{min(LEVELS, math.ceil(share * LEVELS))}"


def _largest(values: Matrix) -> float:
    return max((abs(value) for row in values for value in row if value is not None), default=0.0)


def _number(value: float, largest: float) -> str:
    return f"{value:+.{_digits(largest)}f}".replace("-", numbers.MINUS) if math.isfinite(value) else "not finite"


def _digits(largest: float) -> int:
    """As many decimals as give the largest three digits."""
    return min(6, max(0, 2 - math.floor(math.log10(largest)))) if largest > 0 and math.isfinite(largest) else 3
