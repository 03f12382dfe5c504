"""Runs that are killed at random moments and started again, against unbroken ones: weights, optimizer, metrics and scores bit for bit.

    python benchmarks/crash.py --kills 50 --out benchmarks/results/crash.json

Each job (a plain and a meta run, by one process and by two; the preparation of text; a study of several runs) is done once without a
break. Then it is started, killed with SIGKILL after a random time, started again in the same folder, and so on, until a start ends by
itself; its results must be the unbroken one's. Every second kill waits until a checkpoint is being written (its unfinished folder is
there) and comes up to 3 ms later. After every kill, each checkpoint that can be seen must be whole.

Processes are forked from this one, which has loaded torch already: a start takes a second instead of ten. Two processes find each
other as those of torchrun do; one of them, drawn at random, is killed; the other ends by itself, or is ended as torchrun ends it.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from meta_cost import machine

import detente.report
import detente.watched_study  # noqa: F401 - loaded before the forks
from detente import cli
from detente.pretrain.checkpoint import OPTIMIZER, WEIGHTS, damage, newest_checkpoint
from detente.results import METRICS_FILE, now, read_record, write_json

STUDY: dict[str, Any] = {
    "name": "crash",
    "preset": "tiny",
    "languages": {
        "te": {"constructed": {"sentences": 700, "script": "cyrillic"}},
        "en": {"constructed": {"sentences": 900, "lexicon_seed": 2, "word_order": "sov"}},
    },
    "treatments": ["none", "meta-adapter"],
    "splits": {"meta": 0.1, "validation": 0.1, "test": 0.1},
    "vocabulary": {"size": 420},
    "encoder": {"layers": 1, "width": 16, "heads": 2, "feed_forward_width": 24, "dropout": 0.1},
    "batches": {"block_length": 16, "blocks": 8},
    "training": {"steps": 120, "warmup_steps": 4, "validate_every": 40, "checkpoint_every": 5, "keep_checkpoints": 2},
}
PORT = 29_617
LONGEST = 600.0
"""Seconds: a start that takes longer hangs."""
PATIENCE = 10.0
"""Seconds for what is left of two processes. One that still waits for the other's first word ends by torchrun's signal, not by itself."""


@dataclass(frozen=True)
class Job:
    """Something that can be killed.

    Attributes:
        arguments: of the command, before `--folder`.
        result: what it left in its folder, as a name -> content's hash.
    """

    name: str
    arguments: tuple[str, ...]
    result: Callable[[Path], dict[str, str]]
    processes: int = 1
    has_checkpoints: bool = True


def main() -> None:
    """Kill, compare, print and write."""
    options = _options()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
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
    print(
        f"{record['kills']} kills, {record['inside_checkpoint_writes']} inside checkpoint writes: {record['different']} differ"
    )
    sys.exit(1 if record["different"] else 0)


def _record(options: argparse.Namespace, tried: "list[Trial]") -> dict[str, Any]:
    """So far; written after each kill, so that a benchmark that is stopped has not been for nothing."""
    record = {
        "date": now(),
        "machine": machine(),
        "asked": options.kills,
        "kills": sum(trial.kills for trial in tried),
        "inside_checkpoint_writes": sum(trial.inside for trial in tried),
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


def jobs() -> list[Job]:
    """All that are tried."""
    plain, meta = ("pretrain", "-r", "joint/none"), ("pretrain", "-r", "joint/meta-adapter")
    return [
        Job("plain", plain, of_runs),
        Job("meta", meta, of_runs),
        Job("plain, two processes", plain, of_runs, processes=2),
        Job("meta, two processes", meta, of_runs, processes=2),
        Job("prepare", ("prepare",), of_data, has_checkpoints=False),
        Job(
            "study",
            ("study", "--set", "mixtures=[mono]", "--set", "treatments=[none]", "--set", "training.steps=40"),
            lambda folder: of_runs(folder) | of_data(folder),
        ),
    ]


def of_runs(folder: Path) -> dict[str, str]:
    """Weights, optimizer state, metrics and scores of every run."""
    found = {}
    for run in sorted(folder.glob("runs/*")):
        checkpoint, record = newest_checkpoint(run / "checkpoints"), read_record(run)
        contents = {
            WEIGHTS: (checkpoint / WEIGHTS).read_bytes(),
            OPTIMIZER: (checkpoint / OPTIMIZER).read_bytes(),
            METRICS_FILE: (run / METRICS_FILE).read_bytes(),
            "scores": repr((record.status, record.steps, record.languages, record.meta)).encode(),
        }
        found |= {f"{run.name}/{name}": _hash(content) for name, content in contents.items()}
    return found


def of_data(folder: Path) -> dict[str, str]:
    """Every prepared file. A killed write may leave a small hidden one beside, which nobody reads."""
    files = [path for path in sorted((folder / "data").rglob("[!.]*")) if path.is_file()]
    return {str(path.relative_to(folder)): _hash(path.read_bytes()) for path in files}


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


class Trial:
    """A job, its unbroken result and what has come of killing it."""

    def __init__(self, job: Job, scratch: Path, file: Path) -> None:
        self.job, self._file = job, file
        self._folder = scratch / job.name.replace(", ", "-").replace(" ", "-")
        self.kills = self.inside = self.compared = self.different = self._starts = 0
        self.moments: Counter[str] = Counter()
        unbroken = self._folder.with_name(f"{self._folder.name}-unbroken")
        begun = time.monotonic()
        self._wait(self._start(unbroken), unbroken)
        self._seconds = time.monotonic() - begun
        self._expected = job.result(unbroken)
        assert self._expected, f"{job.name} left nothing"

    def kill_and_compare(self) -> None:
        """One start, killed unless it ends before that."""
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
            "inside_checkpoint_writes": self.inside,
            "compared_with_unbroken": self.compared,
            "different": self.different,
            "killed_while": dict(self.moments),
        }

    def _reached(self, started: list[int]) -> bool:
        """Wait for the moment to kill; whether a process was still there."""
        if self.job.has_checkpoints and self.kills % 2:
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
        """Until so many unfinished checkpoints have been seen."""
        seen: set[str] = set()
        while not _ended(started):
            seen |= {str(path) for path in self._unfinished()}
            if len(seen) >= wanted:
                return True
        return False

    def _unfinished(self) -> list[Path]:
        return [path for path in self._folder.glob("runs/*/checkpoints/.step-*") if not path.name.endswith(".removed")]

    def _look(self) -> None:
        """Each checkpoint that can be seen is whole, whenever the kill came."""
        visible = list(self._folder.glob("runs/*/checkpoints/step-*"))
        broken = [str(path) for path in visible if damage(path)]
        self.different += len(broken)
        for path in broken:
            print(f"{self.job.name}: {path} can be seen and is damaged", file=sys.stderr)
        is_inside = bool(self._unfinished())
        self.inside += is_inside
        has_begun = any(self._folder.glob(f"runs/*/{METRICS_FILE}"))
        self.moments["writing a checkpoint" if is_inside else "training" if has_begun else "starting or preparing"] += 1

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
        arguments = [self.job.arguments[0], str(self._file), *self.job.arguments[1:], "--folder", str(folder)]
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
