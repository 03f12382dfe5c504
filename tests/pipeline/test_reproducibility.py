"""The same study twice: the same records."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import Start

Run = Callable[..., tuple[int, str, str]]

MEASURED = {"train_seconds", "total_seconds", "seconds", "peak_memory_bytes", "finished", "seal"}
"""Keys that two records of the same study may differ in: what is read off clocks and the system, and the checksum of it all."""
MEASURED_COLUMNS = {"training seconds", "all seconds", "seconds per step", "peak memory, MiB"}
"""The same in the tables of `results.json`."""
LANGUAGES = {
    "qaa": {"constructed": {"sentences": 300}},
    "qab": {"constructed": {"sentences": 300, "lexicon_seed": 2, "word_order": "sov"}},
}
TASK = {"epochs": 1, "examples_per_epoch": 64, "batch_sizes": [32], "learning_rates": [1e-2], "sources": ["qaa"]}
STUDY = {"languages": LANGUAGES, "mixtures": ["joint"], "tasks": {"nli": TASK}}
COMPARED = {"record.json", "task.json", "trials.jsonl", "metrics.jsonl", "manifest.json", "results.json", "plan.json"}
WITHOUT_FIGURES = """
from detente import cli
from detente.report import figures
figures.draw_all = lambda *_: []
cli.main()
"""


def unmeasured(value: Any) -> Any:
    """Without what is measured, at any depth."""
    if isinstance(value, list):
        return [unmeasured(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "columns" in value:
        value = {**value, "rows": [without_measured_columns(row, value["columns"]) for row in value["rows"]]}
    return {key: unmeasured(each) for key, each in value.items() if key not in MEASURED}


def without_measured_columns(row: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    cells = zip(row["cells"], columns, strict=True)
    return {**row, "cells": [cell for cell, column in cells if column not in MEASURED_COLUMNS]}


def contents(folder: Path) -> dict[str, Any]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name in COMPARED:
            text = path.read_text(encoding="utf-8")
            found[str(path.relative_to(folder))] = unmeasured(json.loads(text)) if path.suffix == ".json" else text
    return found


@pytest.mark.slow
def test_a_study_done_twice_has_the_same_records(
    study_file: Callable[..., Path], detente: Run, start_process: Start, without_figures: None, tmp_path: Path
) -> None:
    """Once by another process, whose sets are in another order."""
    file, first, second = study_file(**STUDY), tmp_path / "first" / "study", tmp_path / "second" / "study"
    script = tmp_path / "without_figures.py"
    script.write_text(WITHOUT_FIGURES, encoding="utf-8")
    process = start_process(str(script), "study", file, "--folder", second)
    code, _, errors = detente("study", file, "--folder", first)
    assert (code, errors) == (0, "")
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    found = contents(first)
    assert {Path(name).name for name in found} == COMPARED
    assert found == contents(second)
