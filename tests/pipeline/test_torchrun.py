"""Runs by two processes together: as good as by one, and as hard to break.

torchrun starts those that are told to stop or are killed; the others get from `Together` what torchrun would give them.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from forked import Start, Together

from detente.lock import locked
from detente.pretrain.checkpoint import OPTIMIZER, WEIGHTS, newest_checkpoint
from detente.results import METRICS_FILE, RECORD_FILE, RunRecord, read_record
from detente.settings import study_from_mapping
from detente.study import run_study

pytestmark = pytest.mark.slow

STEPS = 300
ENCODER = {"layers": 1, "width": 16, "heads": 2, "feed_forward_width": 24}
TRAINING = {"steps": STEPS, "warmup_steps": 4, "validate_every": 50, "checkpoint_every": 20, "learning_rate": 1e-3}
JOINT = {"training": TRAINING, "mixtures": ["joint"]}
WITHOUT_DROPOUT = {**JOINT, "training": {**TRAINING, "steps": 200}, "encoder": {**ENCODER, "dropout": 0.0}}
# In nats, after 200 steps in float32.
SAME_SCORE = 1e-3
WAIT_SECONDS = 120

Process = subprocess.Popen[str] | Together
StartTogether = Callable[..., Together]


@pytest.fixture(scope="session")
def start_together(start_process: Start) -> StartTogether:
    """Starts the command with two processes."""
    return lambda *arguments: Together(start_process, 2, "detente", *arguments)


def torchrun(*arguments: str | Path) -> subprocess.Popen[str]:
    """Starts the command with two processes, as people do."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "detente"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: Process) -> tuple[int, str, list[str]]:
    """Exit code, output, and those lines of the errors that are ours and not torchrun's."""
    output, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode is not None
    return process.returncode, output, [line for line in errors.splitlines() if line.startswith("detente: ")]


def lines_of(folder: Path) -> int:
    """The most that a run of the study has logged."""
    return max((log.read_bytes().count(b"\n") for log in folder.glob(f"runs/*/{METRICS_FILE}")), default=0)


def wait_for_steps(process: Process, folder: Path, steps: int) -> None:
    """Until some run has logged so many lines."""
    deadline = time.monotonic() + WAIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if lines_of(folder) >= steps:
            return
        time.sleep(0.01)
    raise AssertionError(f"the run did not get there: {process.communicate(WAIT_SECONDS)}")


def worker(process: Process, rank: int) -> int:
    """The id of one of the processes."""
    if isinstance(process, Together):
        return process.ranks[rank].pid
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (found,) = (int(child) for child in children if f"RANK={rank}" in environment(child))
    return found


def kill(process: Process, rank: int) -> None:
    """Kills one of the processes: the others say so and end."""
    os.kill(worker(process, rank), signal.SIGKILL)
    code, _, errors = finish(process)
    assert code != 0
    assert len(errors) == 1
    assert errors[0].startswith("detente: another process of this run has ended (")
    assert errors[0].endswith("). The last checkpoint is intact: the same command goes on from there.")


def environment(number: int) -> list[str]:
    return Path(f"/proc/{number}/environ").read_bytes().decode().split("\0")


def the_run(folder: Path, name: str) -> Path:
    (run,) = folder.glob(f"runs/te+en_{name}_seed1-*")
    return run


def result(run: Path) -> tuple[bytes, bytes, bytes]:
    checkpoint = newest_checkpoint(run / "checkpoints")
    return (checkpoint / WEIGHTS).read_bytes(), (checkpoint / OPTIMIZER).read_bytes(), (run / METRICS_FILE).read_bytes()


def assert_same_scores(found: RunRecord, expected: RunRecord) -> None:
    assert found.languages.keys() == expected.languages.keys()
    for label, scores in expected.languages.items():
        assert found.languages[label].test.loss == pytest.approx(scores.test.loss, abs=SAME_SCORE)


@pytest.fixture(scope="module")
def alone(study_values: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The joint runs by one process, without dropout."""
    folder = tmp_path_factory.mktemp("alone")
    assert all(outcome.record for outcome in run_study(study_from_mapping(study_values(**WITHOUT_DROPOUT)), folder))
    return folder


@pytest.fixture(scope="module")
def unbroken(
    start_together: StartTogether, study_values: Callable, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, bytes, bytes]:
    """What a meta-adapter run by two processes gives, with dropout."""
    folder = tmp_path_factory.mktemp("unbroken")
    file = folder / "asked.yaml"
    file.write_text(yaml.safe_dump(study_values(**JOINT), sort_keys=False), encoding="utf-8")
    code, _, errors = finish(start_together("pretrain", file, "-r", "joint/meta-adapter", "--folder", folder))
    assert (code, errors) == (0, [])
    return result(the_run(folder, "meta-adapter"))


def test_a_study_has_the_scores_of_one_process_and_is_told_once(
    start_together: StartTogether, study_file: Callable, alone: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    code, output, errors = finish(start_together("study", study_file(**WITHOUT_DROPOUT), "--folder", folder))
    assert (code, errors) == (0, [])
    for words in ("reading te", "done    te+en_none_seed1", "done    te+en_meta-adapter_seed1", "Summary", "report: "):
        assert output.count(words) == 1, words
    for name in ("none", "meta-adapter"):
        record = read_record(the_run(folder, name))
        assert record.machine["processes"] == "2"
        assert_same_scores(record, read_record(the_run(alone, name)))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the processes in /proc")
def test_the_same_bits_after_the_death_of_either_process_and_sigterm(
    start_together: StartTogether, study_file: Callable, unbroken: tuple[bytes, bytes, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    arguments = ("pretrain", study_file(**JOINT), "-r", "joint/meta-adapter", "--folder", folder)

    def go_on(start: Callable[..., Process]) -> Process:
        """Starts the same command, and waits until it has done some more."""
        there = lines_of(folder)
        process = start(*arguments)
        wait_for_steps(process, folder, there + 40)
        return process

    kill(go_on(torchrun), 0)
    run = the_run(folder, "meta-adapter")
    assert not (run / RECORD_FILE).exists(), "the one that writes it is gone"

    process = go_on(torchrun)
    process.send_signal(signal.SIGTERM)
    code, _, errors = finish(process)
    assert code != 0
    assert len(errors) == 1
    assert errors[0].startswith("detente: interrupted after step ")
    record = read_record(run)
    assert (record.status, record.sittings) == ("interrupted", 2)
    assert newest_checkpoint(run / "checkpoints").name == f"step-{record.steps}"

    kill(go_on(start_together), 1)
    record = read_record(run)
    assert (record.status, record.sittings) == ("interrupted", 3)
    assert newest_checkpoint(run / "checkpoints").name != f"step-{STEPS}"

    code, _, errors = finish(start_together(*arguments))
    assert (code, errors) == (0, [])
    assert read_record(run).sittings == 4
    assert result(run) == unbroken


def test_what_two_began_one_can_go_on_with(
    start_together: StartTogether, study_file: Callable, detente: Callable, alone: Path, tmp_path: Path
) -> None:
    arguments = ("pretrain", study_file(**WITHOUT_DROPOUT), "-r", "joint/meta-adapter", "--folder", tmp_path / "out")
    process = start_together(*arguments)
    wait_for_steps(process, tmp_path / "out", 50)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] != 0
    code, _, errors = detente(*arguments)
    assert (code, errors) == (0, "")
    record = read_record(the_run(tmp_path / "out", "meta-adapter"))
    assert (record.sittings, record.machine["processes"]) == (2, "1")
    assert_same_scores(record, read_record(the_run(alone, "meta-adapter")))


def test_what_people_can_mend_is_one_line(start_together: StartTogether, study_file: Callable, tmp_path: Path) -> None:
    """Met by all processes, by the first alone while it prepares, or in the middle of a study."""
    missing = {"te": {"paths": str(tmp_path / "none.txt")}, "en": {"constructed": {"sentences": 300}}}
    out = tmp_path / "out"
    cases: list[tuple[dict, tuple[str | Path, ...], str]] = [
        ({"trainings": {}}, (), "`trainings` is not a setting. Did you mean `training`?"),
        ({}, ("--engine", "processes"), "--engine processes starts processes of its own."),
        ({"languages": missing}, (), "none.txt"),
    ]
    for changes, options, words in cases:
        process = start_together("study", study_file(**changes), "--folder", out, *options)
        _, errors = process.communicate(timeout=WAIT_SECONDS)
        ours = [line for line in errors.splitlines() if line.startswith("detente: ")]
        assert process.returncode != 0
        assert len(ours) == 1, errors
        assert words in ours[0]
        assert "Traceback" not in errors
    with locked(out / "data"):
        code, _, ours = finish(start_together("study", study_file(), "--folder", out))
    assert (code != 0, len(ours)) == (True, 1)
    assert "is in use by process" in ours[0]
