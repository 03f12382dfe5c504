"""Do what is missing of a study: prepare the data, then every run without a good record. A failed run does not stop the rest."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from detente.errors import ConfigError, DetenteError, Interrupted
from detente.prepare import Counter, prepare
from detente.pretrain.data import RunData, fingerprint
from detente.pretrain.observers import Progress
from detente.pretrain.run import pretrain, record_failure
from detente.results import RunRecord, write_atomic, write_json
from detente.settings import StudySettings
from detente.study.plan import PlannedRun, mixtures, plan_runs

FIXED = ("languages", "splits", "vocabulary", "encoder", "batches", "training", "budget")
"""Settings of a study's folder that may not change: its runs would no longer be comparable."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended; without a record it failed."""

    run: PlannedRun
    record: RunRecord | None
    error: str | None = None


@dataclass(frozen=True)
class Job:
    """All that a worker needs to do one run."""

    run: PlannedRun
    data_folder: Path
    folder: Path


def run_study(
    study: StudySettings,
    folder: Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    only: str | None = None,
    prepare_progress: Counter | None = None,
    on_plan: Callable[[int], None] | None = None,
    run_progress: Callable[[PlannedRun], Progress] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Do every run of `study` that has no good record, in `folder`.

    Args:
        engine: `local` does one run after another in this process; `processes` does `workers` at a time, the machine's threads
            divided among them.
        only: name of the one run wanted.
        prepare_progress, on_plan, run_progress, on_outcome: told of long stages, of the number of runs, of a run's steps
            (`local` only) and of its end.

    Raises:
        ConfigError: the engine is unknown, or the folder holds another study.
        Interrupted: a signal came; the runs in hand saved their state.
    """
    if engine not in ("local", "processes"):
        raise ConfigError(f"--engine {engine}: choose `local` or `processes`.")
    prepare_study(study, folder, progress=prepare_progress)
    jobs = _jobs(study, folder)
    _write_plan(folder, jobs)
    jobs = [job for job in jobs if only in (None, job.run.name)]
    if on_plan is not None:
        on_plan(len(jobs))
    does = _one_by_one(jobs, run_progress) if engine == "local" else _in_processes(jobs, workers or os.cpu_count() or 1)
    outcomes = []
    for outcome in does:
        outcomes.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)
    return outcomes


def prepare_study(study: StudySettings, folder: Path, *, progress: Counter | None = None) -> None:
    """Claim `folder` for `study` and bring its corpora, vocabularies and token stores up to date."""
    claim_folder(study, folder)
    prepare(study, folder, mixtures=mixtures(study), progress=progress)


def claim_folder(study: StudySettings, folder: Path) -> None:
    """Write the study's resolved settings into its folder, or check that they fit those there.

    More seeds, treatments or mixtures may be asked of a folder later; what is in `FIXED` may not change.

    Raises:
        ConfigError: the folder holds a study with other settings.
    """
    path = folder / "study.yaml"
    resolved = study.model_dump(mode="json")
    if path.exists():
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        differing = [name for name in FIXED if before.get(name) != resolved[name]]
        if differing:
            raise ConfigError(
                f"{folder} holds a study with other settings ({', '.join(differing)}). Choose another `folder`, or delete it."
            )
    write_atomic(path, yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True).encode())


def _jobs(study: StudySettings, folder: Path) -> list[Job]:
    jobs = []
    for run in plan_runs(study):
        data_folder = folder / "data" / run.settings.vocabulary
        mark = fingerprint(run.settings, RunData.open(data_folder, run.settings.mixture))
        jobs.append(Job(run, data_folder, folder / "runs" / f"{run.name}-{mark[:8]}"))
    return jobs


def _write_plan(folder: Path, jobs: list[Job]) -> None:
    runs = [
        {
            "name": job.run.name,
            "mixture": list(job.run.settings.mixture),
            "treatment": job.run.settings.treatment,
            "seed": job.run.settings.seed,
            "folder": job.folder.name,
        }
        for job in jobs
    ]
    write_json(folder / "plan.json", {"runs": runs})


def _one_by_one(jobs: list[Job], run_progress: Callable[[PlannedRun], Progress] | None) -> Iterator[Outcome]:
    for job in jobs:
        yield _do(job, run_progress(job.run) if run_progress else None)


def _do(job: Job, progress: Progress | None = None) -> Outcome:
    try:
        return Outcome(job.run, pretrain(job.run.settings, job.data_folder, job.folder, progress=progress))
    except DetenteError as error:
        record_failure(job.run.settings, job.data_folder, job.folder, str(error))
        return Outcome(job.run, None, str(error))


def _in_processes(jobs: list[Job], workers: int) -> Iterator[Outcome]:
    """Fresh processes, not forks: threads of torch and tokenizers do not survive a fork."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(threads,))
    before = signal.signal(signal.SIGTERM, _raise_interrupted)
    try:
        for future in as_completed([pool.submit(_do, job) for job in jobs]):
            yield future.result()
    except (Interrupted, KeyboardInterrupt) as reason:
        for worker in multiprocessing.active_children():
            worker.terminate()
        raise reason if isinstance(reason, Interrupted) else Interrupted(0, signal.SIGINT) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        signal.signal(signal.SIGTERM, before)


def _start_worker(threads: int) -> None:
    """Between runs a worker outlives the terminal's Ctrl-C, and ends when it is told to by its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)


def _raise_interrupted(number: int, frame: object) -> None:  # noqa: ARG001 - a signal handler
    raise Interrupted(0, number)
