"""From run records to what people read: a page, tables (CSV, Markdown, LaTeX), figures (PDF, PNG, SVG); and JSON for programs.

In comes a study folder; out come `report.html`, `tables/`, `figures/` and `results.json` in it. The same records give the same bytes.
Nothing here knows torch.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from detente.report.curves import CurveBook
from detente.report.diagnoses import read_agreement, read_diagnoses
from detente.report.interference_matrix import (
    InterferenceMatrix,
    has_matrix,
    interference_matrix,
    mixtures_beside_matrix,
)
from detente.report.inventory import Study, read_study
from detente.report.ladder import ladder_table
from detente.report.matrix_table import KEY, matrix_table
from detente.report.measures import BITS, EARLY_LOSS, INTERFERENCE, PERPLEXITY
from detente.report.meta_table import second_order_table
from detente.report.paper_tables import PaperTable, as_table, paper_tables
from detente.report.side_tables import cost, recovered_table, summary, text_seen
from detente.report.tables import Cell, Column, Row, Table, measure_table
from detente.report.task_tables import task_tables
from detente.results import write_atomic

__all__ = ["Cell", "Column", "Row", "Table", "summary_table", "write_report"]

PAGE_FILE = "report.html"
TABLES = (
    *(m.key for m in (INTERFERENCE, BITS, PERPLEXITY, EARLY_LOSS)),
    "summary",
    KEY,
    "ladder",
    "recovered",
    "second-order",
    "task-*",
    "text-seen",
    "cost",
    "paper-*",
)
OWN_FILES = (
    *(f"tables/{key}.{suffix}" for key in TABLES for suffix in ("csv", "md", "tex")),
    *(
        f"figures/{kind}.{suffix}"
        for kind in (
            "interference-*",
            "validation-*",
            "early-loss-*",
            "paper-*",
            "gradient-series-*",
            "mask-*",
            "similarity",
            "agreement",
        )
        for suffix in ("pdf", "png", "svg")
    ),
)
"""What a report writes, as patterns: anything else in those folders is somebody's own."""


def write_report(study_folder: Path, *, with_published: bool = False) -> Path:
    """Write page, tables, figures and `results.json` of a study into its folder, and return the page's path.

    Args:
        with_published: whether the paper's published numbers stand beside the study's own, as tables of differences.

    Raises:
        RecordError: the folder has no runs, or its plan, a run's metrics or a diagnosis are damaged.
    """
    # Drawing libraries are slow to import, and a table in the terminal needs none.
    from detente.report.diagnosis_section import draw_diagnoses, subject_of
    from detente.report.figures import draw_all
    from detente.report.formats import write_table
    from detente.report.page import render
    from detente.report.paper_contents import contents_table
    from detente.report.paper_figures import draw_paper_figures
    from detente.report.results_file import write_results

    study = read_study(study_folder)
    book = CurveBook(study)
    matrix = matrix_of(study)
    papers = paper_tables(study)
    diagnoses = {mixture: read_diagnoses(study, mixture) for mixture in mixtures_beside_matrix(study)}
    agreement = read_agreement(study_folder)
    # Whatever cannot be read has said so by now, and an older report is still whole.
    _remove_older(study_folder)
    drawings = draw_all(study, book, matrix, study_folder / "figures")
    drawn = draw_paper_figures(study, book, study_folder / "figures")
    tables = [
        *_own_tables(study, matrix),
        *_of_the_paper(study, papers, with_published=with_published),
        contents_table(papers, drawn),
    ]
    for table in tables:
        write_table(table, study_folder / "tables")
    write_results(study, tables, matrix, study_folder)
    parts = draw_diagnoses(subject_of(diagnoses.values()), agreement, study_folder / "figures")
    path = study_folder / PAGE_FILE
    write_atomic(path, render(study, tables, drawings, diagnoses, parts).encode())
    return path


def _of_the_paper(study: Study, papers: Mapping[str, PaperTable | None], *, with_published: bool) -> Iterator[Table]:
    """Each with the published differences after it, where they are wished for."""
    from detente.report.published import differences_table

    for paper in papers.values():
        if paper:
            yield as_table(study, paper)
        if paper and with_published and (table := differences_table(study, paper)):
            yield table


def _remove_older(study_folder: Path) -> None:
    """A table that the records no longer support must not stay beside those they do."""
    for name in OWN_FILES:
        for path in study_folder.glob(name):
            path.unlink()


def summary_table(study_folder: Path) -> Table:
    """The table for a terminal: one block a language, one row a system. `as_rows()` gives header and rows as text.

    Raises:
        RecordError: the folder has no runs, or its plan is damaged.
    """
    return summary(read_study(study_folder))


def matrix_of(study: Study) -> InterferenceMatrix | None:
    """Who is hurt by whom, in studies of pairs."""
    return interference_matrix(study) if has_matrix(study) else None


def all_tables(study: Study) -> list[Table]:
    """Every table that has something in it, but those of the paper."""
    return _own_tables(study, matrix_of(study))


def _own_tables(study: Study, matrix: InterferenceMatrix | None) -> list[Table]:
    tables = [
        summary(study),
        measure_table(study, INTERFERENCE, with_mono=False),
        *([matrix_table(matrix)] if matrix else []),
        ladder_table(study),
        recovered_table(study),
        measure_table(study, BITS),
        measure_table(study, PERPLEXITY),
        measure_table(study, EARLY_LOSS),
        second_order_table(study),
        *task_tables(study),
        text_seen(study),
        cost(study),
    ]
    return [table for table in tables if any(cell.text for row in table.rows for cell in row.cells)]
