"""The table of who is hurt by whom."""

from collections.abc import Iterator, Sequence

from detente.report import numbers
from detente.report.comparisons import Comparison
from detente.report.interference_matrix import InterferenceMatrix
from detente.report.statistics import Estimate
from detente.report.tables import Cell, Column, Row, Table, comparison_cell, notes_for

KEY = "interference-matrix"
GROUP = "pairs"


def matrix_table(matrix: InterferenceMatrix) -> Table:
    """One row a language that is hurt, one column a language that it was trained with, and means."""
    rows = [
        Row(GROUP, language, (*_cells(matrix, language, cells), _mean_cell(mean)))
        for language, cells, mean in zip(matrix.languages, matrix.cells, matrix.row_means, strict=True)
    ]
    rows.append(Row(GROUP, "what others lose to it", (*map(_mean_cell, matrix.column_means), Cell())))
    caption = (
        f"What the language of a row loses when it is trained with that of the column alone, in {matrix.harm.unit}: pair minus mono by "
        f"equal {matrix.budget}; above zero it is hurt. Means over seeds and {numbers.INTERVAL}, paired by seed."
    )
    columns = (*map(Column, matrix.languages), Column("mean"))
    title = "Who is hurt by whom"
    notes = (*_asymmetry(matrix), *notes_for(rows))
    return Table(KEY, title, caption, "mixture", columns, tuple(rows), notes, label_title="hurt")


def _cells(matrix: InterferenceMatrix, language: str, compared: Sequence[Comparison | None]) -> Iterator[Cell]:
    """Missing where the study asks for the pair."""
    for other, comparison in zip(matrix.languages, compared, strict=True):
        if comparison:
            yield comparison_cell(comparison)
        elif frozenset((language, other)) in matrix.asked:
            yield Cell(numbers.MISSING, is_missing=True)
        else:
            yield Cell()


def _mean_cell(mean: Estimate | None) -> Cell:
    return Cell(numbers.signed(mean), mean) if mean else Cell()


def _asymmetry(matrix: InterferenceMatrix) -> tuple[str, ...]:
    """Where there is a number to speak of."""
    if matrix.asymmetry is None:
        return ()
    clear = [
        f"{one.first} loses {'more' if one.difference.is_above_zero else 'less'} than {one.second}"
        for one in matrix.asymmetries
        if one.difference.is_above_zero or one.difference.is_below_zero
    ]
    share = numbers.share_of(matrix.asymmetry)
    words = "; ".join(clear) or "none"
    return (
        f"Asymmetry: {share} of the squared losses tells the two languages of a pair apart (noise alone gives about half). Beyond doubt: {words}.",
    )
