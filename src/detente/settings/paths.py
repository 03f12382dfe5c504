"""Paths in settings files."""

from pathlib import Path

from detente.errors import ConfigError


def resolve(path: str, base: Path) -> str:
    """Absolute; a relative one is taken from `base`. References to the Hugging Face hub stay as they are.

    Raises:
        ConfigError: no file can have the path.
    """
    if path.startswith("hf://"):
        return path
    try:
        return str((base / Path(path).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a name too long; links in a circle, nobody's `~`; a NUL
        raise ConfigError(f"the path {path[:200]!r} leads to no file ({error}). Correct it.") from None
