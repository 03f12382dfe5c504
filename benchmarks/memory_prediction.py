"""What `detente check` foretells of a run's memory and disk, against what the run takes.

    python benchmarks/memory_prediction.py --cases tiny/none mini/meta-adapter --out benchmarks/results/memory_prediction.json

Each case is a preset under a treatment on two languages of random words, as many as its vocabulary needs. A process of its own foretells;
another one trains a few steps, saves, evaluates and writes its record, whose peak memory is compared. `paper` has a batch that a machine
without a GPU holds (--paper-blocks). The disk is that of the run's folder at its end, plus the checkpoint that is written beside the
last one.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from meta_cost import machine

from detente.prepare import prepare
from detente.pretrain import pretrain
from detente.results import now, write_json
from detente.settings import StudySettings, study_from_mapping
from detente.settings.presets import PRESETS
from detente.study.footprint import footprints, size_of
from detente.study.plan import PlannedRun, plan_runs

STEPS = {"tiny": 20, "mini": 4, "paper": 2}
LANGUAGES = ("en", "sw")
CASES = [f"{preset}/{treatment}" for preset in PRESETS for treatment in ("none", "meta-adapter")]


def main() -> None:
    """Foretell, measure, print and write; or one of the two for a child process."""
    options = _options()
    if options.child:
        kind, case = options.child
        found = (_foretold if kind == "foretell" else _measured)(_study(case, options), options.folder)
        print(json.dumps(found))
        return
    results = []
    for case in options.cases:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            study = _study(case, options, write_text=folder)
            prepare(study, folder, mixtures=[LANGUAGES])
            foretold, measured = (_in_child(kind, case, folder, options) for kind in ("foretell", "measure"))
        ratios = {what: foretold[what] / measured[what] for what in foretold}
        print(
            f"{case}: "
            + ", ".join(
                f"{what} {foretold[what]:.4g} of {measured[what]:.4g} ({ratio:.2f})" for what, ratio in ratios.items()
            ),
            flush=True,
        )
        results.append({"case": case, "foretold": foretold, "measured": measured, "ratio": ratios})
    if options.out:
        blocks = options.paper_blocks
        write_json(options.out, {"date": now(), "machine": machine(), "paper_blocks": blocks, "results": results})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--paper-blocks", type=int, default=16)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_child(kind: str, case: str, folder: Path, options: argparse.Namespace) -> dict[str, int]:
    command = [sys.executable, __file__, "--child", kind, case, "--folder", str(folder)]
    command += ["--paper-blocks", str(options.paper_blocks)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _study(case: str, options: argparse.Namespace, *, write_text: Path | None = None) -> StudySettings:
    preset, treatment = case.split("/")
    folder = options.folder or write_text
    if write_text is not None:
        for seed, label in enumerate(LANGUAGES):
            (write_text / f"{label}.txt").write_text(_random_text(seed, PRESETS[preset]["vocabulary"]["size"]))
    training = {"steps": STEPS[preset], "warmup_steps": 1, "checkpoint_every": max(1, STEPS[preset] // 2)}
    few = {"validate_every": STEPS[preset], "validation_blocks": 4, "test_blocks": 4, "device": "cpu"}
    batches = {"batches": {"blocks": options.paper_blocks}} if preset == "paper" else {}
    values: dict[str, Any] = {
        "preset": preset,
        "languages": {label: {"paths": str(folder / f"{label}.txt")} for label in LANGUAGES},
        "treatments": [treatment],
        "mixtures": ["joint"],
        "splits": {"meta": 0.1, "validation": 0.1, "test": 0.1},
        "training": {**training, **few},
        **batches,
    }
    return study_from_mapping(values)


def _random_text(seed: int, vocabulary_size: int) -> str:
    """Sentences of as many different words as a vocabulary has entries."""
    drawn = random.Random(seed)
    words = [
        "".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=drawn.randrange(3, 9))) for _ in range(vocabulary_size)
    ]
    sentences = max(4000, vocabulary_size)
    return "".join(" ".join(drawn.choices(words, k=12)) + ".\n" for _ in range(sentences))


def _run(study: StudySettings) -> PlannedRun:
    (run,) = plan_runs(study)
    return run


def _foretold(study: StudySettings, folder: Path) -> dict[str, int]:
    del folder
    (found,) = footprints([_run(study)], study.vocabulary.size)
    return {"memory": found.memory, "disk": found.disk}


def _measured(study: StudySettings, folder: Path) -> dict[str, int]:
    run = folder / "runs" / "run"
    record = pretrain(_run(study).settings, folder / "data" / "shared", run)
    (newest,) = (run / "checkpoints").iterdir()
    return {"memory": record.peak_memory_bytes, "disk": size_of(run) + size_of(newest)}


if __name__ == "__main__":
    main()
