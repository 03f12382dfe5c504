"""The tables on the pages of results are what the committed records give."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from detente.report import all_tables
from detente.report.formats import write_table
from detente.report.inventory import read_study
from detente.results import RunRecord, read_record, write_json, write_record

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
    page = (RESULTS / f"{records.parent.name.removesuffix('-steps')}.md").read_text(encoding="utf-8")
    assert len(tables["summary"].rows) >= 8
    # The second is there only where meta-adapters measured their two terms.
    for key in {"summary", "second-order"} & tables.keys():
        write_table(tables[key], tmp_path)
        text = (tmp_path / f"{key}.md").read_text(encoding="utf-8")
        assert [row for row in text.splitlines() if row[:1] == "|" and row not in page] == []


def recorder() -> ModuleType:
    """`docs/record_results.py`, which is no module of the package."""
    spec = importlib.util.spec_from_file_location("record_results", RESULTS.parent / "record_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_the_plan_left_out_is_not_recorded(tmp_path: Path) -> None:
    study = rebuilt(RESULTS / "demo" / "records.jsonl", tmp_path / "study")
    entries = [
        {**record.model_dump(include={"name", "mixture", "treatment", "variant", "seed"}), "folder": path.name}
        for path in sorted((study / "runs").iterdir())
        if (record := read_record(path)).treatment != "ffn"
    ]
    write_json(study / "plan.json", {"runs": entries})
    recorder().record(study, "again", tmp_path / "results")
    lines = (tmp_path / "results" / "again" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [RunRecord.model_validate_json(line) for line in lines]
    assert [record.name for record in records] == [entry["name"] for entry in entries]
    assert "ffn" not in {record.treatment for record in records}
    assert (tmp_path / "results" / "again" / "interference-qaa-qab.png").exists()
