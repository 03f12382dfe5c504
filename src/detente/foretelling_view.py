"""What `detente diagnose` does with a study: its joint runs in turn, then who is hurt by whom and which diagnosis foretells it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from detente.diagnosis_view import FILES, Wishes, diagnose_run
from detente.examine import FOLDER
from detente.foretelling import foretell, joint_runs, pair_runs, truth_of
from detente.report import numbers
from detente.report.agreement_figure import draw_agreement
from detente.report.interference_matrix import InterferenceMatrix
from detente.report.inventory import Run, Study, read_study
from detente.report.matrix_figure import draw_matrix, interference_picture
from detente.report.matrix_table import matrix_table
from detente.terminal import print_table

NOTE = (
    "Spearman's correlation with what languages lose, over pairs of languages; 95 % by leaving out one language at a time. p: Mantel's "
    "test. Both ways: what i does to j and j to i are two cells. Pairs: they are averaged."
)


def is_study(folder: Path) -> bool:
    """Whether a folder has runs and is none."""
    return (folder / "runs").is_dir() and (folder / "study.yaml").is_file()


def diagnose_study(console: Console, folder: Path, wishes: Wishes) -> None:
    """Untreated runs with all languages get the diagnoses that are wished for, pairs their gradients; then they are compared with the truth.

    Raises:
        RecordError: see `truth_of`; nothing has been measured then.
    """
    study = read_study(folder)
    matrix = truth_of(folder, study)
    for run, asked in _missing(study, wishes):
        console.print(f"\n{run.record.name}", style="bold", highlight=False)
        diagnose_run(console, run.folder, asked)
    found = foretell(folder, study, matrix)
    _show_matrix(console, matrix, folder)
    header, *rows = found.as_rows()
    print_table(console, "Which diagnosis foretells interference", header, rows, [NOTE])
    draw_agreement(found, folder / FOLDER)


def _missing(study: Study, wishes: Wishes) -> Iterator[tuple[Run, Wishes]]:
    """Runs and what they lack: what is there already is not measured again."""
    joint = joint_runs(study)
    for run in (*joint, *pair_runs(study)):
        kinds = wishes.kinds if run in joint else wishes.kinds & {"gradients"}
        lacking = {kind for kind in kinds if not (run.folder / FOLDER / FILES[kind]).exists()}
        if lacking:
            yield run, replace(wishes, kinds=frozenset(lacking))


def _show_matrix(console: Console, matrix: InterferenceMatrix, folder: Path) -> None:
    table = matrix_table(matrix)
    titles = [table.label_title, *(column.title for column in table.columns)]
    # Intervals would not fit a terminal; the report has them.
    rows = [
        [row.label, *(numbers.difference(cell.estimate.mean) if cell.estimate else "" for cell in row.cells)]
        for row in table.rows
    ]
    print_table(console, table.title, titles, rows, [table.caption, *table.notes])
    draw_matrix(interference_picture(matrix), folder / FOLDER)
