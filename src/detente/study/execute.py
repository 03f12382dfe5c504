"""Do what is missing of a study: prepare the data, then every run that has no good record. A failed run does not stop the rest."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from detente.errors import ConfigError, DetenteError, Interrupted
from detente.prepare import prepare
from detente.pretrain.observers import Progress
from detente.pretrain.run import RunData, fingerprint, pretrain, record_failure
from detente.results import RunRecord, write_atomic, write_json
from detente.settings import StudySettings
from detente.study.plan import PlannedRun, mixtures, plan_runs

Engine = Literal["local", "processes"]


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended."""

    run: PlannedRun
    record: RunRecord | None
    error: str | None = None


@dataclass(frozen=True)
class Job:
    """All that a worker needs to do one run."""

    run: PlannedRun
    data_folder: Path
    folder: Path
    threads: int | None = None


def run_study(
    study: StudySettings,
    folder: Path,
    *,
    engine: Engine = "local",
    workers: int | None = None,
    prepare_progress: Callable[..., None] | None = None,
    run_progress: Callable[[PlannedRun], Progress] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Do every run of `study` that has no good record, in `folder`.

    Args:
        engine: `local` does one run after another in this process; `processes` does `workers` at a time, the machine's threads
            divided among them.
        run_progress: gives the observer of a run's steps (`local` only).
        on_outcome: told when a run has ended.

    Raises:
        ConfigError: the folder holds another study.
        Interrupted: a signal came; the runs in hand saved their state.
    """
    claim_folder(study, folder)
    prepare(study, folder, mixtures=mixtures(study), progress=prepare_progress)
    jobs = _jobs(study, folder)
    _write_plan(folder, jobs)
    does = _one_by_one(jobs, run_progress) if engine == "local" else _in_processes(jobs, workers or os.cpu_count() or 1)
    outcomes = []
    for outcome in does:
        outcomes.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)
    return outcomes


def claim_folder(study: StudySettings, folder: Path) -> None:
    """Write the study's resolved settings into its folder, or check that they are the ones there.

    More seeds, treatments or mixtures may be asked of a folder later; what decides the data may not change, since the runs that
    are there would no longer be comparable.
    """
    path = folder / "study.yaml"
    resolved = study.model_dump(mode="json")
    if path.exists():
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        fixed = ("languages", "splits", "vocabulary", "encoder", "batches", "training", "budget")
        differing = [name for name in fixed if before.get(name) != resolved[name]]
        if differing:
            raise ConfigError(
                f"{folder} holds a study with other settings ({', '.join(differing)}). Set `folder` to a new one, or delete it."
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
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_set_threads, initargs=(threads,)) as pool:
        waiting = [pool.submit(_do, job) for job in jobs]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except (Interrupted, KeyboardInterrupt):
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                os.kill(process.pid or 0, signal.SIGTERM)
            raise


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


