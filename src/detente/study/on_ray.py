"""Jobs on a Ray cluster, or on one that is started on this machine. All machines must see the study's folder, under the same path."""

import importlib.util
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from detente.errors import ConfigError, Interrupted, ProcessLost
from detente.pretrain.signals import StopRequest

Job = TypeVar("Job")
Result = TypeVar("Result")


def require_ray() -> None:
    """Raises:
    ConfigError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("--engine ray needs Ray: pip install 'detente[ray]'")


def on_ray(
    jobs: Sequence[Job],
    do: Callable[[Job], Result],
    *,
    workers: int | None,
    device: str,
    on_wait: Callable[[Sequence[Job]], object],
) -> Iterator[tuple[Job, Result | ProcessLost]]:
    """Do each job as a task of Ray, of one CPU, and of one GPU where the cluster has some and the jobs may use it.

    Args:
        do: a function of a module, since workers import it.
        workers: tasks at a time; None asks for all at once, and Ray does as many as it has room for.
        on_wait: told about once a second which jobs are in hand, waiting ones among them.

    Raises:
        Interrupted: a signal came; the tasks have ended, their jobs in hand as far as they save their state.
    """
    ray = _connected()
    gpus = 1 if device != "cpu" and ray.cluster_resources().get("GPU") else 0
    # A task that died is not tried again: the next would die of the same.
    task = ray.remote(_as_there).options(num_cpus=1, num_gpus=gpus, max_retries=0)
    in_hand = dict[Any, Job]()
    try:
        with StopRequest() as stop:
            yield from _through(task, jobs, do, in_hand, most=workers or len(jobs), on_wait=on_wait, stop=stop)
    except (Interrupted, KeyboardInterrupt) as reason:
        for reference in in_hand:
            # Comes to the worker as Ctrl-C, which saves.
            ray.cancel(reference)
        if in_hand:
            ray.wait(list(in_hand), num_returns=len(in_hand))
        raise Interrupted(None, getattr(reason, "signal_number", signal.SIGINT)) from None


def _through(
    task: Any,
    jobs: Sequence[Job],
    do: Callable[[Job], Result],
    in_hand: dict[Any, Job],
    *,
    most: int,
    on_wait: Callable[[Sequence[Job]], object],
    stop: StopRequest,
) -> Iterator[tuple[Job, Result | ProcessLost]]:
    """At most `most` jobs are in hand at a time."""
    import ray

    waiting = deque(jobs)
    while waiting or in_hand:
        while waiting and len(in_hand) < most:
            job = waiting.popleft()
            in_hand[task.remote(Path.cwd(), sys.argv, do, job)] = job
        # Ray's calls do not bear an exception of a signal's handler.
        ended, _ = ray.wait(list(in_hand), timeout=1)
        for reference in ended:
            yield in_hand.pop(reference), _result(reference)
        on_wait(list(in_hand.values()))
        if signal_number := stop.asked():
            raise Interrupted(None, signal_number)


def _connected() -> Any:
    """Ray: connected already, or to the cluster of RAY_ADDRESS, or to one that is started here and ends with this process."""
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    return ray


def _as_there(folder: Path, command: list[str], do: Callable[[Job], Result], job: Job) -> Result:
    """In a worker: paths are relative to the folder that the study was called in, and a lock's note says how it was called."""
    os.chdir(folder)
    sys.argv = command
    return do(job)


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except Interrupted:
        raise
    except ray.exceptions.RayError as error:
        return ProcessLost(f"a process of the study died: {str(error).strip().splitlines()[-1]}")
