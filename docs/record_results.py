"""Keep what stands behind a page of results: `python docs/record_results.py STUDY_FOLDER NAME`.

Writes `docs/results/NAME/records.jsonl`, the records that the study's report is made from, one a line, `tasks.jsonl` with those of its
fine-tunings, the agreement of its diagnoses with interference where a study has it, and those of the report's figures that a page shows. A test makes
the page's tables again from the records, and compares.
"""

import json
import shutil
import sys
from pathlib import Path

from detente.diagnosis_results.agreement import Agreement
from detente.examine import FOLDER
from detente.report import write_report
from detente.report.inventory import read_study
from detente.results import RECORD_FILE, RunRecord, read_record
from detente.task_results import TaskRecord

RESULTS = Path(__file__).parent / "results"


def record(study_folder: Path, name: str, results: Path = RESULTS) -> None:
    """Copy records and figures of a finished study."""
    goal = results / name
    goal.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(each.model_dump(mode="json"), ensure_ascii=False) for each in reported(study_folder)]
    (goal / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tasks = [json.dumps(task.model_dump(mode="json"), ensure_ascii=False) for task in fine_tunings(study_folder)]
    if tasks:
        (goal / "tasks.jsonl").write_text("\n".join(tasks) + "\n", encoding="utf-8")
    write_report(study_folder)
    shown = "".join(page.read_text(encoding="utf-8") for page in RESULTS.glob("*.md"))
    for figure in sorted(study_folder.glob("figures/*.png")):
        copy = figure.name.replace("+", "-")
        if f"({name}/{copy})" in shown:
            shutil.copy(figure, goal / copy)
    for agreement in (study_folder / FOLDER / Agreement.FILE, study_folder / FOLDER / "agreement.png"):
        if agreement.exists():
            shutil.copy(agreement, goal / agreement.name)


def reported(study_folder: Path) -> list[RunRecord]:
    """By name of the run folder, without what the plan no longer asks for: without the plan that would come into the tables."""
    left_out = {gap.name for gap in read_study(study_folder).gaps if not gap.is_expected}
    paths = sorted(study_folder.glob(f"runs/*/{RECORD_FILE}"))
    return [read_record(path.parent) for path in paths if path.parent.name not in left_out]


def fine_tunings(study_folder: Path) -> list[TaskRecord]:
    """Of the runs that are reported."""
    return [task for run in read_study(study_folder).runs for task in run.tasks]


if __name__ == "__main__":
    record(Path(sys.argv[1]), sys.argv[2])
