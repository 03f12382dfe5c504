"""From run records to what people read: a page, tables (CSV, Markdown, LaTeX) and figures (PDF, PNG, SVG).

In comes a study folder; out come `report.html`, `tables/` and `figures/` in it. The same records give the same bytes.
Nothing here knows torch.
"""

from pathlib import Path

from detente.report.diagnoses import read_agreement, read_diagnoses
from detente.report.interference_matrix import has_matrix, interference_matrix, mixtures_beside_matrix
from detente.report.inventory import Study, read_study
from detente.report.ladder import ladder_table
from detente.report.matrix_table import KEY, matrix_table
from detente.report.measures import BITS, EARLY_LOSS, INTERFERENCE, PERPLEXITY
from detente.report.meta_table import second_order_table
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
)
OWN_FILES = (
    *(f"tables/{key}.{suffix}" for key in TABLES for suffix in ("csv", "md", "tex")),
    *(
        f"figures/{kind}.{suffix}"
        for kind in (
            "interference-*",
            "validation-*",
            "early-loss-*",
            "gradient-series-*",
            "mask-*",
            "similarity",
            "agreement",
        )
        for suffix in ("pdf", "png", "svg")
    ),
)
"""What a report writes, as patterns: anything else in those folders is somebody's own."""


def write_report(study_folder: Path) -> Path:
    """Write page, tables and figures of a study into its folder, and return the page's path.

    Raises:
        RecordError: the folder has no runs, or its plan, a run's metrics or a diagnosis are damaged.
    """
    # Drawing libraries are slow to import, and a table in the terminal needs none.
    from detente.report.diagnosis_section import draw_diagnoses, subject_of
    from detente.report.figures import draw_all
    from detente.report.formats import write_table
    from detente.report.page import render

    study = read_study(study_folder)
    tables = all_tables(study)
    diagnoses = {mixture: read_diagnoses(study, mixture) for mixture in mixtures_beside_matrix(study)}
    agreement = read_agreement(study_folder)
    _remove_older(study_folder)
    for table in tables:
        write_table(table, study_folder / "tables")
    drawings = draw_all(study, study_folder / "figures")
    parts = draw_diagnoses(subject_of(diagnoses.values()), agreement, study_folder / "figures")
    path = study_folder / PAGE_FILE
    write_atomic(path, render(study, tables, drawings, diagnoses, parts).encode())
    return path


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


def all_tables(study: Study) -> list[Table]:
    """Every table that has something in it."""
    tables = [
        summary(study),
        measure_table(study, INTERFERENCE, with_mono=False),
        *([matrix_table(interference_matrix(study))] if has_matrix(study) else []),
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
