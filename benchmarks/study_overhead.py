"""What a study takes beside its training steps, and how many runs an hour each engine does.

    python benchmarks/study_overhead.py --out benchmarks/results/study_overhead_tiny.json

A study of several small runs on two constructed languages, done by `detente study` in a process of its own, as often as `--rounds` says by each
engine, in a shuffled order: `local`, and `processes` with 1 and 2 workers. Its data is prepared beforehand, by `detente prepare`, whose time is
beside. The overhead is the share of the wall time, of all workers, that lies outside training steps (`train_seconds` of the records): start,
scores, checkpoints, the report. `of the runs` is the same within the runs alone (`total_seconds`). Runs an hour are over those of `local` in
the same round. Rounds differ by the order of the engines only.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from meta_cost import machine
from rounds import interleaved, over, spread

from detente.machine import num_cores
from detente.results import now, read_records, write_json
from detente.settings.presets import PRESETS

ENGINES: dict[str, tuple[int, list[str]]] = {
    "local": (1, []),
    "processes, 1 worker": (1, ["--engine", "processes", "--workers", "1"]),
    "processes, 2 workers": (2, ["--engine", "processes", "--workers", "2"]),
}
"""Name -> workers, and options of `detente study`."""


def main() -> None:
    """Measure, print and write."""
    options = _options()
    record: dict[str, Any] = {"preset": options.preset, "date": now(), "rounds": options.rounds}
    record["machine"] = machine() | {"cores": str(num_cores())}
    with tempfile.TemporaryDirectory(prefix="study-overhead-") as scratch:
        record |= Study(Path(scratch), options).measured(options.rounds)
    print(json.dumps(record, indent=1))
    if options.out:
        write_json(options.out, record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--steps", type=int, help="of a run; the preset's when not given")
    parser.add_argument("--sentences", type=int, default=20_000, help="of each language")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


class Study:
    """Mono, joint, adapters and the meta step on two languages: five runs a seed."""

    def __init__(self, scratch: Path, options: argparse.Namespace) -> None:
        self.scratch, self.file = scratch, scratch / "study.yaml"
        languages = {
            label: {
                "constructed": {"sentences": options.sentences, "lexicon_seed": number},
                "name": label,
                "script": "Latn",
            }
            for number, label in enumerate("ab", 1)
        }
        settings = {"preset": options.preset, "languages": languages, "seeds": list(range(1, options.seeds + 1))}
        settings |= {"treatments": ["none", "adapter", "meta-adapter"]}
        settings |= {"vocabulary": {"size": 800}, "training": {"steps": options.steps} if options.steps else {}}
        self.file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        self.prepare_seconds = self.detente("prepare", scratch / "prepared")

    def measured(self, rounds: int) -> dict[str, Any]:
        """By engine; also the share of each run."""
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES}
        interleaved({name: self.adding(found[name], *ENGINES[name]) for name in ENGINES}, rounds)
        counted = {name: rows[1:] for name, rows in found.items()}
        local = [row["seconds"] for row in counted["local"]]
        engines = {
            name: {
                "overhead": spread([row["overhead"] for row in rows]),
                "overhead of the runs": spread([row["of the runs"] for row in rows]),
                "runs an hour over local": over(local, [row["seconds"] for row in rows]),
                "seconds": statistics.median(row["seconds"] for row in rows),
            }
            for name, rows in counted.items()
        }
        return {"runs": self.runs, "prepare_seconds": self.prepare_seconds, "engines": engines}

    def adding(self, rows: list[dict[str, float]], workers: int, more: list[str]) -> Any:
        """A program that does the study and notes what it took."""

        def program() -> None:
            folder = self.scratch / "done"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.scratch / "prepared", folder)
            seconds = self.detente("study", folder, *more)
            records = read_records(folder)
            training = sum(record.train_seconds for record in records)
            self.runs = len(records)
            rows.append(
                {
                    "seconds": seconds,
                    "overhead": 1 - training / (workers * seconds),
                    "of the runs": 1 - training / sum(record.total_seconds for record in records),
                }
            )

        return program

    def detente(self, verb: str, folder: Path, *more: str) -> float:
        """Seconds that it takes."""
        command = [sys.executable, "-m", "detente", verb, str(self.file), "--folder", str(folder), *more]
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - begun


if __name__ == "__main__":
    main()
