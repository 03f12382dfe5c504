"""Fine-tune the runs of a study, or anyone's model, on labelled examples; what has a good record is not done again."""

import gc
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from detente.corpus.files import HUB_PREFIX, find_files
from detente.errors import DataError, Interrupted, InUse, RecordError
from detente.lock import LOCK_FILE, locked
from detente.machine import choose_device, machine, versions
from detente.prepare import Counter
from detente.results import hash_of, hash_of_file, now, write_atomic
from detente.revision import find_revision
from detente.settings import StudySettings
from detente.settings.tasks import TaskName, TaskSettings
from detente.study.engine import ERROR_FILE, Engine, collected, do_jobs, explained
from detente.study.task_jobs import Target, TaskJob, jobs_of, of_run, sources_of, with_constructed
from detente.task_results import (
    TASK_FAILURE_FILE,
    TASK_RECORD_FILE,
    TaskRecord,
    read_task_failure,
    read_task_record,
    write_task_failure,
    write_task_record,
)

if TYPE_CHECKING:
    from detente.tasks.data import TaskData

FORMAT = 1
"""Raised when the same settings no longer give the same result."""
NOT_DECIDING = {"task", "data", "sources", "seeds"}
"""Settings that a fine-tuning's result does not hang on, or that its fingerprint has by content."""
PACKAGES = ("transformers", "accelerate")
NOTE = "fingerprint"
OURS = {LOCK_FILE, ERROR_FILE, TASK_FAILURE_FILE}
"""What a folder may hold before its first fine-tuning has begun."""


@dataclass(frozen=True)
class TaskOutcome:
    """How a fine-tuning ended; without a record it failed, or another engine has it in hand."""

    job: TaskJob
    record: TaskRecord | None
    error: str | None = None
    is_elsewhere: bool = False


def fine_tune_study(
    study: StudySettings,
    folder: Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    on_plan: Callable[[int], None] | None = None,
    progress: Counter | None = None,
    on_outcome: Callable[[TaskOutcome], None] | None = None,
) -> list[TaskOutcome]:
    """Fine-tune every good run of `folder` on every task of `study`, as far as it knows one of its sources.

    Raises:
        Interrupted: a signal came.
    """
    chosen, begun, jobs = Engine(engine, workers), now(), list(_jobs(study, folder))
    if on_plan is not None:
        on_plan(len(jobs))
    do = partial(_do, begun=begun, progress=progress if chosen.name == "local" else None)
    outcomes = do_jobs(jobs, do, _undone, chosen, device=study.training.device, on_wait=lambda _: None)
    return collected(outcomes, on_outcome)


def fine_tune(job: TaskJob, progress: Counter | None = None) -> TaskRecord:
    """Do one fine-tuning, or give its record where it has been done.

    Raises:
        DataError: files or the model cannot be read, or do not fit each other.
        ConfigError: a setting does not fit the model.
        TrainingError: every point of the grid diverged.
        InUse: another process is at it.
    """
    mark = _fingerprint(job)
    known = _known(job.folder, mark)
    if known is not None:
        return known
    _refuse_foreign(job.folder)
    with locked(job.folder):
        # Whoever held it before may have done it.
        return _known(job.folder, mark) or _fine_tune(job, mark, progress)


def _fine_tune(job: TaskJob, mark: str, progress: Counter | None) -> TaskRecord:
    # transformers takes seconds to import.
    from detente.tasks.finetune import FineTuning, Model

    begun, revision = time.monotonic(), find_revision()
    _forget_other(job.folder, mark)
    data = _read(job.kind, job.settings.model_dump_json(), job.source, hash_of(_files(job)))
    device = choose_device(job.device)
    with _checkpoint(job.target) as checkpoint:
        found = FineTuning(
            Model(job.target.name, checkpoint),
            job.kind,
            data,
            job.settings,
            job.source,
            job.seed,
            job.folder,
            use_cpu=device.type == "cpu",
            progress=progress or (lambda *_: lambda _: None),
        ).run()
    # The trainer and its model hold each other: without this, models of earlier jobs lay in a worker's memory by the gigabyte.
    gc.collect()
    record = TaskRecord(
        task=job.task,
        kind=job.kind,
        source=job.source,
        seed=job.seed,
        fingerprint=mark,
        model=job.target.name,
        mixture=job.target.mixture,
        system=job.target.system,
        run_seed=job.target.seed,
        settings=job.settings.model_dump(mode="json", exclude={"data"}),
        labels=found.labels,
        examples=data.counts(),
        epochs=found.epochs,
        scores=found.scores,
        notes=(*data.notes, *found.diverged),
        cuts=found.cuts,
        seconds=round(time.monotonic() - begun, 3),
        finished=now(),
        versions=versions(PACKAGES),
        machine=machine(device),
        revision=revision,
    )
    write_task_record(job.folder, record)
    return record


def _jobs(study: StudySettings, folder: Path) -> Iterator[TaskJob]:
    """Of the runs that the plan asks for and that ended well; a mixture without a task's languages has none."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["runs"]
    targets = [target for entry in plan for target in _targets(folder / "runs" / entry["folder"])]
    for task, settings in study.tasks.items():
        filled = with_constructed(study, folder, task, settings)
        for target in targets:
            if sources_of(target, filled):
                goal = folder / "runs" / Path(target.where).name / "tasks"
                yield from jobs_of(target, task, filled, goal, device=study.training.device)


def _targets(run_folder: Path) -> Iterator[Target]:
    with suppress(RecordError):
        yield of_run(run_folder)


def _do(job: TaskJob, *, begun: str, progress: Counter | None) -> TaskOutcome | InUse:
    """Whatever goes wrong with one must not end the rest. What another engine has found to fail meanwhile is not tried again."""
    failure = read_task_failure(job.folder)
    if failure is not None and failure.finished > begun:
        return TaskOutcome(job, None, failure.error)
    try:
        return TaskOutcome(job, fine_tune(job, progress))
    except Interrupted:
        raise
    except InUse as error:
        return error
    except Exception as error:
        said = explained(error, job.folder)
        with suppress(OSError):
            write_task_failure(job.folder, said)
        return TaskOutcome(job, None, said)


def _undone(job: TaskJob, error: Exception) -> TaskOutcome:
    return TaskOutcome(job, None, str(error), is_elsewhere=isinstance(error, InUse))


@lru_cache(maxsize=2)
def _read(kind: TaskName, settings: str, source: str, files: str) -> "TaskData":  # noqa: ARG001 - a part of the key
    """Kept for the next model, which is often asked the same of the same files: reading takes seconds.

    Args:
        settings: `TaskSettings` as JSON.
        files: hash of what is in the files.
    """
    from detente.tasks.data import read_task

    return read_task(kind, TaskSettings.model_validate_json(settings), source=source)


@contextmanager
def _checkpoint(target: Target) -> Iterator[str]:
    """What transformers loads: for a run of ours, its newest checkpoint in their format."""
    if not target.mixture:
        yield target.where
        return
    from detente.export import write_model

    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(target.where), Path(folder))
        yield folder


def _fingerprint(job: TaskJob) -> str:
    """Of all that decides the result; files count by their content."""
    content = {
        "format": FORMAT,
        "model": job.target.mark,
        "kind": job.kind,
        "settings": job.settings.model_dump(mode="json", exclude=NOT_DECIDING),
        "files": _files(job),
        "source": job.source,
        "seed": job.seed,
    }
    return hash_of(content)


def _files(job: TaskJob) -> dict[str, dict[str, list[str]]]:
    """Language -> split -> hashes of its files."""
    return {
        label: {split: [mark for path in paths for mark in _contents(path)] for split, paths in splits}
        for label, splits in job.settings.data.items()
    }


def _contents(path: str) -> Iterator[str]:
    """Hashes of the files that are meant; the name of a data set of the hub."""
    if path.startswith(HUB_PREFIX):
        yield path
        return
    yield from map(hash_of_file, find_files(path))


def _known(folder: Path, mark: str) -> TaskRecord | None:
    with suppress(RecordError):
        record = read_task_record(folder / TASK_RECORD_FILE)
        return record if record.fingerprint == mark else None
    return None


def _refuse_foreign(folder: Path) -> None:
    """Raises:
    DataError: the folder is not one of fine-tuning.
    """
    if folder.exists() and not (folder / NOTE).exists() and any(path.name not in OURS for path in folder.iterdir()):
        raise DataError(f"{folder} holds something else than a fine-tuning. Give another folder.")


def _forget_other(folder: Path, mark: str) -> None:
    """Trials of other settings or data must not be taken for these.

    Raises:
        DataError: as `_refuse_foreign`.
    """
    (folder / TASK_FAILURE_FILE).unlink(missing_ok=True)
    note = folder / NOTE
    if note.exists() and note.read_text(encoding="ascii") == mark:
        return
    _refuse_foreign(folder)
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()
    write_atomic(note, mark.encode())
