"""The tables on the pages of results are what the committed records give."""

from pathlib import Path

import pytest

from detente.report import all_tables
from detente.report.formats import write_table
from detente.report.inventory import read_study
from detente.results import RunRecord, write_record

RESULTS = Path(__file__).parents[2] / "docs" / "results"
RECORDED = sorted(RESULTS.glob("*/records.jsonl"))


def rebuilt(records: Path, folder: Path) -> Path:
    """A study folder with these records."""
    for line in records.read_text(encoding="utf-8").splitlines():
        record = RunRecord.model_validate_json(line)
        run = folder / "runs" / f"{record.name}-{record.fingerprint[:8]}"
        run.mkdir(parents=True)
        write_record(run, record)
    return folder


def test_there_are_results() -> None:
    assert {path.parent.name for path in RECORDED} >= {"demo", "en-sw", "en-sw-steps"}


@pytest.mark.parametrize("records", RECORDED, ids=lambda path: path.parent.name)
def test_the_pages_table_is_made_from_the_records(records: Path, tmp_path: Path) -> None:
    tables = {table.key: table for table in all_tables(read_study(rebuilt(records, tmp_path)))}
    write_table(tables["summary"], tmp_path)
    rows = [line for line in (tmp_path / "summary.md").read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    page = (RESULTS / f"{records.parent.name.removesuffix('-steps')}.md").read_text(encoding="utf-8")
    assert len(rows) >= 10
    for row in rows:
        assert row in page
