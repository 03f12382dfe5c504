"""Jobs in several processes of this machine.

Fresh processes, not forks: threads of torch and tokenizers do not survive a fork. Each is a pool of its own, so that one that dies
takes its own job only.
"""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch

from detente.errors import Interrupted, ProcessLost
from detente.machine import num_cores
from detente.pretrain.signals import StopRequest

Job = TypeVar("Job")
Result = TypeVar("Result")

LOST = "a process of the study died, of too little memory perhaps. Use fewer --workers."
"""What is said of a job whose process is gone."""


def in_processes(
    jobs: Sequence[Job],
    do: Callable[[Job], Result],
    *,
    workers: int,
    on_wait: Callable[[Sequence[Job]], object],
) -> Iterator[tuple[Job, Result | ProcessLost]]:
    """Do `workers` jobs at a time, the machine's threads divided among them.

    Args:
        do: a function of a module, since processes import it.
        on_wait: told about once a second which jobs are in hand.

    Raises:
        Interrupted: a signal came; the workers have ended, their jobs in hand as far as they save their state.
    """
    threads = max(1, num_cores() // workers)
    lanes = [_Lane(threads) for _ in range(min(workers, len(jobs)))]
    try:
        with StopRequest() as stop:
            yield from _through(lanes, jobs, do, on_wait, stop)
    except (Interrupted, KeyboardInterrupt) as reason:
        for worker in multiprocessing.active_children():
            worker.terminate()
        # Of a study: its runs have stopped at steps of their own.
        raise Interrupted(None, getattr(reason, "signal_number", signal.SIGINT)) from None
    finally:
        for lane in lanes:
            lane.close()


class _Lane:
    """One worker, and another when it died."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._open()

    def _open(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_start_worker, initargs=(self._threads,))

    def submit(self, do: Callable[[Job], Result], job: Job) -> "Future[Result]":
        try:
            return self._pool.submit(do, job)
        except BrokenProcessPool:
            self._open()
            return self._pool.submit(do, job)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _through(
    lanes: Sequence[_Lane],
    jobs: Sequence[Job],
    do: Callable[[Job], Result],
    on_wait: Callable[[Sequence[Job]], object],
    stop: StopRequest,
) -> Iterator[tuple[Job, Result | ProcessLost]]:
    """A lane gets its next job when it has ended one."""
    waiting, free = deque(jobs), list(lanes)
    in_hand: dict[Future[Result], tuple[Job, _Lane]] = {}
    while waiting or in_hand:
        while waiting and free:
            job, lane = waiting.popleft(), free.pop()
            in_hand[lane.submit(do, job)] = (job, lane)
        ended, _ = wait(in_hand, timeout=1, return_when=FIRST_COMPLETED)
        for future in ended:
            job, lane = in_hand.pop(future)
            free.append(lane)
            yield job, _result(future)
        on_wait([job for job, _ in in_hand.values()])
        if signal_number := stop.asked():
            raise Interrupted(None, signal_number)


def _result(future: "Future[Any]") -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        return ProcessLost(LOST)


def _start_worker(threads: int) -> None:
    """Between jobs a worker outlives the terminal's Ctrl-C, and ends when it is told to by its parent, or with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed could not tell its workers to stop: they would train on, and nobody would know of them."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"
    multiprocessing.connection.wait([parent.sentinel])
    while True:
        # The first saves the run in hand; one that comes after that ends the worker, which waits for jobs.
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
