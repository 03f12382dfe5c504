"""Processes that start at once: forked from a server that has loaded torch and detente, and done nothing with them.

A fresh Python needs four seconds for the imports of a training. `test_torchrun.py` and `test_export.py` start fresh ones as well.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import connection, forkserver
from pathlib import Path

import pytest

# Not `detente.cli`, whose console asks what the output is. torch loads `_dynamo` with the first optimizer.
LOADED = [
    "torch._dynamo",
    "typer",
    "rich.table",
    "detente.watched_study",
    "detente.report",
    "matplotlib.figure",
    "pytest",
]
CONTEXT = multiprocessing.get_context("forkserver")


class Forked:
    """As much of `subprocess.Popen` as tests need. Leads a process group of its own, as a terminal gives it."""

    def __init__(self, program: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._files = folder / "output", folder / "errors"
        self._process = CONTEXT.Process(target=_become, args=(program, arguments, environment, self._files))
        self._process.start()
        self.pid, self.sentinel = self._process.pid or 0, self._process.sentinel

    @property
    def returncode(self) -> int | None:
        """A negative number is that of the signal which ended it; None while it lives."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits for its end. What it printed, and its errors."""
        self._process.join(timeout)
        assert self.returncode is not None, "the process does not end"
        output, errors = (path.read_text(encoding="utf-8") for path in self._files)
        return output, errors


Start = Callable[..., Forked]


@contextmanager
def started(folder: Path) -> Iterator[Start]:
    """Gives what starts the command `detente` or a script, with some of the environment changed; in the end nothing is left."""
    begun: list[Forked] = []

    def start(program: str, *arguments: str | Path, **environment: str) -> Forked:
        own = Path(tempfile.mkdtemp(dir=folder))
        begun.append(Forked(program, [*map(str, arguments)], {**os.environ, **environment}, own))
        return begun[-1]

    with pytest.MonkeyPatch.context() as patch:
        # Read where torch and numpy are loaded.
        patch.setenv("OMP_NUM_THREADS", "1")
        # Threads that spin while they wait for one another take ten times as long where the cores are busy with other tests.
        patch.setenv("OMP_WAIT_POLICY", "passive")
        CONTEXT.set_forkserver_preload(LOADED)
        forkserver.ensure_running()
        yield start
    for process in begun:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


class Together:
    """Processes that have what torchrun gives them: ranks, a store that outlives them, and an end when one has failed."""

    def __init__(self, start: Start, size: int, program: str, *arguments: str | Path) -> None:
        from torch.distributed import TCPStore

        self._store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
        shared = {
            "MASTER_ADDR": "localhost",
            "MASTER_PORT": str(self._store.port),
            "WORLD_SIZE": str(size),
            "TORCHELASTIC_RUN_ID": "none",
            "TORCHELASTIC_RESTART_COUNT": "0",
            "TORCHELASTIC_USE_AGENT_STORE": "True",
        }
        own = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]
        self.ranks = [start(program, *arguments, **shared, **one) for one in own]

    @property
    def returncode(self) -> int | None:
        """Of one that failed, if one did; None while one lives."""
        codes = [rank.returncode for rank in self.ranks]
        return None if None in codes else next(filter(None, codes), 0)

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        for rank in self.ranks:
            rank.send_signal(number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Waits for the end of all. What they printed, and their errors."""
        waiting = {rank.sentinel: rank for rank in self.ranks}
        while waiting:
            ended = connection.wait(list(waiting), timeout)
            assert ended, "the processes do not end"
            codes = [waiting.pop(int(sentinel)).returncode for sentinel in ended]
            if any(codes):
                self.send_signal(signal.SIGTERM)
        output, errors = zip(*(rank.communicate() for rank in self.ranks), strict=True)
        return "".join(output), "".join(errors)


def _become(program: str, arguments: list[str], environment: Mapping[str, str], files: tuple[Path, Path]) -> None:
    os.setsid()
    for number, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [program, *arguments]
    if program == "detente":
        from detente.cli import main

        main()
    else:
        runpy.run_path(program, run_name="__main__")
