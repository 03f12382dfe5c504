"""Killed or interrupted in the middle and started again, a run ends with the same bits as an unbroken one."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from detente.pretrain.checkpoint import OPTIMIZER, WEIGHTS, newest_checkpoint
from detente.results import METRICS_FILE, read_record

LONG = {"warmup_steps": 4, "validate_every": 50, "checkpoint_every": 20, "learning_rate": 1e-3}
WAIT_SECONDS = 120


def the_run(study_folder: Path, name: str) -> Path:
    (folder,) = study_folder.glob(f"runs/{name}-*")
    return folder


def result(run: Path) -> tuple[bytes, bytes, bytes]:
    checkpoint = newest_checkpoint(run / "checkpoints")
    return (checkpoint / WEIGHTS).read_bytes(), (checkpoint / OPTIMIZER).read_bytes(), (run / METRICS_FILE).read_bytes()


def wait_for_steps(process: subprocess.Popen[str], study_folder: Path, steps: int) -> None:
    """Until some run has logged so many lines."""
    deadline = time.monotonic() + WAIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        logs = study_folder.glob(f"runs/*/{METRICS_FILE}")
        if any(log.read_bytes().count(b"\n") >= steps for log in logs):
            return
        time.sleep(0.01)
    raise AssertionError(f"the run did not get there: {process.communicate()}")


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, errors


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder a treatment: its run is made once."""
    return {name: tmp_path_factory.mktemp(name) for name in ("none", "meta-adapter")}


@pytest.fixture
def folders(treatment: str, unbroken: dict[str, Path], tmp_path: Path) -> tuple[Path, Path]:
    return unbroken[treatment], tmp_path / "broken"


@pytest.mark.slow
@pytest.mark.parametrize("treatment", ["none", "meta-adapter"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_same_bits_after_a_signal(
    treatment: str, number: signal.Signals, study_file, start_detente, folders: tuple[Path, Path]
) -> None:
    unbroken, broken = folders
    study = study_file(training={**LONG, "steps": 1000 if treatment == "none" else 400})
    arguments = ("pretrain", study, "--run", f"joint/{treatment}", "--folder")
    code, errors = finish(start_detente(*arguments, unbroken))
    assert code == 0, errors

    process = start_detente(*arguments, broken)
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

    code, errors = finish(start_detente(*arguments, broken))
    assert code == 0, errors
    record = read_record(run)
    assert (record.status, record.sittings) == ("success", 2)
    reference = the_run(unbroken, f"te+en_{treatment}_seed1")
    assert result(run) == result(reference)
    assert record.languages == read_record(reference).languages


@pytest.mark.slow
@pytest.mark.parametrize("to_group", [True, False])
def test_interrupted_processes_save_and_go_on(to_group: bool, study_file, start_detente, tmp_path: Path) -> None:
    """Ctrl-C in a terminal reaches all processes; a scheduler's SIGTERM only the first."""
    study = study_file(training={**LONG, "steps": 2000}, mixtures=["mono"], treatments=["none"], seeds=[1, 2, 3])
    broken = tmp_path / "broken"
    arguments = ("study", study, "--folder", broken, "--engine", "processes", "--workers", "2")
    process = start_detente(*arguments)
    wait_for_steps(process, broken, 100)
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
    code, errors = finish(start_detente(*arguments))
    assert code == 0, errors
    records = [read_record(path.parent) for path in broken.glob("runs/*/record.json")]
    assert [record.status for record in records] == ["success"] * 6
