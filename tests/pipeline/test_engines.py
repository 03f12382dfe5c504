"""Jobs in processes and on a Ray cluster, and two engines on one folder."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from operator import call
from pathlib import Path

import pytest

from detente.errors import ConfigError, InUse, ProcessLost
from detente.lock import locked
from detente.results import read_record, read_records
from detente.settings import StudySettings, study_from_mapping
from detente.study import run_study
from detente.study.engine import Engine, _in_two_rounds
from detente.study.execute import _failed_since
from detente.study.processes import in_processes

WAIT_SECONDS = 120

SLEEPER = """
import sys, time
from detente.study.processes import in_processes

if __name__ == "__main__":
    list(in_processes([60.0], time.sleep, workers=1, on_wait=lambda _: print("in hand", flush=True)))
"""

COUNTED = """
import sys
from pathlib import Path
from detente import cli
from detente.pretrain import run

train = run.train

def counted(*arguments, **more):
    with Path(sys.argv[-1], "trained").open("a") as file:
        file.write("once\\n")
    train(*arguments, **more)

run.train = counted
cli.main()
"""


def test_a_worker_that_dies_takes_its_own_job_only() -> None:
    jobs = [partial(abs, -1), partial(os._exit, 1), partial(abs, -2)]
    found = {jobs.index(job): result for job, result in in_processes(jobs, call, workers=1, on_wait=lambda _: None)}
    lost = found.pop(1)
    assert isinstance(lost, ProcessLost) and "died" in str(lost)
    assert found == {0: 1, 2: 2}


def children(process: int) -> set[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return set(map(int, found))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
def test_workers_end_with_a_parent_that_was_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "in hand\n"
    workers = children(parent.pid)
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + WAIT_SECONDS
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "an orphan works on"
        time.sleep(0.1)


def test_two_engines_share_a_study_and_train_nothing_twice(study_file, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", COUNTED, "study", study_file(), "--folder", out]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    said = [(process.communicate(timeout=WAIT_SECONDS), process.returncode) for process in both]
    records = read_records(out)
    assert [(record.status, record.sittings) for record in records] == [("success", 1)] * 4, said
    assert (out / "trained").read_text(encoding="ascii") == "once\n" * 4
    for (output, errors), code in said:
        # The one that comes to the last run second leaves it, and says so.
        assert (code, errors) in {(0, ""), (1, "")}
        assert (code == 1) == ("left to others: they are at it" in output)
        assert output.count("done    ") + output.count("left    ") == 4


def test_a_run_in_other_hands_is_left_and_named(study_values, tmp_path: Path) -> None:
    study = study_from_mapping(study_values(mixtures=["mono"], treatments=["none"]))
    run_study(study, tmp_path)
    (folder,) = tmp_path.glob("runs/te_none_seed1-*")
    (folder / "record.json").unlink()
    with locked(folder):
        done, left = run_study(study, tmp_path)
    assert done.record and not done.is_elsewhere
    assert (left.run.name, left.record, left.is_elsewhere) == ("te_none_seed1", None, True)
    assert f"{folder} is in use by process {os.getpid()}" in (left.error or "")


def test_what_was_in_other_hands_is_looked_at_again_at_the_end() -> None:
    held = [1, 1, 2]

    def do(job: int) -> str | InUse:
        if job in held:
            held.remove(job)
            return InUse(f"{job} is in use")
        return f"did {job}"

    outcomes = _in_two_rounds([1, 2, 3], lambda jobs: ((job, do(job)) for job in jobs), lambda job, why: f"left: {why}")
    assert list(outcomes) == ["did 3", "left: 1 is in use", "did 2"]


def test_what_another_engine_found_to_fail_is_not_tried_again(study: StudySettings, tmp_path: Path) -> None:
    run_study(study, tmp_path, only="te_none_seed1")
    (folder,) = tmp_path.glob("runs/*")
    record = read_record(folder)
    assert _failed_since("2000-01-01T00:00:00+00:00", folder) is None
    failed = record.model_copy(update={"status": "failed", "error": "no", "finished": "2000-01-02T00:00:00+00:00"})
    (folder / "record.json").write_text(failed.model_dump_json(), encoding="utf-8")
    assert _failed_since("2000-01-01T00:00:00+00:00", folder) == "no"
    assert _failed_since("2000-01-02T00:00:00+00:00", folder) is None


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"^--engine ray needs Ray: pip install 'detente\[ray\]'$"):
        Engine("ray")


RAY = """
import os, sys
from functools import partial
from operator import call
from pathlib import Path
import ray
from detente.errors import ProcessLost
from detente.settings import load_study
from detente.study import run_study
from detente.study.on_ray import on_ray

ray.init(num_cpus=2, log_to_driver=False)
jobs = [partial(abs, -1), partial(os._exit, 1), partial(abs, -3)]
results = {jobs.index(job): result for job, result in on_ray(jobs, call, workers=None, device="cpu", on_wait=len)}
assert isinstance(results.pop(1), ProcessLost) and results == {0: 1, 2: 3}, results
outcomes = run_study(load_study(sys.argv[1]), Path("out"), engine="ray")
print(sorted((outcome.run.name, outcome.record is None, outcome.error or "") for outcome in outcomes))
"""


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_a_cluster_of_two_workers(study_file: Callable[..., Path], start_process, tmp_path: Path) -> None:
    """A job that dies takes nobody with it; a study is done; Ctrl-C saves."""
    file = study_file(treatments=["none"])
    program = subprocess.run(
        [sys.executable, "-c", RAY, file],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert program.returncode == 0, program.stderr
    assert program.stdout.count("False, ''") == 3, program.stdout
    assert len(read_records(tmp_path / "out")) == 3

    long = study_file(treatments=["none"], training={"steps": 3000, "warmup_steps": 4, "validate_every": 3000})
    arguments = ("study", long, "--folder", tmp_path / "long", "--engine", "ray", "--workers", "2")
    process = start_process("detente", *arguments)
    deadline = time.monotonic() + WAIT_SECONDS
    while not any(path.read_bytes().count(b"\n") > 50 for path in tmp_path.glob("long/runs/*/metrics.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, errors.count("\n")) == (130, 1), errors
    assert {record.status for record in read_records(tmp_path / "long")} == {"interrupted"}
