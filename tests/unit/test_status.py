"""How far a study is, told from what its folder holds."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from detente.lock import LOCK_FILE, locked
from detente.results import METRICS_FILE, RunRecord, write_json, write_record
from detente.settings import RunSettings, StudySettings, study_from_mapping
from detente.status_view import show_status
from detente.study.plan import plan_runs
from detente.study.status import StudyStatus, study_status
from detente.task_results import TaskRecord, write_task_failure, write_task_record

TASKS = {"ner": {"data": {label: {"train": "t", "test": "e"} for label in ("en", "sw")}, "seeds": [1, 2]}}
STEPS = 100


def make_study(**settings: Any) -> StudySettings:
    values = {
        "name": "small",
        "preset": "tiny",
        "languages": {label: {"paths": "x"} for label in ("en", "sw")},
        "training": {"steps": STEPS, "warmup_steps": 1},
        **settings,
    }
    return study_from_mapping(values)


def tokens(settings: RunSettings, steps: int) -> int:
    return steps * settings.batches.blocks * settings.batches.block_length


class Folder:
    """A study's folder, written by hand."""

    def __init__(self, root: Path, study: StudySettings) -> None:
        self.root, self.study = root, study
        self.settings = {run.name: run.settings for run in plan_runs(study)}

    def run(self, name: str) -> Path:
        return self.root / "runs" / f"{name}-0123abcd"

    def begin(self, name: str, *, at: float) -> None:
        """A sitting begins."""
        path = self.run(name) / "settings.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(self.settings[name].model_dump(mode="json")), encoding="utf-8")
        os.utime(path, (at, at))

    def step(self, name: str, steps: int, *, at: float) -> None:
        path = self.run(name) / METRICS_FILE
        lines = [json.dumps({"kind": "train", "step": step}) for step in range(1, steps + 1)]
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        os.utime(path, (at, at))

    def save(self, name: str, step: int, seconds: float, *, at: float) -> None:
        path = self.run(name) / "checkpoints" / f"step-{step}" / "state.json"
        write_json(path, {"step": step, "total_seconds": seconds})
        os.utime(path, (at, at))

    def end(self, name: str, status: str = "success", **values: Any) -> None:
        settings = self.settings[name]
        record = RunRecord(
            name=name,
            fingerprint="f",
            status=status,  # type: ignore[arg-type]
            mixture=settings.mixture,
            treatment=settings.treatment,
            seed=settings.seed,
            settings=settings.model_dump(mode="json"),
            vocabulary="v",
            finished="2026-01-02T03:04:05+00:00",
            **{
                "steps": STEPS,
                "tokens": tokens(settings, STEPS),
                "train_seconds": 40.0,
                "total_seconds": 50.0,
                **values,
            },
        )
        write_record(self.run(name), record)

    def status(self) -> StudyStatus:
        return study_status(self.study, self.root)

    def shown(self) -> str:
        text = io.StringIO()
        show_status(Console(file=text, width=160), self.study, self.root)
        return text.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "out", make_study())


def test_a_study_that_has_not_begun(folder: Folder) -> None:
    found = folder.status()
    assert [(run.name, run.state, run.steps, run.total, run.left) for run in found.runs] == [
        (name, "waiting", 0, STEPS, None) for name in ("en_none_seed1", "sw_none_seed1", "en+sw_none_seed1")
    ]
    assert (found.left, found.is_in_hand) == (None, False)
    assert not folder.root.exists(), "looking leaves nothing behind"
    assert "3 runs: 3 waiting. How long the rest takes is not known yet, and nobody is at it" in folder.shown()


def test_a_run_in_hand_goes_on_at_the_rate_of_all_its_sittings(folder: Folder) -> None:
    name = "en_none_seed1"
    folder.begin(name, at=1000.0)
    folder.step(name, 20, at=1010.0)
    with locked(folder.run(name)):
        run = folder.status().runs[0]
        assert (run.state, run.steps, run.seconds, run.left) == ("running", 20, 10.0, 40.0)
        assert run.rate == tokens(folder.settings[name], 20) / 10
        # Saved after 15 s, then interrupted; ten steps and 5 s into the next sitting.
        folder.save(name, 30, 15.0, at=1015.0)
        folder.begin(name, at=2000.0)
        folder.step(name, 40, at=2005.0)
        run = folder.status().runs[0]
        assert (run.steps, run.seconds, run.left) == (40, 20.0, 30.0)
        # A checkpoint of this sitting.
        folder.save(name, 50, 25.0, at=2010.0)
        folder.step(name, 60, at=2015.0)
        run = folder.status().runs[0]
        assert (run.steps, run.seconds, run.left) == (60, 30.0, 20.0)
    run = folder.status().runs[0]
    assert (run.state, run.steps, run.seconds) == ("interrupted", 50, 25.0), "what was not saved is done again"


def test_runs_that_wait_take_what_they_cost_beside_those_that_are_done(tmp_path: Path) -> None:
    folder = Folder(tmp_path, make_study(budget="examples"))
    folder.end("en_none_seed1")
    done, waiting, joint = folder.status().runs
    assert (done.state, done.left, done.rate) == ("done", 0.0, tokens(folder.settings[done.name], STEPS) / 40.0)
    assert (waiting.left, joint.total, joint.left) == (pytest.approx(50.0), 2 * STEPS, pytest.approx(100.0))
    assert folder.status().left == pytest.approx(150.0)
    for name in (waiting.name, joint.name):
        folder.begin(name, at=1000.0)
    with locked(folder.run(waiting.name)), locked(folder.run(joint.name)):
        found = folder.status()
        assert [run.state for run in found.runs] == ["done", "running", "running"]
        assert found.left == pytest.approx(100.0), "two at a time, and the longer one is not split"


def test_a_failed_run_says_why_and_is_not_waited_for(folder: Folder) -> None:
    folder.end("en_none_seed1")
    folder.end("sw_none_seed1")
    folder.end("en+sw_none_seed1", "failed", steps=7, error="step 7: the loss of en is not finite.\nand more")
    found = folder.status()
    assert (found.runs[2].state, found.left) == ("failed", 0.0)
    last = folder.shown().splitlines()[-1]
    assert last.startswith("3 runs: 2 done, 1 failed.")
    assert "step 7: the loss of en is not finite." in folder.shown() and "and more" not in folder.shown()


def test_runs_of_other_settings_are_not_taken_for_these(folder: Folder) -> None:
    folder.end("en_none_seed1")
    other = Folder(folder.root, make_study(training={"steps": 2 * STEPS, "warmup_steps": 1}))
    assert other.status().runs[0].state == "waiting"
    saved_more_often = make_study(training={"steps": STEPS, "warmup_steps": 1, "checkpoint_every": 3})
    assert Folder(folder.root, saved_more_often).status().runs[0].state == "done"


def test_what_another_machine_holds_cannot_be_seen(folder: Folder) -> None:
    folder.begin("en_none_seed1", at=1000.0)
    note = {"process": 7, "host": "another.example", "command": "detente study a.yaml", "since": "2026-01-02"}
    write_json(folder.run("en_none_seed1") / LOCK_FILE, note)
    run = folder.status().runs[0]
    assert (run.state, run.note) == ("unseen", "process 7 on another.example (`detente study a.yaml`) since 2026-01-02")


def test_fine_tunings_are_counted(tmp_path: Path) -> None:
    folder = Folder(tmp_path, make_study(tasks=TASKS))
    for name in folder.settings:
        folder.end(name)
    tasks = folder.run("en+sw_none_seed1") / "tasks" / "ner"
    record = TaskRecord(
        task="ner", kind="ner", source="en", seed=1, fingerprint="f", model="m", settings={}, labels=("O",), examples={},
        epochs=(), scores=(), seconds=30.0, finished="2026-01-02",
    )  # fmt: skip
    write_task_record(tasks / "en_seed1", record)
    write_task_failure(tasks / "en_seed2", "no such file.")
    (tasks / "sw_seed1").mkdir()
    with locked(tasks / "sw_seed2"):
        found = folder.status()
        assert [each.state for each in found.tunings] == [*["waiting"] * 4, "done", "failed", "interrupted", "running"]
        assert found.left == pytest.approx(6 * 30.0)
        shown = folder.shown()
    assert "8 fine-tunings: 4 waiting, 1 done, 1 failed, 1 interrupted, 1 running. About 3 min left." in shown
    assert "failed: en+sw_none_seed1, ner en seed2: no such file." in shown
    assert [line.split()[-1] for line in shown.splitlines() if " done  " in line] == ["0/2", "0/2", "1/4"]


def test_status_does_without_torch(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("languages: {en: {constructed: {}}, sw: {constructed: {lexicon_seed: 2}}}", encoding="utf-8")
    program = (
        "import sys; from detente.cli import app\n"
        f"app(['study', {str(file)!r}, '--folder', {str(tmp_path / 'out')!r}, '--status'], standalone_mode=False)\n"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert "3 runs: 3 waiting" in output and output.endswith("set()\n")
