"""The `tasks` of a finished study, and of files that hold nothing else: for models that no study of ours has trained."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from detente.errors import ConfigError
from detente.settings.base import Settings
from detente.settings.load import (
    explain,
    nested,
    overlay,
    parse_yaml,
    problems_of_tasks,
    read,
    resolve_paths,
    validated,
)
from detente.settings.study import StudySettings
from detente.settings.task_checks import resolve_task, task_problems
from detente.settings.tasks import TaskSettings, with_task_defaults


class TasksFile(Settings):
    """A file with `tasks:` alone."""

    tasks: dict[str, TaskSettings]


def load_tasks(path: Path, overrides: Iterable[str] = ()) -> dict[str, TaskSettings]:
    """The tasks in a YAML file; whatever else a study file holds is left aside. Their defaults are the source's.

    Args:
        overrides: as `tasks.ner.epochs=2`.

    Raises:
        DataError: the file is missing or is not UTF-8.
        ConfigError: it has no tasks, or a setting is wrong.
    """
    values = overlay(parse_yaml(read(path), str(path)), nested(overrides))
    given = values.get("tasks")
    if not isinstance(given, Mapping) or not given:
        raise ConfigError(
            f"{path} has no `tasks`. Write for example `tasks: {{ner: {{data: {{en: {{train: ..., test: ...}}}}}}}}`."
        )
    try:
        tasks = TasksFile.model_validate({"tasks": with_task_defaults(given, are_small=False)}).tasks
    except ValidationError as error:
        raise ConfigError(*explain(error)) from None
    problems = [problem for name, task in tasks.items() for problem in task_problems(name, task, None)]
    if problems:
        raise ConfigError(*problems)
    return {name: resolve_task(task, path.parent) for name, task in tasks.items()}


def load_resolved(path: Path, overrides: Iterable[str] = ()) -> StudySettings:
    """The study that a study's folder keeps as `study.yaml`. All settings are written out there, so none is refused for its lack of effect.

    Raises:
        DataError, ConfigError: as `load_study`.
    """
    study = validated(overlay(parse_yaml(read(path), str(path)), nested(overrides)))
    problems = problems_of_tasks(study)
    if problems:
        raise ConfigError(*problems)
    return resolve_paths(study, path.parent)
