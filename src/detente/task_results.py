"""Records of fine-tunings: one JSON for each model, task, source language and seed. Never imports torch.

A fine-tuning of a run stands in STUDY/runs/RUN/tasks/TASK/SOURCE_seedN; one with other wishes than its study's, or of another model,
wherever it was asked for.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from detente.errors import RecordError
from detente.results import Part, Revision, now, write_json
from detente.seal import sealed, unsealed
from detente.settings.tasks import TaskName

TASK_RECORD_VERSION = 1
TASK_RECORD_FILE = "task.json"
TASK_FAILURE_FILE = "failure.json"
Setting = Literal["within", "zero-shot", "oracle"]


class LanguageScore(Part):
    """A fine-tuned model on the test examples of one language."""

    language: str
    setting: Setting
    """`within`: the source's own test examples. `zero-shot`: another language's, chosen by the source's validation examples. `oracle`: as zero-shot, but chosen by the target's own validation examples, which a zero-shot setting does not have."""
    metric: str
    """The task's main one."""
    value: float
    """Percent."""
    low: float | None
    """Of the 95 % bootstrap interval over examples."""
    high: float | None
    others: dict[str, float] = Field(default_factory=dict)
    """Further metrics, percent."""
    examples: int
    trial: int
    """Chosen from the grid."""
    epoch: int
    predictions: str
    """File beside the record."""


class Epoch(Part):
    """After one pass over the training examples."""

    trial: int
    epoch: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    loss: float
    """Mean over the epoch's updates."""
    validation: dict[str, float]
    """Language -> the task's main metric, percent."""


class TaskRecord(Part):
    """One model fine-tuned on one language's labelled examples, and its scores on all."""

    version: int = TASK_RECORD_VERSION
    task: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")
    """Name in the study, and of the report's files."""
    kind: TaskName
    source: str
    seed: int
    """Of the fine-tuning."""
    fingerprint: str
    """Hash of all that decides the result."""
    model: str
    """Name of the run, or of the checkpoint."""
    mixture: tuple[str, ...] = ()
    system: str = ""
    run_seed: int | None = None
    """Of pretraining; none for a model that no run of ours has made."""
    settings: dict[str, Any]
    labels: tuple[str, ...]
    examples: dict[str, dict[str, int]]
    """Language -> split -> number used."""
    epochs: tuple[Epoch, ...]
    scores: tuple[LanguageScore, ...]
    notes: tuple[str, ...] = ()
    """What was repaired, left out or doubtful in the files, and which points of the grid diverged; in sentences."""
    cuts: tuple[str, ...] = ()
    """What did not fit the model."""
    seconds: float
    finished: str
    """UTC time, ISO 8601."""
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, str] = Field(default_factory=dict)
    revision: Revision | None = None
    """Of the working directory when the last sitting began; None outside of a repository."""


class TaskFailure(Part):
    """Why a fine-tuning has no record."""

    error: str
    finished: str
    """UTC time, ISO 8601."""


def write_task_failure(folder: Path, error: str) -> None:
    """Say that the fine-tuning in `folder` failed, for those who look later."""
    write_json(folder / TASK_FAILURE_FILE, TaskFailure(error=error, finished=now()).model_dump(mode="json"))


def read_task_failure(folder: Path) -> TaskFailure | None:
    """Of the last try; None when it did not fail, or cannot be read."""
    with suppress(FileNotFoundError, ValidationError):
        return TaskFailure.model_validate_json((folder / TASK_FAILURE_FILE).read_bytes())
    return None


def write_task_record(folder: Path, record: TaskRecord) -> None:
    """Put `record` into its folder."""
    write_json(folder / TASK_RECORD_FILE, sealed(record.model_dump(mode="json")))


def read_task_record(path: Path) -> TaskRecord:
    """The record in a file.

    Raises:
        RecordError: it is missing, damaged or of another version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("version") != TASK_RECORD_VERSION:
            raise RecordError(f"{path} has version {values.get('version')}, this detente reads {TASK_RECORD_VERSION}.")
        return TaskRecord.model_validate(unsealed(values))
    except FileNotFoundError:
        raise RecordError(f"there is no {path}: the fine-tuning has not ended yet.") from None
    except (ValueError, AttributeError, RecursionError, ValidationError) as error:
        problem = " ".join(str(error).split())[:200]
        raise RecordError(f"{path} is damaged ({problem}). Delete it and fine-tune again.") from None


def read_task_records(run_folder: Path) -> Iterator[TaskRecord]:
    """All fine-tunings of a run that have ended, by name."""
    yield from map(read_task_record, task_record_files(run_folder))


def task_record_files(run_folder: Path) -> list[Path]:
    """Of a run's fine-tunings, by name."""
    return sorted(run_folder.glob(f"tasks/*/*/{TASK_RECORD_FILE}"))
