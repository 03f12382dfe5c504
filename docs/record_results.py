"""Keep what stands behind a page of results: `python docs/record_results.py STUDY_FOLDER NAME`.

Writes `docs/results/NAME/records.jsonl`, the study's records one a line, and the figures that the page shows. A test makes the
page's table again from the records, and compares.
"""

import json
import shutil
import sys
from pathlib import Path

from detente.report import write_report
from detente.results import read_records

RESULTS = Path(__file__).parent / "results"


def record(study_folder: Path, name: str) -> None:
    """Copy records and interference figure of a finished study."""
    goal = RESULTS / name
    goal.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(each.model_dump(mode="json"), ensure_ascii=False) for each in read_records(study_folder)]
    (goal / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_report(study_folder)
    for figure in (*study_folder.glob("figures/interference-*.png"), *study_folder.glob("figures/validation-*.png")):
        shutil.copy(figure, goal / figure.name.replace("+", "-"))


if __name__ == "__main__":
    record(Path(sys.argv[1]), sys.argv[2])
