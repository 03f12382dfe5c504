"""Work that is killed at random moments and started again, against unbroken work: weights, optimizer, metrics and scores bit for bit.

    python benchmarks/crash.py --kills 50 --out benchmarks/results/crash.json

Each job of `crash_jobs.py` (a plain and a meta run, by one process and by two; the preparation of text; a study of several runs; a
fine-tuning over a grid) is done once without a break. Then it is started, killed with SIGKILL after a random time, started again in the same folder, and so on, until a start ends by
itself; its results must be the unbroken one's. Every second kill waits until something is being written (an unfinished
checkpoint, model or file is there) and comes up to 3 ms later. After every kill, each checkpoint that can be seen must be whole, and so
must each fine-tuned model that the lines of the grid count on.

Processes are forked from this one, which has loaded torch already: a start takes a second instead of ten. Two processes find each
other as those of torchrun do; one of them, drawn at random, is killed; the other ends by itself, or is ended as torchrun ends it.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from crash_jobs import STUDY, Job, jobs
from meta_cost import machine

import detente.report
import detente.tasks.finetune
import detente.watched_study  # noqa: F401 - loaded before the forks
from detente import cli
from detente.results import now, write_json

PORT = 29_617
LONGEST = 600.0
"""Seconds: a start that takes longer hangs."""
PATIENCE = 10.0
"""Seconds for what is left of two processes. One that still waits for the other's first word ends by torchrun's signal, not by itself."""


def main() -> None:
    """Kill, compare, print and write."""
    options = _options()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        # A fine-tuning that is killed leaves its copy of the model there.
        tempfile.tempdir = name
        file = scratch / "study.yaml"
        file.write_text(yaml.safe_dump(STUDY, sort_keys=False), encoding="utf-8")
        tried = [Trial(job, scratch, file) for job in jobs() if job.name in options.jobs]
        deadline = time.monotonic() + options.minutes * 60
        while sum(trial.kills for trial in tried) < options.kills and time.monotonic() < deadline:
            min(tried, key=lambda trial: trial.kills).kill_and_compare()
            _record(options, tried)
        for trial in tried:
            trial.finish()
    record = _record(options, tried)
    print(f"{record['kills']} kills, {record['inside_writes']} inside writes: {record['different']} differ")
    sys.exit(1 if record["different"] else 0)


def _record(options: argparse.Namespace, tried: "list[Trial]") -> dict[str, Any]:
    """So far; written after each kill, so that a benchmark that is stopped has not been for nothing."""
    record = {
        "date": now(),
        "machine": machine(),
        "asked": options.kills,
        "kills": sum(trial.kills for trial in tried),
        "inside_writes": sum(trial.inside for trial in tried),
        "compared_with_unbroken": sum(trial.compared for trial in tried),
        "different": sum(trial.different for trial in tried),
        "jobs": [trial.as_json() for trial in tried],
    }
    if options.out:
        write_json(options.out, record)
    return record


def _options() -> argparse.Namespace:
    names = [job.name for job in jobs()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60, help="no new kill after so many")
    parser.add_argument("--jobs", nargs="+", choices=names, default=names)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


class Trial:
    """A job, its unbroken result and what has come of killing it."""

    def __init__(self, job: Job, scratch: Path, file: Path) -> None:
        self.job, self._subject = job, file
        self._folder = scratch / job.name.replace(", ", "-").replace(" ", "-")
        self.kills = self.inside = self.compared = self.different = self._starts = 0
        self.moments: Counter[str] = Counter()
        self._left = set[Path]()
        if job.run:
            self._subject = self._given_run(scratch / "given")
        unbroken = self._folder.with_name(f"{self._folder.name}-unbroken")
        begun = time.monotonic()
        self._wait(self._start(unbroken), unbroken)
        self._seconds = time.monotonic() - begun
        self._expected = job.result(unbroken)
        assert self._expected, f"{job.name} left nothing"

    def _given_run(self, folder: Path) -> Path:
        """Of the run that the job is about, done before it."""
        arguments = ["pretrain", str(self._subject), "-r", self.job.run, "--folder", str(folder)]
        self._wait([_forked(arguments, {}, folder)], folder)
        (run,) = folder.glob("runs/*")
        return run

    def kill_and_compare(self) -> None:
        """One start, killed unless it ends before that."""
        self._left |= self._unfinished()
        started = self._start(self._folder)
        if self._reached(started):
            victim = random.choice(started)
            os.kill(victim, signal.SIGKILL)
            self._wait(started, self._folder, killed=True)
            self.kills += 1
            self._look()
        else:
            self._wait(started, self._folder)
            self._compare()

    def finish(self) -> None:
        """What was killed last goes on to its end."""
        if self._folder.exists():
            self._wait(self._start(self._folder), self._folder)
            self._compare()

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return {
            "job": self.job.name,
            "kills": self.kills,
            "inside_writes": self.inside,
            "compared_with_unbroken": self.compared,
            "different": self.different,
            "killed_while": dict(self.moments),
        }

    def _reached(self, started: list[int]) -> bool:
        """Wait for the moment to kill; whether a process was still there."""
        if self.job.unfinished and self.kills % 2:
            wanted = random.randrange(1, 6)
            reached = self._wait_for_writing(started, wanted)
            time.sleep(random.uniform(0, 0.003))
            return reached
        until = time.monotonic() + random.uniform(0, self._seconds)
        while time.monotonic() < until:
            if _ended(started):
                return False
            time.sleep(0.002)
        return not _ended(started)

    def _wait_for_writing(self, started: list[int], wanted: int) -> bool:
        """Until so many unfinished writes have been seen."""
        seen: set[Path] = set()
        while not _ended(started):
            seen |= self._unfinished()
            if len(seen) >= wanted:
                return True
        return False

    def _unfinished(self) -> set[Path]:
        """Without what earlier kills left."""
        return set(self.job.unfinished(self._folder)) - self._left if self.job.unfinished else set()

    def _look(self) -> None:
        """What counts is whole, whenever the kill came."""
        damaged = self.job.damaged(self._folder)
        self.different += len(damaged)
        for path in damaged:
            print(f"{self.job.name}: {path} can be seen and is damaged", file=sys.stderr)
        is_inside = bool(self._unfinished())
        self.inside += is_inside
        has_begun = any(self._folder.glob(self.job.begun))
        self.moments["writing" if is_inside else "training" if has_begun else "starting or preparing"] += 1

    def _compare(self) -> None:
        found = self.job.result(self._folder)
        self.compared += 1
        for name in sorted({*found, *self._expected}):
            if found.get(name) != self._expected.get(name):
                self.different += 1
                print(f"{self.job.name}: {name} differs", file=sys.stderr)
        shutil.rmtree(self._folder)

    def _start(self, folder: Path) -> list[int]:
        self._starts += 1
        arguments = [self.job.arguments[0], str(self._subject), *self.job.arguments[1:], "--folder", str(folder)]
        shared = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(PORT + self._starts % 300),
            "TORCHELASTIC_RESTART_COUNT": "0",
        }
        size = self.job.processes
        ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)} for rank in range(size)]
        together = {"TORCHELASTIC_RUN_ID": "crash", **shared} if size > 1 else {}
        sys.stdout.flush()
        return [_forked(arguments, {**together, **(rank if size > 1 else {})}, folder) for rank in ranks]

    def _wait(self, started: list[int], folder: Path, *, killed: bool = False) -> None:
        """For all to end."""
        begun, codes = time.monotonic(), dict[int, int]()
        while len(codes) < len(started):
            for number in set(started) - set(codes):
                pid, status = os.waitpid(number, os.WNOHANG)
                if pid:
                    codes[pid] = os.waitstatus_to_exitcode(status)
            waited = time.monotonic() - begun
            if waited > (PATIENCE if killed else LONGEST):
                for number in set(started) - set(codes):
                    os.kill(number, signal.SIGKILL)
            if waited > LONGEST:
                raise SystemExit(f"{self.job.name} hangs: {_said(folder)}")
            time.sleep(0.002)
        if not killed and any(codes.values()):
            raise SystemExit(f"{self.job.name} ended with {codes}: {_said(folder)}")


def _forked(arguments: list[str], environment: Mapping[str, str], folder: Path) -> int:
    """The command in a child of this process; what it says goes to a file beside its folder."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        said = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ.update(environment)
        sys.argv = ["detente", *arguments]
        cli.main()
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(started: list[int]) -> bool:
    """Whether one of them has; it is waited for later."""
    return any(os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT) for number in started)


def _said(folder: Path) -> str:
    log = Path(f"{folder}.log")
    return log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else ""


if __name__ == "__main__":
    main()
