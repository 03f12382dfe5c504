"""Tables as files: CSV for programs (one cell a line, full precision), Markdown for reading, LaTeX (booktabs) for papers."""

import csv
import io
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from detente.report import numbers
from detente.report.tables import Cell, Row, Table
from detente.results import write_atomic

LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # At the beginning of a row they would belong to the \\ before it.
    "[": "{[}",
    "*": "{*}",
    "\N{NO-BREAK SPACE}": "~",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    numbers.PLUS_MINUS: r"$\pm$",
    numbers.MINUS: "$-$",
    numbers.TIMES: r"$\times$",
    numbers.DAGGER: r"\textsuperscript{\textdagger}",
}
MARKDOWN_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": " ", **{mark: f"\\{mark}" for mark in "\\|*`[]"}}
CSV_HEADER = ("system", "column", "text", "value", "low", "high", "seeds", "verdict", "has_learned", "is_best")


def write_table(table: Table, folder: Path) -> None:
    """Write `KEY.csv`, `KEY.md` and `KEY.tex`."""
    for suffix, render in (("csv", to_csv), ("md", to_markdown), ("tex", to_latex)):
        write_atomic(folder / f"{table.key}.{suffix}", render(table).encode())


def to_csv(table: Table) -> str:
    """One line a cell that has something in it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((table.group_title, *CSV_HEADER))
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.text:
                # A leading plus sign reads as a formula in spreadsheets.
                label = row.label.removeprefix("+ ")
                writer.writerow((row.group, label, f"{column.group} {column.title}".strip(), *_csv_values(cell)))
    return file.getvalue()


def _csv_values(cell: Cell) -> tuple[object, ...]:
    known = cell.estimate
    ends = (known.mean, known.low, known.high, known.seeds) if known else ("",) * 4
    plain = cell.text.replace(numbers.MINUS, "-").removeprefix("+")
    return plain, *ends, cell.word or "", str(cell.has_learned).lower(), str(cell.is_best).lower()


def to_markdown(table: Table) -> str:
    """A GitHub table with its caption above and its notes below."""
    header, *_ = table.as_rows()
    aligned = ["---", "---", *("---" if column.is_text else "---:" for column in table.columns)]
    body = [[escape_markdown(row.group), escape_markdown(row.label), *map(_marked, row.cells)] for row in table.rows]
    rows = [[escape_markdown(title) for title in header], aligned, *body]
    lines = [f"**{table.title}.** {table.caption}", "", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def _marked(cell: Cell) -> str:
    text = escape_markdown(cell.display)
    return f"**{text}**" if cell.is_best else f"{text} {cell.word or ''}".strip()


def escape_markdown(text: str) -> str:
    """So that a label is shown as it is, in a table's cell."""
    return _escaped(text, MARKDOWN_ESCAPES)


def to_latex(table: Table) -> str:
    """A `table` environment; needs \\usepackage{booktabs}."""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(f'{table.title}. {table.caption}')}}}",
        rf"\label{{tab:{table.key}}}",
        rf"\begin{{tabular}}{{ll{''.join('l' if column.is_text else 'r' for column in table.columns)}}}",
        r"\toprule",
        *_latex_header(table),
        r"\midrule",
        *_latex_body(table),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip\footnotesize {escape_latex(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return _escaped(text.replace("\n", " "), LATEX_ESCAPES)


def _latex_header(table: Table) -> Iterator[str]:
    if any(column.group for column in table.columns):
        groups = [(name, len(list(members))) for name, members in groupby(table.columns, lambda column: column.group)]
        spans = [rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(name)}}}" for name, width in groups]
        yield _latex_row(["", "", *spans])
    titles = [table.group_title, table.label_title, *(column.title for column in table.columns)]
    yield _latex_row([escape_latex(title) for title in titles])


def _latex_body(table: Table) -> Iterator[str]:
    for place, (group, rows) in enumerate(groupby(table.rows, lambda row: row.group)):
        if place:
            yield r"\addlinespace"
        for number, row in enumerate(rows):
            yield _latex_row([escape_latex(group) if number == 0 else "", *_latex_cells(row)])


def _latex_cells(row: Row) -> list[str]:
    return [escape_latex(row.label), *(_latex_cell(cell) for cell in row.cells)]


def _latex_cell(cell: Cell) -> str:
    text = escape_latex(cell.display)
    return rf"\textbf{{{text}}}" if cell.is_best else text


def _latex_row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in text)
