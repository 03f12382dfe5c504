"""Which of the source's tables and figures a study has, and what the others need."""

from collections.abc import Iterator, Mapping

from detente.report import paper_figures, paper_kinds
from detente.report.canvas import Drawing
from detente.report.paper_tables import PaperTable
from detente.report.tables import Cell, Column, Row, Table

KEY = "paper-contents"


def contents_table(tables: Mapping[str, PaperTable | None], drawings: Mapping[str, Drawing | str]) -> Table:
    """One row for each of the source's Tables 2 to 7 and Figures 1 to 4c."""
    caption = (
        "The tables and figures of the paper, made from this study's own runs where it has them: tables below and in `tables`, figures "
        "in `figures`."
    )
    columns = (Column("file", is_text=True), Column("what it lacks", is_text=True))
    rows = (*_tables(tables), *_figures(drawings))
    return Table(KEY, "Tables and figures of the paper", caption, "kind", columns, rows, label_title="number")


def _tables(tables: Mapping[str, PaperTable | None]) -> Iterator[Row]:
    for number, paper in tables.items():
        kind = paper_kinds.KINDS[number]
        lacks = "" if paper else f"needs {kind.needs}"
        yield Row(
            "tables", f"Table {number}: {kind.title}", (Cell(f"tables/{paper.key}.csv" if paper else ""), Cell(lacks))
        )


def _figures(drawings: Mapping[str, Drawing | str]) -> Iterator[Row]:
    for number, drawing in drawings.items():
        file, lacks = ("", drawing) if isinstance(drawing, str) else (f"figures/{drawing.key}.pdf", "")
        yield Row("figures", f"Figure {number}: {paper_figures.KINDS[number].title}", (Cell(file), Cell(lacks)))
