"""Do what is missing of a study: prepare the data, then every run without a good record. A failed run does not stop the rest."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from detente.errors import ConfigError, DetenteError, Interrupted, InUse, ProcessLost, RecordError
from detente.examine import gradient_watch
from detente.prepare import Counter, prepare, vocabulary_name
from detente.pretrain.data import RunData, fingerprint
from detente.pretrain.observers import Progress
from detente.pretrain.parallel import ALONE, Ranks, joined_ranks
from detente.pretrain.run import pretrain
from detente.results import RunRecord, last_step, now, read_record, write_atomic, write_json
from detente.settings import StudySettings
from detente.settings.deciding import SAVING
from detente.settings.load import parse_yaml, read
from detente.study.cost import passes
from detente.study.engine import Engine, collected, do_jobs, explained
from detente.study.plan import PlannedRun, mixtures, plan_runs

FIXED = ("languages", "splits", "vocabulary", "encoder", "batches", "training", "budget")
"""Settings of a study that may not change once it has runs: they would no longer be comparable."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended; without a record it failed, or another engine has it in hand."""

    run: PlannedRun
    record: RunRecord | None
    error: str | None = None
    is_elsewhere: bool = False


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
    on_wait: Callable[[dict[str, float]], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Do every run of `study` that has no good record, in `folder`. Under torchrun its processes do each run together.

    What another engine on the same folder has in hand is left to it.

    Args:
        engine, workers: see `Engine`.
        only: name of the one run wanted.
        prepare_progress, on_plan, on_outcome: told of long stages, of the number of runs, and of the end of each.
        run_progress: gives what is told of a run's steps (`local`).
        on_wait: told about once a second what share of each run in hand is done (but for `local`).

    Raises:
        ConfigError: the engine is unknown or does not go with torchrun, or the folder holds another study.
        Interrupted: a signal came; the runs in hand saved their state.
        ProcessLost: another process of torchrun has ended.
    """
    chosen, begun = Engine(engine, workers), now()
    with joined_ranks() as ranks:
        _refuse_both(chosen, ranks)
        jobs = [job for job in _planned(study, folder, prepare_progress, ranks) if only in (None, job.run.name)]
        if on_plan is not None:
            on_plan(len(jobs))
        is_local = chosen.name == "local"
        # Of one process only: progress cannot be told from another.
        more: dict[str, Any] = {"run_progress": run_progress, "ranks": ranks} if is_local else {}
        outcomes = do_jobs(
            jobs if is_local else _long_ones_first(jobs),
            partial(_do, begun=begun, **more),
            _undone,
            chosen,
            device=study.training.device,
            on_wait=lambda in_hand: on_wait(_shares_done(in_hand)) if on_wait else None,
        )
        return collected(outcomes, on_outcome)


def _refuse_both(engine: Engine, ranks: Ranks) -> None:
    if ranks.size > 1 and engine.name != "local":
        raise ConfigError(
            f"--engine {engine.name} starts processes of its own. Under torchrun, whose processes train each run together, use "
            "`--engine local`."
        )


def _planned(study: StudySettings, folder: Path, progress: Counter | None, ranks: Ranks) -> list[Job]:
    """All jobs of the study, its data prepared and its plan written by the first process."""
    with ranks.agreed():
        if ranks.is_first:
            _prepare_in_turn(study, folder, progress, is_patient=ranks.size == 1)
    with ranks.agreed():
        jobs = _jobs(study, folder)
        if ranks.is_first:
            _write_plan(folder, jobs)
    return jobs


def _prepare_in_turn(study: StudySettings, folder: Path, progress: Counter | None, *, is_patient: bool) -> None:
    """Another engine on the folder may be preparing: what it makes is not made again."""
    is_told = False
    while True:
        try:
            return prepare_study(study, folder, progress=progress)
        except InUse as reason:
            if not is_patient:
                raise
            if progress is not None and not is_told:
                progress(str(reason), "", None)
            is_told = True
            time.sleep(1)


def prepare_study(study: StudySettings, folder: Path, *, progress: Counter | None = None) -> None:
    """Bring a study's corpora, vocabularies and token stores up to date, and write its resolved settings into `folder`.

    Raises:
        ConfigError: the folder has runs of a study with other settings.
        DataError, ConfigError: as `detente.prepare.prepare`.
    """
    refuse_other_settings(study, folder)
    prepare(study, folder, mixtures=mixtures(study), progress=progress)
    resolved = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_atomic(folder / "study.yaml", resolved.encode())


def verify_data(study: StudySettings, folder: Path) -> None:
    """Read every token back that the study's runs use.

    Raises:
        DataError: a file does not have its checksum.
    """
    wanted: dict[str, set[str]] = {}
    for mixture in mixtures(study):
        wanted.setdefault(vocabulary_name(study, mixture), set()).update(mixture)
    for name, labels in wanted.items():
        RunData.open(folder / "data" / name, tuple(labels)).store.verify()


def refuse_other_settings(study: StudySettings, folder: Path) -> None:
    """Compare with the study whose runs are in `folder`.

    More seeds, treatments or mixtures may be asked of it later, and how often is saved may change; what is in `FIXED` may not.

    Raises:
        ConfigError: a fixed setting differs.
    """
    path = folder / "study.yaml"
    if not path.exists() or not any(folder.glob("runs/*")):
        return
    before = parse_yaml(read(path), str(path))
    now = study.model_dump(mode="json", exclude={"training": set(SAVING)})
    training = before.get("training")
    if isinstance(training, dict):
        before["training"] = {name: value for name, value in training.items() if name not in SAVING}
    differing = [name for name in FIXED if before.get(name) != now[name]]
    if differing:
        raise ConfigError(
            f"{folder} holds runs of a study with other settings ({', '.join(differing)}). Choose another `folder`, or delete it."
        )


def _jobs(study: StudySettings, folder: Path) -> list[Job]:
    jobs = []
    # Runs of a mixture share their data, and a large vocabulary takes a while to load.
    opened = cache(RunData.open)
    for run in plan_runs(study):
        data_folder = folder / "data" / run.settings.vocabulary
        mark = fingerprint(run.settings, opened(data_folder, run.settings.mixture))
        jobs.append(Job(run, data_folder, folder / "runs" / f"{run.name}-{mark[:8]}"))
    return jobs


def _write_plan(folder: Path, jobs: list[Job]) -> None:
    runs = [
        {
            "name": job.run.name,
            "mixture": list(job.run.settings.mixture),
            "treatment": job.run.settings.treatment,
            "variant": job.run.settings.variant,
            "seed": job.run.settings.seed,
            "folder": job.folder.name,
        }
        for job in jobs
    ]
    write_json(folder / "plan.json", {"runs": runs})


def _do(
    job: Job, *, begun: str, run_progress: Callable[[PlannedRun], Progress] | None = None, ranks: Ranks = ALONE
) -> Outcome | InUse:
    """Whatever goes wrong with one run must not end the study; but what only one of several processes met does."""
    is_alone = ranks.size == 1
    if is_alone and (error := _failed_since(begun, job.folder)):
        return Outcome(job.run, None, error)
    try:
        progress = run_progress(job.run) if run_progress else None
        return Outcome(
            job.run, pretrain(job.run.settings, job.data_folder, job.folder, progress=progress, watch=gradient_watch)
        )
    except (Interrupted, ProcessLost):
        raise
    except Exception as error:
        if is_alone and isinstance(error, InUse):
            return error
        said = explained(error, job.folder)
        if not is_alone and not isinstance(error, DetenteError):
            raise
        return Outcome(job.run, None, said)


def _failed_since(begun: str, folder: Path) -> str | None:
    """Why a run failed that another engine has tried since this one began: it is not tried twice."""
    with suppress(RecordError):
        record = read_record(folder)
        if record.status == "failed" and record.finished > begun:
            return record.error
    return None


def _undone(job: Job, error: Exception) -> Outcome:
    return Outcome(job.run, None, str(error), is_elsewhere=isinstance(error, InUse))


def _long_ones_first(jobs: list[Job]) -> list[Job]:
    """Within each seed: a long run begun last would leave the other workers idle."""
    seeds = list(dict.fromkeys(job.run.settings.seed for job in jobs))
    cost = {job.run: passes(job.run.settings) * job.run.settings.training.steps for job in jobs}
    return sorted(jobs, key=lambda job: (seeds.index(job.run.settings.seed), -cost[job.run]))


def _shares_done(jobs: Iterable[Job]) -> dict[str, float]:
    """Of the runs that have begun, by their metrics."""
    steps = [(job.run, last_step(job.folder)) for job in jobs]
    return {run.name: step / run.settings.training.steps for run, step in steps if step}
