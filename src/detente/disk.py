"""A full disk, said in one line: what could not be written, how much it needs and how much is free."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detente.errors import DataError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Also a quota that is used up."""
AGAIN = "What was there before is unchanged. Make room, and run the same command again."


@contextmanager
def told_when_full(what: str, place: Path, *, needed: int | None = None, then: str = AGAIN) -> Iterator[None]:
    """Say so when the disk is full; other errors pass.

    Args:
        what: is written, for the error: `the record`, say.
        place: a path on the disk in question, there or not.
        needed: bytes in all; left out where nobody knows.
        then: what to do.

    Raises:
        DataError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DataError(f"{full(what, place, needed)} {then}") from None


def full(what: str, place: Path, needed: int | None) -> str:
    """The sentence."""
    wants = "" if needed is None else f" needs {size(needed)} and"
    return f"the disk is full: {what}{wants} could not be written to {place}, where {size(free(place))} are free."


def free(place: Path) -> int:
    """Bytes that are free on the disk of a path, there or not."""
    existing = next(path for path in (place, *place.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def size(number: int) -> str:
    """Of so many bytes, for people."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number} bytes"


def flush(path: Path) -> None:
    """A file's content, or the names in a folder, to the disk: a rename is on it only when its folder is."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
