"""Where the jobs of a study are done. A job that fails, or dies with its process, is an outcome, not the end of the rest.

Several engines may work on one folder, of several machines too: what another has in hand is left to it.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from detente.errors import ConfigError, DetenteError, InUse, describe
from detente.machine import choose_device, num_cores
from detente.results import write_atomic
from detente.study.on_ray import on_ray, require_ray
from detente.study.processes import in_processes

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

ENGINES = ("local", "processes", "ray")
ERROR_FILE = "error.txt"


@dataclass(frozen=True)
class Engine:
    """Where jobs are done, and how many at a time.

    Attributes:
        name: `local` does one after another in this process, `processes` several in processes of this machine, its threads divided
            among them, `ray` as many as a cluster has CPUs or GPUs for.
        workers: jobs at a time; None leaves it to the engine.

    Raises:
        ConfigError: there is no such engine, or it needs what is not there.
    """

    name: str = "local"
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise ConfigError(f"--engine {self.name}: choose `local`, `processes` or `ray`.")
        if self.workers is not None and self.name == "local":
            raise ConfigError("--workers has no effect with `--engine local`. Add `--engine processes`.")
        if self.name == "ray":
            require_ray()


def do_jobs(
    jobs: Sequence[Job],
    do: Callable[[Job], Outcome | InUse],
    undone: Callable[[Job, Exception], Outcome],
    engine: Engine,
    *,
    device: str,
    on_wait: Callable[[Sequence[Job]], object],
) -> Iterator[Outcome]:
    """The outcome of each job, as they end.

    Args:
        do: gives an outcome, also of failure, or says who else has the job in hand. Like `undone`, a function that processes can
            import, unless the engine is `local`.
        undone: gives the outcome of a job that died, or that is left to somebody else.
        device: setting of the jobs.
        on_wait: told about once a second which jobs have been begun and have not ended, unless the engine is `local`.

    Raises:
        Interrupted: a signal came; jobs in hand have been saved.
    """

    def round_(some: Sequence[Job]) -> Iterator[tuple[Job, Outcome | Exception]]:
        if engine.name == "processes":
            workers = engine.workers or _default_workers(len(some), device)
            return in_processes(some, do, workers=workers, on_wait=on_wait)
        if engine.name == "ray":
            return on_ray(some, do, workers=engine.workers, device=device, on_wait=on_wait)
        return ((job, do(job)) for job in some)

    yield from _in_two_rounds(jobs, round_, undone)


def _in_two_rounds(
    jobs: Sequence[Job],
    round_: Callable[[Sequence[Job]], Iterator[tuple[Job, Outcome | Exception]]],
    undone: Callable[[Job, Exception], Outcome],
) -> Iterator[Outcome]:
    """What another engine has in hand is looked at once more at the end: that engine may have ended it, or been stopped."""
    held = []
    for job, result in round_(jobs):
        if isinstance(result, InUse):
            held.append(job)
        else:
            yield undone(job, result) if isinstance(result, Exception) else result
    for job, result in round_(held) if held else ():
        yield undone(job, result) if isinstance(result, Exception) else result


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


def _default_workers(jobs: int, device: str) -> int:
    """A worker a core that this process may use; one where they would share a GPU."""
    return 1 if choose_device(device).type == "cuda" else min(num_cores(), jobs)
