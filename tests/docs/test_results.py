"""The tables on the pages of results are what the committed records give."""

import importlib
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from detente.diagnosis_results.agreement import Agreement, rank_agreement
from detente.diagnosis_results.masks import ParameterMasks
from detente.report import all_tables
from detente.report.formats import to_markdown, write_table
from detente.report.interference_matrix import InterferenceMatrix, interference_matrix
from detente.report.inventory import read_study
from detente.report.matrix_table import matrix_table
from detente.report.numbers import MINUS
from detente.results import RunRecord, read_record, write_json
from detente.task_results import TaskRecord

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
OF_PAIRS = ("pairs-constructed", "pairs-real")
"""Studies of which the page shows who is hurt by whom: a summary of dozens of mixtures nobody reads."""
RECORDED = sorted(path for path in RESULTS.glob("*/records.jsonl") if not path.parent.name.startswith("pairs-"))


PAGES = {"en-sw-steps": "en-sw", "meta-constructed": "meta", "meta-en-sw": "meta", "tasks-en-sw": "tasks"}
"""Records -> their page, where it has another name."""


def script(name: str) -> ModuleType:
    """One that is no module of the package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SYSTEMS = script("compare_systems")


def page_of(records: Path) -> str:
    return (RESULTS / f"{PAGES.get(records.parent.name, records.parent.name)}.md").read_text(encoding="utf-8")


def test_there_are_results() -> None:
    assert {path.parent.name for path in RECORDED} >= {"demo", "en-sw", "en-sw-steps"}


@pytest.mark.parametrize("records", RECORDED, ids=lambda path: path.parent.name)
def test_the_pages_table_is_made_from_the_records(records: Path, tmp_path: Path) -> None:
    tables = {table.key: table for table in all_tables(read_study(SYSTEMS.rebuilt(records, tmp_path)))}
    page = page_of(records)
    assert len(tables["summary"].rows) >= 8
    # Only the first is always there.
    for key in (key for key in tables if key in ("summary", "second-order") or key.startswith("task-")):
        write_table(tables[key], tmp_path)
        text = (tmp_path / f"{key}.md").read_text(encoding="utf-8")
        assert [row for row in text.splitlines() if row[:1] == "|" and row not in page] == []


def table_rows(text: str) -> list[str]:
    return [row for row in text.splitlines() if row[:1] == "|"]


def matrix_of(name: str, scratch: Path) -> InterferenceMatrix:
    return interference_matrix(read_study(SYSTEMS.rebuilt(RESULTS / name / "records.jsonl", scratch)))


def rows_not_on_the_page(matrix: InterferenceMatrix) -> list[str]:
    page = (RESULTS / "diagnosis.md").read_text(encoding="utf-8")
    return [row for row in table_rows(to_markdown(matrix_table(matrix))) if row not in page]


@pytest.mark.parametrize("name", OF_PAIRS)
def test_matrices_are_made_from_the_records(name: str, tmp_path: Path) -> None:
    assert rows_not_on_the_page(matrix_of(name, tmp_path)) == []


def test_the_matrix_by_equal_steps_is_made_from_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    folders = (RESULTS / "pairs-constructed", RESULTS / "pairs-constructed-alone")
    matrix = script("matrix_by_steps").by_steps(*folders, tmp_path)
    assert matrix.budget == "steps"
    assert rows_not_on_the_page(matrix) == []


@pytest.mark.parametrize("name", OF_PAIRS)
def test_agreements_are_made_from_the_records(name: str, tmp_path: Path) -> None:
    """The truth from the records, the predictors as they are kept beside the agreement."""
    kept = Agreement.read(RESULTS / name)
    matrix = matrix_of(name, tmp_path)
    predictors = {key: values for key, values in kept.matrices.items() if key != kept.truth}
    made = rank_agreement(matrix.languages, matrix.values, predictors)
    assert (made.languages, sorted(made.as_rows())) == (kept.languages, sorted(kept.as_rows()))
    page = (RESULTS / "diagnosis.md").read_text(encoding="utf-8")
    rows = [f"| {' | '.join(row)} |".replace("-", MINUS) for row in kept.as_rows()[1:]]
    assert [row for row in rows if row not in page] == []


def test_the_table_of_masks_is_made_from_the_masks() -> None:
    masks = ParameterMasks.read(RESULTS / "pairs-real")
    page = (RESULTS / "diagnosis.md").read_text(encoding="utf-8")
    own = {label: masks.swaps[label][label] for label in masks.languages}
    least = {
        label: min(losses[label] for mask, losses in masks.swaps.items() if mask != label) for label in masks.languages
    }
    rows = {"none": masks.full_loss, "of the language itself": own, "of another, the least harmful": least}
    rows |= {f"without what {owner} alone has open": removal.loss for owner, removal in masks.removals.items()}
    for name, losses in rows.items():
        (line,) = (line for line in table_rows(page) if line.startswith(f"| {name} "))
        assert line.endswith(f"| {' | '.join(f'{losses[label]:.3f}' for label in masks.languages)} |")


def test_comparisons_of_systems_are_made_from_the_records(tmp_path: Path) -> None:
    page = (RESULTS / "meta.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+) minus (\S+) \|.*$", page, flags=re.MULTILINE)
    made = []
    for records in (path for path in RECORDED if PAGES.get(path.parent.name) == "meta"):
        study = read_study(SYSTEMS.rebuilt(records, tmp_path / records.parent.name))
        known = {system.name for system in study.systems}
        made += SYSTEMS.table(study, [pair for pair in rows if known.issuperset(pair)])
    assert len(rows) >= 10
    assert [line for line in page.splitlines() if re.match(r"\| \S+ minus ", line) and line not in made] == []


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_a_benchmark_finds_what_it_imports(name: str) -> None:
    assert importlib.import_module(name).__doc__


@pytest.mark.parametrize("name", ["meta_cost_mini", "meta_cost_paper", "meta_cost_paper_languages"])
def test_costs_are_made_from_the_records(name: str) -> None:
    page = (RESULTS / "meta.md").read_text(encoding="utf-8")
    record = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    lines = [line for result in record["results"] for line in importlib.import_module("meta_cost").table(result)]
    assert len(lines) > 10
    assert [line for line in lines if line not in page] == []


def test_the_projection_is_what_its_script_computes() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    rows = importlib.import_module("scaling_projection").rows()
    assert len(rows) == 8
    assert [row for row in rows if row not in page] == []


def test_the_checkpoint_of_others_has_the_scores_of_its_record() -> None:
    record = TaskRecord.model_validate_json((RESULTS / "tasks-en-sw" / "checkpoint.json").read_text(encoding="utf-8"))
    within, zero_shot, _ = (score.value for score in record.scores)
    page = " ".join((RESULTS / "tasks.md").read_text(encoding="utf-8").split())
    assert f"{within:.1f} within English and {zero_shot:.1f} zero-shot on Swahili" in page


def test_what_the_plan_left_out_is_not_recorded(tmp_path: Path) -> None:
    study = SYSTEMS.rebuilt(RESULTS / "demo" / "records.jsonl", tmp_path / "study")
    entries = [
        {**record.model_dump(include={"name", "mixture", "treatment", "variant", "seed"}), "folder": path.name}
        for path in sorted((study / "runs").iterdir())
        if (record := read_record(path)).treatment != "ffn"
    ]
    write_json(study / "plan.json", {"runs": entries})
    script("record_results").record(study, "demo", tmp_path / "results")
    lines = (tmp_path / "results" / "demo" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [RunRecord.model_validate_json(line) for line in lines]
    assert [record.name for record in records] == [entry["name"] for entry in entries]
    assert "ffn" not in {record.treatment for record in records}
    # Records alone have no curves; of the figures those that the page shows are kept.
    assert [path.name for path in tmp_path.glob("results/demo/*.png")] == ["interference-qaa-qab.png"]
