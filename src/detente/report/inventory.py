"""What a study folder holds: the runs that succeeded, and the gaps where one was expected.

With a `plan.json` the expected runs are known; without it only what is there is.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from detente.errors import RecordError
from detente.report.study_languages import StudyLanguage, read_languages
from detente.results import RECORD_FILE, LanguageResult, RunRecord, read_record
from detente.settings.run import TreatmentName
from detente.task_results import TaskRecord, read_task_record, task_record_files

PLAN_FILE = "plan.json"
TREATMENTS: tuple[str, ...] = get_args(TreatmentName)


@dataclass(frozen=True)
class System:
    """What the seeds of one row have in common."""

    mixture: tuple[str, ...]
    treatment: str
    variant: str = ""
    """Empty where the treatment has the study's own settings."""

    @property
    def is_mono(self) -> bool:
        return len(self.mixture) == 1

    @property
    def is_untreated(self) -> bool:
        return self.name == "none"

    @property
    def name(self) -> str:
        """As in `RunRecord.system`."""
        return self.variant or self.treatment


def mono(language: str) -> System:
    """The system that every mixture with `language` is held against."""
    return System((language,), "none")


@dataclass(frozen=True)
class Gap:
    """A run, or one of its fine-tunings, that is not in the tables, and why."""

    name: str
    status: str
    reason: str
    system: System | None = None
    seed: int | None = None
    is_expected: bool = True
    """False for a run that nobody asked for, such as one with settings that were changed since, and for a fine-tuning."""


@dataclass(frozen=True)
class Run:
    """A run that ended well."""

    folder: Path
    record: RunRecord
    tasks: tuple[TaskRecord, ...] = ()
    """Fine-tunings: the newest of each task, source and seed."""
    damaged_tasks: tuple[Gap, ...] = ()
    """Fine-tunings whose record cannot be read."""

    @property
    def system(self) -> System:
        return System(self.record.mixture, self.record.treatment, self.record.variant)


@dataclass(frozen=True)
class Study:
    """Everything a report is made from."""

    name: str
    runs: tuple[Run, ...]
    gaps: tuple[Gap, ...]
    has_plan: bool
    planned_variants: tuple[str, ...] = ()
    """In the plan's order."""
    known_languages: Mapping[str, StudyLanguage] = field(default_factory=dict)
    """Label -> what it stands for, where the study's file says it."""

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Labels in the order of the largest mixture that has them."""
        by_size = sorted(self._known_systems, key=lambda system: (-len(system.mixture), system.mixture))
        return tuple(dict.fromkeys(label for system in by_size for label in system.mixture))

    @cached_property
    def systems(self) -> tuple[System, ...]:
        """Mono first, then mixtures from small to large, treatments in their usual order, variants after them."""
        return tuple(sorted(self._known_systems, key=self._place))

    @cached_property
    def variants(self) -> tuple[str, ...]:
        """Names in the plan's order, then those that no plan knows of by the alphabet."""
        known = {system.variant for system in self._known_systems if system.variant}
        planned = [name for name in self.planned_variants if name in known]
        return (*planned, *sorted(known - set(planned)))

    @cached_property
    def mixtures(self) -> tuple[tuple[str, ...], ...]:
        """Of two languages or more."""
        return tuple(dict.fromkeys(system.mixture for system in self.systems if not system.is_mono))

    @cached_property
    def by_system(self) -> dict[System, dict[int, Run]]:
        """Seed -> run, for each system."""
        runs: dict[System, dict[int, Run]] = {system: {} for system in self.systems}
        for run in sorted(self.runs, key=lambda run: run.record.seed):
            runs[run.system][run.record.seed] = run
        return runs

    @cached_property
    def vocabularies(self) -> tuple[str, ...]:
        """Checksums."""
        return tuple(sorted({run.record.vocabulary for run in self.runs}))

    @property
    def expected_gaps(self) -> tuple[Gap, ...]:
        return tuple(gap for gap in self.gaps if gap.is_expected)

    def num_expected(self, system: System) -> int:
        """Seeds of a system that are known of, whether they succeeded or not."""
        missing = {gap.seed for gap in self.expected_gaps if gap.system == system}
        return len(missing | self.by_system.get(system, {}).keys())

    def results(self, system: System, language: str) -> dict[int, LanguageResult]:
        """Seed -> result of one language."""
        runs = self.by_system.get(system, {})
        return {seed: run.record.languages[language] for seed, run in runs.items() if language in run.record.languages}

    @cached_property
    def _known_systems(self) -> set[System]:
        return {run.system for run in self.runs} | {gap.system for gap in self.expected_gaps if gap.system}

    def _place(self, system: System) -> tuple[int, list[int], int, int, str]:
        order = [self.languages.index(label) for label in system.mixture]
        variant = self.variants.index(system.variant) + 1 if system.variant else 0
        treatment = TREATMENTS.index(system.treatment) if system.treatment in TREATMENTS else len(TREATMENTS)
        return len(order), order, variant, treatment, system.treatment


def read_study(folder: Path) -> Study:
    """Read the records of a study folder, and its plan when it has one.

    Raises:
        RecordError: there is nothing to report, or the plan is damaged.
    """
    found = {path.name: _examine(path, folder) for path in sorted(folder.glob("runs/*")) if path.is_dir()}
    plan = _read_plan(folder)
    entries = _newest_of_each(found) if plan is None else _as_planned(found, plan)
    if not entries:
        raise RecordError(
            f"there are no runs in {folder / 'runs'}. Run `detente study` first, or point to a study folder."
        )
    runs = tuple(entry for entry in entries if isinstance(entry, Run))
    gaps = tuple(entry for entry in entries if isinstance(entry, Gap))
    variants = dict.fromkeys(entry["system"].variant for entry in plan or () if entry["system"].variant)
    gaps = (*gaps, *(gap for run in runs for gap in run.damaged_tasks))
    return Study(folder.resolve().name, runs, gaps, plan is not None, tuple(variants), read_languages(folder))


def _examine(run_folder: Path, study_folder: Path) -> Run | Gap:
    try:
        record = read_record(run_folder)
        _check_names(run_folder / RECORD_FILE, (*record.mixture, record.treatment, record.variant))
    except RecordError as error:
        status = "damaged" if (run_folder / RECORD_FILE).exists() else "not finished"
        return Gap(run_folder.name, status, _reason(error, study_folder))
    found = list(_tasks(run_folder, study_folder))
    run = Run(run_folder, record, _newest(found), tuple(entry for entry in found if isinstance(entry, Gap)))
    return run if record.status == "success" else _unsuccessful(run)


def _tasks(run_folder: Path, study_folder: Path) -> Iterator[TaskRecord | Gap]:
    for path in task_record_files(run_folder):
        try:
            record = read_task_record(path)
            _check_names(path, (record.task, record.source))
            if record.task != path.parents[1].name:
                raise RecordError(f"{path} is of the task {record.task}. Move it to a folder of that name.")
            yield record
        except RecordError as error:
            name = path.parent.relative_to(run_folder.parent)
            yield Gap(str(name), "damaged", _reason(error, study_folder), is_expected=False)


def _check_names(path: Path, names: Sequence[str]) -> None:
    """Neither XML nor a file can hold what no text has."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for name in names for character in name):
        raise RecordError(f"{path} has a name with a control character. Name it otherwise and run the study again.")


def _reason(error: RecordError, study_folder: Path) -> str:
    """Without the leading folders, so that a study gives the same report wherever it lies."""
    return str(error).replace(f"{study_folder}/", "")


def _newest(found: Sequence[TaskRecord | Gap]) -> tuple[TaskRecord, ...]:
    records = sorted((each for each in found if isinstance(each, TaskRecord)), key=lambda record: record.finished)
    newest = {(record.task, record.source, record.seed): record for record in records}
    return tuple(newest[key] for key in sorted(newest))


def _unsuccessful(run: Run) -> Gap:
    record = run.record
    reason = record.error or f"stopped after step {record.steps}"
    return Gap(record.name, record.status, reason, run.system, record.seed)


def _read_plan(folder: Path) -> list[dict[str, Any]] | None:
    path = folder / PLAN_FILE
    if not path.exists():
        return None
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["runs"]
        return [_with_system(entry) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        problem = " ".join(repr(error).split())[:200]
        raise RecordError(
            f"{path} is damaged ({problem}). Delete it, or run the study again to write it anew."
        ) from None


class _Entry(BaseModel):
    """A run of the plan; what else stands there is passed over."""

    name: str
    mixture: tuple[str, ...]
    treatment: str
    variant: str = ""
    seed: int
    folder: str


def _with_system(values: Any) -> dict[str, Any]:
    entry = _Entry.model_validate(values)
    system = System(entry.mixture, entry.treatment, entry.variant)
    return {"name": entry.name, "system": system, "seed": entry.seed, "folder": entry.folder}


def _as_planned(found: dict[str, Run | Gap], plan: list[dict[str, Any]]) -> list[Run | Gap]:
    planned = {Path(entry["folder"]).name: entry for entry in plan}
    entries = [_planned(entry, found.get(name)) for name, entry in planned.items()]
    others = [name for name in found if name not in planned]
    return entries + [_unasked(name, "it is not in the study's plan (any more)") for name in others]


def _planned(entry: dict[str, Any], found: Run | Gap | None) -> Run | Gap:
    if isinstance(found, Run):
        return found
    status, reason = (found.status, found.reason) if found else ("missing", "has not been started")
    return Gap(entry["name"], status, reason, entry["system"], entry["seed"])


def _newest_of_each(found: dict[str, Run | Gap]) -> list[Run | Gap]:
    """Of runs that differ in settings alone, the one that ended last counts."""
    chosen: dict[tuple[System, int], Run] = {}
    others: list[Run | Gap] = []
    for entry in found.values():
        if isinstance(entry, Gap):
            others.append(entry)
            continue
        key = (entry.system, entry.record.seed)
        older, newer = sorted((entry, chosen.get(key, entry)), key=lambda run: (run.record.finished, run.folder.name))
        chosen[key] = newer
        if older is not newer:
            others.append(_unasked(older.folder.name, f"{newer.folder.name} ended later with other settings or data"))
    return [*chosen.values(), *(_excuse(entry, chosen) for entry in others)]


def _excuse(entry: Run | Gap, chosen: dict[tuple[System, int], Run]) -> Run | Gap:
    """A failed run whose seed succeeded in another folder is no longer expected."""
    if isinstance(entry, Gap) and entry.system and entry.seed is not None and (entry.system, entry.seed) in chosen:
        return Gap(entry.name, entry.status, entry.reason, is_expected=False)
    return entry


def _unasked(folder_name: str, reason: str) -> Gap:
    return Gap(folder_name, "left out", reason, is_expected=False)
