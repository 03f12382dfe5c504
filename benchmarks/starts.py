"""How long a user waits before the first step: of a run, of one that resumes from a checkpoint; and for `detente --help`.

    python benchmarks/starts.py --out benchmarks/results/starts_mini.json

Every start is a fresh process, one of each a round in a shuffled order. `call` counts from the call of `pretrain`, everything imported, to the
first step done, that step included; `process` from the process's own start. A run that resumes does one step too, so what it takes longer than
one that begins, in the same round, is what resuming costs. Seconds are this machine's; ratios are medians over rounds of (time / the other's).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meta_cost import machine
from rounds import interleaved, over, spread
from zipf import zipf_text

from detente.results import now, write_json
from detente.settings import study_from_mapping
from detente.settings.presets import PRESETS
from detente.study import plan_runs
from detente.study.execute import prepare_study

START = """
import os, sys, time
from pathlib import Path

from detente.pretrain.run import pretrain
from detente.settings import RunSettings

settings, data, run, last = RunSettings.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
begun = time.perf_counter()


def told(done, all_steps, report):
    if done == last:
        print(time.perf_counter() - begun, time.time(), flush=True)
        os._exit(0)


pretrain(settings, data, run, progress=told)
"""
"""Prints, after a step, the seconds since the call and the time of day; the checkpoint of the step before has been written."""

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import torch'": ["-c", "import torch"],
    "detente --help": ["-m", "detente", "--help"],
}


def main() -> None:
    """Measure, print and write."""
    options = _options()
    record: dict[str, Any] = {"preset": options.preset, "date": now(), "machine": machine(), "rounds": options.rounds}
    with tempfile.TemporaryDirectory(prefix="starts-") as scratch:
        record |= {"starts": Starts(Path(scratch), options.preset).measured(options.rounds)}
    record["commands"] = commands(options.rounds)
    print(json.dumps(record, indent=1))
    if options.out:
        write_json(options.out, record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="mini")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


class Starts:
    """A prepared study of one run, and a run folder with the checkpoint of its first step."""

    def __init__(self, scratch: Path, preset: str) -> None:
        (scratch / "a.txt").write_bytes(zipf_text(2**22))
        study = study_from_mapping(
            {
                "preset": preset,
                "languages": {"a": {"name": "A", "script": "Latn", "paths": [str(scratch / "a.txt")]}},
                "mixtures": ["mono"],
                "training": {"checkpoint_every": 1, "precision": "float32"},
            }
        )
        prepare_study(study, scratch)
        self.settings = plan_runs(study)[0].settings
        self.scratch, self.data = scratch, scratch / "data" / self.settings.vocabulary
        self.start(scratch / "saved", last=2)

    def measured(self, rounds: int) -> dict[str, Any]:
        """What a start takes, and how much more a resumed one."""
        found: dict[str, list[dict[str, float]]] = {"begun": [], "resumed": []}
        programs = {
            "begun": lambda: found["begun"].append(self.start(self.folder(), last=1)),
            "resumed": lambda: found["resumed"].append(self.start(self.folder(of="saved"), last=2)),
        }
        interleaved(programs, rounds)
        # The first round warms the disk's cache.
        begun, resumed = found["begun"][1:], found["resumed"][1:]
        seconds = {
            f"{name}, {part}": spread([each[part] for each in rows])
            for name, rows in (("begun", begun), ("resumed", resumed))
            for part in ("call", "process")
        }
        more = [late["call"] - early["call"] for late, early in zip(resumed, begun, strict=True)]
        return {"seconds": seconds | {"resuming": spread(more)}}

    def start(self, folder: Path, *, last: int) -> dict[str, float]:
        """Seconds until so many steps are done, in a process that dies then."""
        arguments = [self.settings.model_dump_json(), str(self.data), str(folder), str(last)]
        begun = time.time()
        output = subprocess.run([sys.executable, "-c", START, *arguments], check=True, capture_output=True, text=True)
        call, ended = map(float, output.stdout.split())
        return {"call": call, "process": ended - begun}

    def folder(self, *, of: str | None = None) -> Path:
        """For a run: new, or a copy."""
        folder = self.scratch / "run"
        shutil.rmtree(folder, ignore_errors=True)
        if of:
            shutil.copytree(self.scratch / of, folder)
        return folder


def commands(rounds: int) -> dict[str, Any]:
    """Seconds, and ratios to a Python that does nothing and to the import of torch."""

    def call(arguments: list[str]) -> Callable[[], Any]:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)

    seconds = interleaved({name: call(arguments) for name, arguments in COMMANDS.items()}, 3 * rounds)
    nothing, torch, ours = seconds.values()
    return {
        "seconds": {name: spread(taken) for name, taken in seconds.items()},
        "--help over pass": over(ours, nothing),
        "--help over import torch": over(ours, torch),
    }


if __name__ == "__main__":
    main()
