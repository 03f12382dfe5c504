"""Killed or interrupted in the middle and started again, a run ends with the same bits as an unbroken one."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import Forked, Start

from detente.pretrain.checkpoint import OPTIMIZER, WEIGHTS, newest_checkpoint
from detente.results import METRICS_FILE, read_record
from detente.settings import study_from_mapping
from detente.study import run_study

LONG = {"warmup_steps": 4, "validate_every": 50, "checkpoint_every": 20, "learning_rate": 1e-3}
STEPS = {"none": 600, "meta-adapter": 200}
WAIT_SECONDS = 120


def the_run(study_folder: Path, name: str) -> Path:
    (folder,) = study_folder.glob(f"runs/{name}-*")
    return folder


def result(run: Path) -> tuple[bytes, bytes, bytes]:
    checkpoint = newest_checkpoint(run / "checkpoints")
    return (checkpoint / WEIGHTS).read_bytes(), (checkpoint / OPTIMIZER).read_bytes(), (run / METRICS_FILE).read_bytes()


def wait_for_steps(process: Forked, study_folder: Path, steps: int) -> None:
    """Until some run has logged so many lines."""
    deadline = time.monotonic() + WAIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        logs = study_folder.glob(f"runs/*/{METRICS_FILE}")
        if any(log.read_bytes().count(b"\n") >= steps for log in logs):
            return
        time.sleep(0.01)
    raise AssertionError(f"the run did not get there: {process.communicate()}")


def finish(process: Forked) -> tuple[int, str]:
    _, errors = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, errors


@pytest.fixture(scope="module", params=["none", "meta-adapter"])
def unbroken(
    request: pytest.FixtureRequest, study_values: Callable, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A treatment, and the joint run that was never interrupted."""
    folder, treatment = tmp_path_factory.mktemp("unbroken"), request.param
    values = study_values(training={**LONG, "steps": STEPS[treatment]})
    run_study(study_from_mapping(values), folder, only=f"te+en_{treatment}_seed1")
    return treatment, the_run(folder, f"te+en_{treatment}_seed1")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_same_bits_after_a_signal(
    number: signal.Signals, study_file: Callable, start_process: Start, unbroken: tuple[str, Path], tmp_path: Path
) -> None:
    treatment, reference = unbroken
    study, broken = study_file(training={**LONG, "steps": STEPS[treatment]}), tmp_path / "broken"
    arguments = ("detente", "pretrain", study, "--run", f"joint/{treatment}", "--folder", broken)
    process = start_process(*arguments)
    wait_for_steps(process, broken, 50)
    process.send_signal(number)
    code, errors = finish(process)
    run = the_run(broken, f"te+en_{treatment}_seed1")
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
        assert not (run / "record.json").exists()
    else:
        assert code == 128 + number
        assert errors.startswith("detente: interrupted after step ")
        assert read_record(run).status == "interrupted"

    code, errors = finish(start_process(*arguments))
    assert code == 0, errors
    record = read_record(run)
    assert (record.status, record.sittings) == ("success", 2)
    assert result(run) == result(reference)
    assert record.languages == read_record(reference).languages


@pytest.mark.slow
@pytest.mark.parametrize("to_group", [True, False])
def test_interrupted_processes_save_and_go_on(
    to_group: bool, study_file: Callable, start_process: Start, tmp_path: Path
) -> None:
    """Ctrl-C in a terminal reaches all processes; a scheduler's SIGTERM only the first. One process can go on, too."""
    study = study_file(training={**LONG, "steps": 500}, mixtures=["mono"], treatments=["none"], seeds=[1, 2])
    broken = tmp_path / "broken"
    arguments, engine = ("detente", "study", study, "--folder", broken), ("--engine", "processes", "--workers", "2")
    process = start_process(*arguments, *engine)
    wait_for_steps(process, broken, 50)
    if to_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGTERM)
    code, errors = finish(process)
    assert code == 128 + (signal.SIGINT if to_group else signal.SIGTERM), errors
    assert "Traceback" not in errors
    begun = [path.parent for path in broken.glob(f"runs/*/{METRICS_FILE}")]
    assert 1 <= len(begun) <= 2, "no queued run began after the signal"
    assert {read_record(run).status for run in begun} == {"interrupted"}
    code, errors = finish(start_process(*arguments, *(engine if to_group else ())))
    assert code == 0, errors
    records = [read_record(path.parent) for path in broken.glob("runs/*/record.json")]
    assert [record.status for record in records] == ["success"] * 4
