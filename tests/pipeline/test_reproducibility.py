"""The same study twice: the same records. With other threads: nearly the same."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from forked import Start

from detente.corpus.constructed import write_tasks
from detente.report import write_report
from detente.results import read_records
from detente.settings import load_study
from detente.study import run_study
from detente.study.fine_tune import fine_tune_study

pytestmark = pytest.mark.slow

MEASURED = {"train_seconds", "total_seconds", "seconds", "peak_memory_bytes", "finished", "seal"}
"""Keys that two records of the same study may differ in: what is read off clocks and the system, and the checksum of it all."""
MEASURED_COLUMNS = {"training seconds", "all seconds", "seconds per step", "peak memory, MiB"}
"""The same in the tables of `results.json`."""
LANGUAGES = {
    "qaa": {"constructed": {"sentences": 300}},
    "qab": {"constructed": {"sentences": 300, "lexicon_seed": 2, "word_order": "sov"}},
}
TASK = {"epochs": 1, "examples_per_epoch": 64, "batch_sizes": [32], "learning_rates": [1e-2], "sources": ["qaa"]}
# Large enough for torch to share the work among threads.
ENCODER = {"layers": 1, "width": 64, "heads": 4, "feed_forward_width": 128, "dropout": 0.1}
STUDY = {
    "languages": LANGUAGES,
    "mixtures": ["joint"],
    "encoder": ENCODER,
    "batches": {"block_length": 32, "blocks": 16},
    "tasks": {"nli": TASK},
}
# Relative, of test losses. Threads split sums, which float32 rounds by 6e-8. Measured with 40 steps (2 seeds) and 200 (3 seeds), plain and
# meta: at most 1.4e-8, as rounding cancels in a mean. Where a loss falls steeply it is far more (docs/reliability.md).
SAME_LOSS = 1e-6
COMPARED = {"record.json", "task.json", "trials.jsonl", "metrics.jsonl", "manifest.json", "results.json", "plan.json"}
FEW = {"train": 120, "validation": 30, "test": 40}
"""Labelled examples of a language."""
SMALLER = f"""
from functools import partial
from detente import cli
from detente.report import figures
from detente.study import task_jobs
figures.draw_all = lambda *_: []
task_jobs.write_tasks = partial(task_jobs.write_tasks, **{FEW})
cli.main()
"""
"""The command, without figures and with fewer labelled examples than there would be: that takes most of the time."""
WITH_TWO_THREADS = """
import sys
from pathlib import Path
import torch
from detente.settings import load_study
from detente.study import run_study
torch.set_num_threads(2)
run_study(load_study(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, study_values: Callable[..., dict[str, Any]]) -> Path:
    """Of the study."""
    path = tmp_path_factory.mktemp("asked") / "study.yaml"
    path.write_text(yaml.safe_dump(study_values(**STUDY), sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Path:
    """The study's folder: two runs, each fine-tuned, and the report."""
    folder, study = tmp_path_factory.mktemp("once") / "study", load_study(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detente.report.figures.draw_all", lambda *_: [])
        patch.setattr("detente.study.task_jobs.write_tasks", partial(write_tasks, **FEW))
        assert all(outcome.record for outcome in [*run_study(study, folder), *fine_tune_study(study, folder)])
        write_report(folder)
    return folder


def finish(start_process: Start, folder: Path, script: str, *arguments: str | Path) -> None:
    """A script in a process of its own, which ends well."""
    path = folder / "script.py"
    path.write_text(script, encoding="utf-8")
    process = start_process(str(path), *arguments)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")


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


def test_a_study_done_twice_has_the_same_records(once: Path, file: Path, start_process: Start, tmp_path: Path) -> None:
    """By another process, whose sets are in another order."""
    finish(start_process, tmp_path, SMALLER, "study", file, "--folder", tmp_path / "study")
    found = contents(tmp_path / "study")
    assert {Path(name).name for name in found} == COMPARED
    assert found == contents(once)


def test_other_threads_give_nearly_the_same_losses(
    once: Path, file: Path, start_process: Start, tmp_path: Path
) -> None:
    shutil.copytree(once / "data", tmp_path / "study" / "data")
    finish(start_process, tmp_path, WITH_TWO_THREADS, file, tmp_path / "study")
    for one, two in zip(read_records(once), read_records(tmp_path / "study"), strict=True):
        assert (one.machine["threads"], two.machine["threads"]) == ("1", "2")
        for label, result in one.languages.items():
            assert two.languages[label].test.loss == pytest.approx(result.test.loss, rel=SAME_LOSS)
