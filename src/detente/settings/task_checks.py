"""What can be wrong with a task before its files are read, and where its files are."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

from detente.errors import did_you_mean
from detente.settings.paths import resolve
from detente.settings.tasks import TaskFiles, TaskName, TaskSettings


def kind_of(name: str, task: TaskSettings) -> TaskName | None:
    """What the task asks; None when neither its name nor `task` says."""
    if task.task is not None:
        return task.task
    return next((kind for kind in get_args(TaskName) if kind == name), None)


def task_problems(name: str, task: TaskSettings, languages: Mapping[str, object] | None) -> Iterable[str]:
    """Sentences; `languages` are those of the study, None where no study says."""
    kinds = get_args(TaskName)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", name):
        yield f"`tasks.{name}`: a task's name has ASCII letters, digits, `.`, `+` and `-` (it names folders)."
    if kind_of(name, task) is None:
        yield f"`tasks.{name}`: say what it asks, `task:` one of {', '.join(kinds)}.{did_you_mean(name, kinds)}"
    for label in task.data:
        if languages is not None and label not in languages:
            yield f"`tasks.{name}.data.{label}`: `{label}` is not among `languages`.{did_you_mean(label, languages)}"
    yield from _source_problems(name, task, languages)


def _source_problems(name: str, task: TaskSettings, languages: Mapping[str, object] | None) -> Iterable[str]:
    for source in task.sources:
        files = task.data.get(source)
        if files is not None and not files.train:
            yield f"`tasks.{name}.sources`: `{source}` has no `train` files."
        elif files is None and source not in (languages or {}):
            known = [*task.data, *(languages or {})]
            yield f"`tasks.{name}.sources`: there is no data of `{source}`.{did_you_mean(source, known)}"


def resolve_task(task: TaskSettings, base: Path) -> TaskSettings:
    """With its files' paths taken from `base`."""
    data = {label: _resolve_files(files, base) for label, files in task.data.items()}
    return task.model_copy(update={"data": data})


def _resolve_files(files: TaskFiles, base: Path) -> TaskFiles:
    splits = {split: tuple(resolve(path, base) for path in paths) for split, paths in files}
    return TaskFiles.model_validate(splits)
