"""A folder that appears under its name when it is whole, and takes the place of an earlier export only."""

import glob
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from detente.disk import flush, free, size
from detente.errors import DataError
from detente.settings.yaml_values import read_yaml

CARD, WEIGHTS = "README.md", "model.safetensors"
FILES = {
    CARD,
    WEIGHTS,
    "config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
"""All that an export writes."""


def refuse_other_folder(goal: Path) -> None:
    """Refuse to overwrite anything but an empty folder and an earlier export.

    Raises:
        DataError: names what is in the way.
    """
    if not goal.exists():
        return
    if not goal.is_dir():
        raise DataError(f"{goal} is a file. Give a folder.")
    names = {path.name for path in goal.iterdir()}
    if not names:
        return
    others = ", ".join(sorted(names - FILES)[:3])
    if others:
        raise DataError(f"{goal} holds other files ({others}). Give a new folder, or empty it.")
    weights = _noted_digest(goal / CARD)
    if weights is None or weights != digest(goal / WEIGHTS):
        raise DataError(
            f"{goal} holds a model that is not as `detente export` wrote it; it may have been trained on. Give a new folder."
        )


@contextmanager
def replaced(goal: Path, *, needed: int) -> Iterator[Path]:
    """A new folder to write to, which becomes `goal` at the end. On an error it goes, and `goal` stays as it was.

    Args:
        needed: bytes, about.

    Raises:
        DataError: the disk is full, or the place cannot be written to.
    """
    goal = goal.resolve()
    beside = goal.with_name(f".{goal.name}.export-{os.getpid()}")
    try:
        _remove_left_over(goal)
        beside.mkdir(parents=True)
        yield beside
        _flush(beside)
        _exchange(beside, goal)
    except (OSError, SafetensorError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"the model could not be written to {goal} ({why}); it needs {size(needed)}, {size(free(goal.parent))} are free. What "
            "was there is unchanged."
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def digest(path: Path) -> str:
    """Of a file's content; empty without the file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _noted_digest(card: Path) -> str | None:
    """Of the weights that an export's card was written with."""
    try:
        _, front, _ = card.read_text(encoding="utf-8").split("---\n", 2)
        values: Any = read_yaml(front)
        return str(values["detente"]["weights"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _remove_left_over(goal: Path) -> None:
    """Of exports that were killed."""
    for folder in goal.parent.glob(f".{glob.escape(goal.name)}.export-*"):
        shutil.rmtree(folder)


def _flush(folder: Path) -> None:
    """To the disk, before the name is given."""
    for path in (*folder.iterdir(), folder):
        flush(path)


def _exchange(beside: Path, goal: Path) -> None:
    """A full folder cannot be replaced in one step: the old one moves away first, and goes when the new one is there."""
    old = beside.with_name(f"{beside.name}-old")
    if goal.exists():
        goal.rename(old)
    try:
        beside.rename(goal)
    except OSError:
        old.rename(goal)
        raise
    shutil.rmtree(old, ignore_errors=True)
