"""Jobs in several processes of this machine. A job that dies with its process is an outcome, not the end of the rest."""

import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import torch

from detente.errors import DetenteError, Interrupted, describe
from detente.machine import choose_device, num_cores
from detente.results import write_atomic

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

LOST = "a process of the study died, of too little memory perhaps. Use fewer --workers."
"""What is said of a job whose process is gone."""

ERROR_FILE = "error.txt"


def explained(error: Exception, folder: Path) -> str:
    """What ended a job, in a line; its traceback is kept in the job's folder unless the user can mend it."""
    if not isinstance(error, DetenteError):
        with suppress(OSError, DetenteError):
            write_atomic(folder / ERROR_FILE, "".join(traceback.format_exception(error)).encode())
    return describe(error)


def collected(outcomes: Iterable[Outcome], on_outcome: Callable[[Outcome], None] | None) -> list[Outcome]:
    """All of them; each is told as it comes."""
    found = []
    for outcome in outcomes:
        found.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)
    return found


def default_workers(jobs: int, device: str) -> int:
    """A worker a core that this process may use; one where they would share a GPU."""
    if not jobs or choose_device(device).type == "cuda":
        return 1
    return min(num_cores(), jobs)


def in_processes(
    jobs: Sequence[Job],
    do: Callable[[Job], Outcome],
    lost: Callable[[Job], Outcome],
    *,
    workers: int,
    on_wait: Callable[[Sequence[Job]], object],
) -> Iterator[Outcome]:
    """Do `workers` jobs at a time, the machine's threads divided among them. Fresh processes, not forks: threads of torch and
    tokenizers do not survive a fork.

    Args:
        do, lost: functions of a module, since processes import them; the latter gives the outcome of a job that died.
        on_wait: told about once a second which jobs have not ended.

    Raises:
        Interrupted: a signal came; the workers have ended, their jobs in hand as far as they save their state.
    """
    threads = max(1, num_cores() // workers)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(threads, stop))
    try:
        with _terminated_as_interrupted():
            waiting = {pool.submit(_do_unless_stopped, do, job): job for job in jobs}
            while waiting:
                ended, _ = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                yield from [_outcome(future, waiting.pop(future), lost) for future in ended]
                on_wait(list(waiting.values()))
    except (Interrupted, KeyboardInterrupt) as reason:
        # The pool has handed out a job more than it has workers; those must not begin.
        stop.set()
        for worker in multiprocessing.active_children():
            worker.terminate()
        number = reason.signal_number if isinstance(reason, Interrupted) else signal.SIGINT
        raise Interrupted(None, number) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(future: "Future[Outcome]", job: Job, lost: Callable[[Job], Outcome]) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return lost(job)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM becomes `Interrupted`, as Ctrl-C becomes KeyboardInterrupt; in the main thread, the only one that gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise_interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_interrupted(number: int, frame: object) -> None:  # noqa: ARG001 - a signal handler
    raise Interrupted(None, number)


_stop: Any = None
"""In a worker: set when the study is to end."""


def _start_worker(threads: int, stop: Any) -> None:
    """Between jobs a worker outlives the terminal's Ctrl-C, and ends when it is told to by its parent."""
    global _stop  # noqa: PLW0603 - a worker's initializer has no other place
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)


def _do_unless_stopped(do: Callable[[Job], Outcome], job: Job) -> Outcome:
    if _stop.is_set():
        raise Interrupted(None, signal.SIGTERM)
    return do(job)
