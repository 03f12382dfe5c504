"""What `crash.py` kills: small runs, preparation, a study and a fine-tuning; what each leaves, and what of that must be whole."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from detente.pretrain.checkpoint import OPTIMIZER, WEIGHTS, damage, newest_checkpoint
from detente.results import METRICS_FILE, read_record
from detente.task_results import TASK_RECORD_FILE, read_task_record
from detente.tasks.choice import CHECKPOINTS, TRIALS_FILE, Trials, chosen

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
TASK = {
    "sources": ["te"],
    "epochs": 3,
    "examples_per_epoch": 320,
    "batch_sizes": [16, 32],
    "learning_rates": [3e-3, 1e-2],
}
"""Four points. Another epoch is the best for one language or the other nearly every time, so that models are written often."""
MODEL = "model.safetensors"


def unfinished_checkpoints(folder: Path) -> list[Path]:
    """Of runs: what is being written, or was when its process was killed."""
    return [path for path in folder.glob("runs/*/checkpoints/.step-*") if not path.name.endswith(".removed")]


def damaged_checkpoints(folder: Path) -> list[Path]:
    """Of runs: those that can be seen, and should not."""
    return [path for path in folder.glob("runs/*/checkpoints/step-*") if damage(path)]


@dataclass(frozen=True)
class Job:
    """Something that can be killed.

    Attributes:
        arguments: of the command: verb, then what follows the study's file; before `--folder`.
        result: what it left in its folder, as a name -> content's hash.
        processes: two find each other as those of torchrun do.
        run: name of a run that is done first; the command gets its folder in place of the study's file.
        unfinished: what is being written in its folder; None where nothing is waited for.
        damaged: what counts, whenever the kill came, and is not whole.
        begun: files by which one sees that it has begun.
    """

    name: str
    arguments: tuple[str, ...]
    result: Callable[[Path], dict[str, str]]
    processes: int = 1
    run: str = ""
    unfinished: Callable[[Path], list[Path]] | None = unfinished_checkpoints
    damaged: Callable[[Path], list[Path]] = damaged_checkpoints
    begun: str = f"runs/*/{METRICS_FILE}"


def jobs() -> list[Job]:
    """All that are tried."""
    plain, meta = ("pretrain", "-r", "joint/none"), ("pretrain", "-r", "joint/meta-adapter")
    return [
        Job("plain", plain, of_runs),
        Job("meta", meta, of_runs),
        Job("plain, two processes", plain, of_runs, processes=2),
        Job("meta, two processes", meta, of_runs, processes=2),
        Job("prepare", ("prepare",), of_data, unfinished=None),
        Job(
            "study",
            ("study", "--set", "mixtures=[mono]", "--set", "treatments=[none]", "--set", "training.steps=40"),
            lambda folder: of_runs(folder) | of_data(folder),
        ),
        Job(
            "fine-tuning",
            ("finetune", "--task", "ner", "--set", f"tasks.ner={json.dumps(TASK)}"),
            of_fine_tunings,
            run="joint/meta-adapter",
            unfinished=unfinished_fine_tunings,
            damaged=damaged_points,
            begun="*/*/fingerprint",
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
    return _of_files(folder, (folder / "data").rglob("[!.]*"))


def of_fine_tunings(folder: Path) -> dict[str, str]:
    """Scores, epochs, predictions, lines of the grid and the models that were chosen."""
    found = {}
    for record in map(read_task_record, folder.glob(f"*/*/{TASK_RECORD_FILE}")):
        told = record.model_dump(exclude={"seconds", "finished"})
        found[f"{record.task} {record.source}"] = _hash(repr(told).encode())
    beside = (path for path in folder.glob("*/*/[!.]*") if path.name != TASK_RECORD_FILE)
    return found | _of_files(folder, beside) | _of_files(folder, folder.glob(f"*/*/{CHECKPOINTS}/*/*"))


def unfinished_fine_tunings(folder: Path) -> list[Path]:
    """Models, lines, predictions or records that are being written, or were when their process was killed."""
    models = [path for path in folder.glob(f"*/*/{CHECKPOINTS}/*") if not _is_whole(path)]
    return [*models, *folder.glob("*/*/.*.*[0-9]")]


def damaged_points(folder: Path) -> list[Path]:
    """Models that may be chosen, by the lines of the grid that are there, and cannot be loaded."""
    found = []
    for path in folder.glob(f"*/*/{TRIALS_FILE}"):
        trials = Trials(path.parent)
        found += [trials.checkpoint(epoch) for epoch in chosen(trials.epochs())]
    return [path for path in found if not _is_whole(path)]


def _is_whole(model: Path) -> bool:
    """By its length, which its header tells."""
    try:
        with safe_open(model / MODEL, "pt"):
            return True
    except (OSError, SafetensorError):
        return False


def _of_files(folder: Path, paths: Any) -> dict[str, str]:
    return {str(path.relative_to(folder)): _hash(path.read_bytes()) for path in sorted(paths) if path.is_file()}


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
