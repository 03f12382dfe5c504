"""Which fine-tunings there are: of a study's runs, or of anyone's model, on a task, one for each source language and seed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detente.corpus.constructed.tasks import write_tasks
from detente.errors import ConfigError, RecordError, did_you_mean
from detente.pretrain.opened_run import SETTINGS_FILE
from detente.results import hash_of, hash_of_file, read_record, write_json
from detente.settings import StudySettings
from detente.settings.load_tasks import load_resolved, load_tasks
from detente.settings.task_checks import kind_of
from detente.settings.tasks import TaskFiles, TaskName, TaskSettings
from detente.settings.text import ConstructedSettings


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
        content.update(bytes.fromhex(hash_of_file(path)))
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
        folder: where they are written; when not given, RUN/tasks where the study would fine-tune so itself, else RUN/finetuned; for
            another model `finetuned/NAME`.

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
    # A report is of what the study itself would fine-tune so.
    place = "finetuned" if file or overrides or test else "tasks"
    goal = folder or (Path(model) / place if is_run else Path("finetuned") / target.name.replace("/", "--"))
    return jobs_of(target, task, settings, goal, sources=train)


def _tasks_of_study(target: Target, is_run: bool, overrides: Sequence[str]) -> dict[str, TaskSettings]:
    if not is_run:
        raise ConfigError(
            "--data: give a YAML file with `tasks`, which names the labelled files. Only a run of ours has a study to look in."
        )
    folder = Path(target.where).resolve().parent.parent
    study = load_resolved(folder / "study.yaml", overrides)
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
    kind = str(kind_of(task, settings))
    made = {
        label: TaskFiles.model_validate(
            _constructed_files(language.constructed, folder / "data" / "tasks", label)[kind]
        )
        for label, language in study.languages.items()
        if language.constructed is not None and label not in settings.data
    }
    return settings.model_copy(update={"data": {**settings.data, **made}})


def _constructed_files(settings: ConstructedSettings, folder: Path, label: str) -> dict[str, dict[str, str]]:
    """Task -> split -> file; written once."""
    # Named by its settings, so that other settings write elsewhere.
    goal = folder / f"{label}-{hash_of(settings.model_dump())[:8]}"
    listing = goal / "files.json"
    if not listing.exists():
        written = write_tasks(settings, goal, label=label)
        names = {task: {split: str(path.relative_to(goal)) for split, path in p.items()} for task, p in written.items()}
        write_json(listing, names)
    found = json.loads(listing.read_text(encoding="utf-8"))
    return {task: {split: str(goal / name) for split, name in names.items()} for task, names in found.items()}


def _no_source(target: Target, task: str, settings: TaskSettings) -> str:
    having = [label for label, files in settings.data.items() if files.train]
    if not having:
        return f"`tasks.{task}`: no language has `train` files."
    return f"`tasks.{task}`: there are training files of {', '.join(having)}, but {target.name} was trained on {', '.join(target.mixture)}."
