"""Which fine-tunings there are: of a study's runs, or of anyone's model, on a task, one for each source language and seed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detente.corpus.constructed.tasks import write_tasks
from detente.errors import ConfigError, RecordError, did_you_mean
from detente.results import read_record
from detente.settings import StudySettings, load_study
from detente.settings.load_tasks import load_tasks
from detente.settings.task_checks import kind_of
from detente.settings.tasks import TaskFiles, TaskName, TaskSettings

SETTINGS_FILE = "settings.yaml"
"""What tells the folder of a run from that of another model."""


@dataclass(frozen=True)
class Target:
    """The model of a fine-tuning.

    Attributes:
        where: folder of a run, or what transformers loads.
        mark: hash of what decides its weights.
        mixture: languages it knows; empty for a model that is not ours.
    """

    name: str
    where: str
    mark: str
    mixture: tuple[str, ...] = ()
    system: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class TaskJob:
    """All that a worker needs to do one fine-tuning."""

    target: Target
    task: str
    kind: TaskName
    settings: TaskSettings
    source: str
    seed: int
    folder: Path
    device: str = "auto"

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.target.name} {self.task} {self.source} seed{self.seed}"


def of_run(folder: Path) -> Target:
    """A finished run of ours.

    Raises:
        RecordError: it is not finished, or is no run.
    """
    record = read_record(folder)
    if record.status != "success":
        raise RecordError(f"{folder} has not finished ({record.status}). Run its study again first.")
    return Target(record.name, str(folder), record.fingerprint, record.mixture, record.system, record.seed)


def of_checkpoint(where: str) -> Target:
    """A folder or a name on the hub."""
    folder = Path(where)
    if not folder.is_dir():
        return Target(where, where, where)
    content = hashlib.sha256()
    for path in sorted(path for path in folder.glob("*") if path.suffix in (".json", ".safetensors", ".bin")):
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    return Target(folder.resolve().name, where, content.hexdigest())


def jobs_of(
    target: Target,
    task: str,
    settings: TaskSettings,
    folder: Path,
    *,
    sources: Sequence[str] = (),
    device: str = "auto",
) -> list[TaskJob]:
    """The fine-tunings of a model on a task: one for each source language and seed.

    Raises:
        ConfigError: no language with training examples is one that the model knows.
    """
    kind = kind_of(task, settings)
    assert kind is not None, "settings are checked when they are loaded"
    chosen = sources_of(target, settings, sources)
    if not chosen:
        raise ConfigError(_no_source(target, task, settings))
    known = {label: files for label, files in settings.data.items() if not target.mixture or label in target.mixture}
    limited = settings.model_copy(update={"data": known})
    return [
        TaskJob(target, task, kind, limited, source, seed, folder / task / f"{source}_seed{seed}", device)
        for source in chosen
        for seed in settings.seeds
    ]


def sources_of(target: Target, settings: TaskSettings, asked: Sequence[str] = ()) -> list[str]:
    """Languages with training files that the model knows, of those that are asked for."""
    having = [label for label, files in settings.data.items() if files.train]
    wanted = asked or settings.sources or having
    return [label for label in having if label in wanted and (not target.mixture or label in target.mixture)]


def asked_jobs(
    model: str,
    task: str,
    *,
    train: Sequence[str] = (),
    test: Sequence[str] = (),
    file: Path | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
) -> list[TaskJob]:
    """The fine-tunings of one model on one task.

    Args:
        model: folder of a run, or what transformers loads.
        train, test: languages; all that have files when not given.
        file: YAML with `tasks`; for a run, its study's when not given.
        folder: where they are written; inside the run, or `finetuned/NAME`, when not given.

    Raises:
        ConfigError: there is no such task, or no files of a language.
        RecordError: the run has not finished.
    """
    is_run = (Path(model) / SETTINGS_FILE).exists()
    target = of_run(Path(model)) if is_run else of_checkpoint(model)
    tasks = load_tasks(file, overrides) if file else _tasks_of_study(target, is_run, overrides)
    if task not in tasks:
        raise ConfigError(
            f"--task {task}: there is none of that name.{did_you_mean(task, tasks)} Known: {', '.join(tasks) or 'none'}."
        )
    settings = _limited(tasks[task], task, train, test)
    goal = folder or (Path(model) / "tasks" if is_run else Path("finetuned") / target.name.replace("/", "--"))
    return jobs_of(target, task, settings, goal, sources=train)


def _tasks_of_study(target: Target, is_run: bool, overrides: Sequence[str]) -> dict[str, TaskSettings]:
    if not is_run:
        raise ConfigError(
            "--data: give a YAML file with `tasks`, which names the labelled files. Only a run of ours has a study to look in."
        )
    folder = Path(target.where).resolve().parent.parent
    study = load_study(folder / "study.yaml", overrides)
    return {name: with_constructed(study, folder, name, settings) for name, settings in study.tasks.items()}


def _limited(settings: TaskSettings, task: str, train: Sequence[str], test: Sequence[str]) -> TaskSettings:
    """To the languages that are asked for; only those of `test` are tested, and the sources."""
    for label in (*train, *test):
        if label not in settings.data:
            raise ConfigError(
                f"`tasks.{task}.data` has no files of {label}.{did_you_mean(label, settings.data)} It has {', '.join(settings.data)}."
            )
    if not test:
        return settings
    kept = {label: files for label, files in settings.data.items() if label in (*train, *test)}
    return settings.model_copy(update={"data": kept})


def with_constructed(study: StudySettings, folder: Path, task: str, settings: TaskSettings) -> TaskSettings:
    """Constructed languages that have no files get some, in STUDY/data/tasks/LABEL."""
    kind = kind_of(task, settings)
    made: dict[str, TaskFiles] = {}
    for label, language in study.languages.items():
        if language.constructed is not None and label not in settings.data:
            # Named by its settings, so that other settings write elsewhere.
            goal = folder / "data" / "tasks" / f"{label}-{_hash(language.constructed.model_dump())[:8]}"
            paths = write_tasks(language.constructed, goal, label=label)[str(kind)]
            made[label] = TaskFiles.model_validate({split: str(path) for split, path in paths.items()})
    return settings.model_copy(update={"data": {**settings.data, **made}})


def _no_source(target: Target, task: str, settings: TaskSettings) -> str:
    having = [label for label, files in settings.data.items() if files.train]
    if not having:
        return f"`tasks.{task}`: no language has `train` files."
    return f"`tasks.{task}`: there are training files of {', '.join(having)}, but {target.name} was trained on {', '.join(target.mixture)}."


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
