"""Paths in settings files."""

from pathlib import Path


def resolve(path: str, base: Path) -> str:
    """Absolute; a relative one is taken from `base`. References to the Hugging Face hub stay as they are."""
    return path if path.startswith("hf://") else str((base / Path(path).expanduser()).resolve())
