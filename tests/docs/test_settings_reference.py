"""The committed settings reference is what its script gives, and it lacks no setting."""

import importlib.util
import runpy
from pathlib import Path
from types import ModuleType

import pytest

from detente.report.results_schema import StudyResults
from detente.settings import StudySettings
from detente.settings.load import setting_names

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_settings_reference", DOCS / "make_settings_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_files_are_fresh(script: ModuleType) -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == script.reference(), "run `make docs`"
    assert (DOCS / "study.schema.json").read_text(encoding="utf-8") == script.schema(), "run `make docs`"


def test_every_setting_has_a_row_under_its_group_with_a_meaning(script: ModuleType) -> None:
    sections = script.reference().split("\n## ")
    by_title = {section.split("\n", 1)[0].strip("`"): section for section in sections}
    names = [name for name in setting_names(StudySettings) if name not in script.GROUPS]
    assert "training.learning_rate" in names and "splits.meta" in names

    for name in names:
        group, _, setting = name.rpartition(".")
        rows = [row for row in by_title[group or "The study"].splitlines() if row.startswith(f"| `{setting}` |")]
        assert len(rows) == 1, name
        assert not rows[0].endswith("|  |"), f"{name} has no docstring"


def test_presets_show_what_a_preset_decides(script: ModuleType) -> None:
    presets = script.reference().split("\n## Presets")[1]

    assert "| `encoder.layers` | `2` | `4` | `8` | `4` |" in presets
    assert "`training.weight_decay`" not in presets


def test_the_committed_schema_of_results_is_fresh() -> None:
    found = runpy.run_path(str(DOCS / "make_results_schema.py"))
    assert (DOCS / "results.schema.json").read_text(encoding="utf-8") == found["schema"](), "run `make docs`"


def test_the_page_of_the_report_names_all_that_results_hold() -> None:
    page = (DOCS / "report.md").read_text(encoding="utf-8").split("## `results.json`")[1]
    assert [name for name in StudyResults.model_fields if f"`{name}`" not in page] == []
