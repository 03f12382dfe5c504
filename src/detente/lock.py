"""One process at a time on a folder. The lock is the system's own: it ends with the process, however that ends.

A file system may not show one machine the locks of another. So a holder also leaves a note, and takes it away when it is done.
"""

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from detente.errors import InUse
from detente.results import now

LOCK_FILE = ".lock"
INSTANT = 0.2
"""Seconds for which `holder` may have a lock that is free."""


@dataclass(frozen=True)
class Holder:
    """Who is at work on a folder, since when (UTC, ISO 8601)."""

    process: int
    host: str
    command: str
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} (`{self.command}`) since {self.since}"

    @property
    def is_here(self) -> bool:
        """Whether this machine can tell that it lives."""
        return self.host == socket.gethostname()


@contextmanager
def locked(folder: Path, *, patience: float = INSTANT) -> Iterator[None]:
    """Hold a folder. A lock whose process has died is taken over.

    Args:
        patience: seconds to wait for another process.

    Raises:
        InUse: another process holds it, or one of another machine did and has not said that it ended; who, and since when.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + patience
        while not (is_ours := _is_free(file, fcntl.LOCK_EX)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not is_ours:
            raise InUse(f"{folder} is in use by {_noted(file) or 'another process'}. Wait for it, or stop it.")
        before = _noted(file)
        if before is not None and not before.is_here:
            raise InUse(
                f"{folder} is in use by {before}, which cannot be seen from this machine. If it has ended, delete {file.name} and "
                "call again."
            )
        file.truncate(0)
        json.dump(asdict(Holder(os.getpid(), socket.gethostname(), _command(), now())), file)
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(folder: Path) -> Holder | None:
    """Who is at work on a folder; None when nobody is, or has died. Of another machine it cannot be told: see `Holder.is_here`."""
    with suppress(FileNotFoundError), (folder / LOCK_FILE).open(encoding="utf-8") as file:
        found = _noted(file)
        # Without a note nobody holds it, and it need not be touched.
        if found is not None and not (found.is_here and _is_free(file, fcntl.LOCK_SH)):
            return found
    return None


def _is_free(file: TextIO, kind: int) -> bool:
    """Whether the lock could be had; if so, it is."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _noted(file: TextIO) -> Holder | None:
    file.seek(0)
    with suppress(ValueError, TypeError):
        return Holder(**json.load(file))
    return None


def _command() -> str:
    """What was called, as far as a line has room."""
    name = Path(sys.argv[0]).name.replace("__main__.py", "detente")
    return " ".join([name, *sys.argv[1:]])[:100]
