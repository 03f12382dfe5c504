"""How far a study is, told from records, metrics and locks alone: at any time, and whoever does it. Without torch."""

import glob
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from detente.errors import RecordError
from detente.lock import Holder, holder
from detente.results import METRICS_FILE, RunRecord, last_step, read_record
from detente.settings import RunSettings, StudySettings
from detente.settings.deciding import deciding
from detente.settings.yaml_values import read_yaml
from detente.study.cost import passes
from detente.study.plan import PlannedRun, plan_runs, planned_tunings
from detente.task_results import TASK_RECORD_FILE, read_task_failure, read_task_record

State = Literal["done", "running", "unseen", "interrupted", "failed", "waiting"]
"""`running`: its process lives. `unseen`: one of another machine has it in hand, or had. `waiting`: not begun."""


@dataclass(frozen=True)
class JobStatus:
    """A run or a fine-tuning.

    Attributes:
        seconds: it took so far.
        left: seconds to come, by its own speed or that of others; None when neither is known, or it failed.
        note: why it failed, or who has it in hand where that cannot be seen.
    """

    name: str
    state: State
    seconds: float = 0.0
    left: float | None = None
    note: str = ""


@dataclass(frozen=True)
class RunStatus(JobStatus):
    """A run.

    Attributes:
        steps, total: done, of which an interruption has left those that were saved, and in all.
        rate: training tokens per second.
    """

    steps: int = 0
    total: int = 0
    rate: float | None = None


@dataclass(frozen=True)
class TuningStatus(JobStatus):
    """A fine-tuning of the run `run`."""

    run: str = ""


@dataclass(frozen=True)
class StudyStatus:
    """A whole study.

    Attributes:
        preparing: who prepares its data just now.
        left: seconds, with as many jobs at a time as just now; None when not known.
    """

    runs: Sequence[RunStatus]
    tunings: Sequence[TuningStatus]
    preparing: Holder | None
    left: float | None

    @property
    def is_in_hand(self) -> bool:
        """Whether anybody is at work on it."""
        return self.preparing is not None or any(each.state == "running" for each in self.jobs)

    @property
    def jobs(self) -> list[JobStatus]:
        """All of them."""
        return [*self.runs, *self.tunings]


def study_status(study: StudySettings, folder: Path) -> StudyStatus:
    """The state of every run and fine-tuning that `study` asks for, in `folder`."""
    planned = plan_runs(study)
    folders = {run.name: _folder_of(run, folder) for run in planned}
    runs = _with_time_left(planned, [_run(run, folders[run.name]) for run in planned])
    tunings = _with_mean_left([each for run in planned for each in _tunings(study, run, folders[run.name])])
    return StudyStatus(runs, tunings, holder(folder / "data"), _whole_left([*runs, *tunings]))


def _folder_of(run: PlannedRun, folder: Path) -> Path | None:
    """Of the run as it is asked for now: one of the same name may have been made with other settings."""
    for found in sorted(folder.glob(f"runs/{glob.escape(run.name)}-*")):
        with suppress(ValueError, OSError):
            if deciding(RunSettings.model_validate(_settings_in(found))) == deciding(run.settings):
                return found
    return None


def _settings_in(folder: Path) -> Any:
    with suppress(RecordError):
        return read_record(folder).settings
    return read_yaml((folder / "settings.yaml").read_text(encoding="utf-8"))


def _run(run: PlannedRun, folder: Path | None) -> RunStatus:
    total = run.settings.training.steps
    if folder is None:
        return RunStatus(run.name, "waiting", total=total)
    record = None
    with suppress(RecordError):
        record = read_record(folder)
    if record is not None and record.status == "success":
        rate = _per_second(record.tokens, record.train_seconds)
        return RunStatus(run.name, "done", record.total_seconds, left=0.0, steps=record.steps, total=total, rate=rate)
    at_it = holder(folder)
    steps, seconds = _so_far(folder) if at_it else _saved(folder)[:2]
    state, note = _unfinished(record, at_it)
    rate = _per_second(run.settings.tokens(steps), seconds)
    return RunStatus(run.name, state, seconds, note=note, steps=steps, total=total, rate=rate)


def _unfinished(record: RunRecord | None, at_it: Holder | None) -> tuple[State, str]:
    """What the state of a run is, and why."""
    if at_it is not None:
        return _held(at_it)
    if record is not None and record.status == "failed":
        return "failed", record.error or ""
    return "interrupted", ""


def _held(found: Holder) -> tuple[State, str]:
    return ("running", "") if found.is_here else ("unseen", str(found))


def _per_second(number: float, seconds: float) -> float | None:
    return number / seconds if number and seconds else None


def _saved(folder: Path) -> tuple[int, float, float]:
    """Of the newest checkpoint: its step, the seconds that the run had taken, and when it was written."""
    found = []
    for path in folder.glob("checkpoints/step-*/state.json"):
        # It may be removed this very moment, for a newer one.
        with suppress(OSError, ValueError):
            state = json.loads(path.read_text(encoding="utf-8"))
            found.append((state["step"], state["total_seconds"], path.stat().st_mtime))
    return max(found, default=(0, 0.0, 0.0))


def _so_far(folder: Path) -> tuple[int, float]:
    """Of a run in hand: steps done, and seconds in all its sittings. Its settings are written when a sitting begins."""
    _, before, saved = _saved(folder)
    try:
        begun = max(saved, (folder / "settings.yaml").stat().st_mtime)
        return last_step(folder), before + max(0.0, (folder / METRICS_FILE).stat().st_mtime - begun)
    except OSError:
        return 0, 0.0


def _with_time_left(planned: Sequence[PlannedRun], found: Sequence[RunStatus]) -> list[RunStatus]:
    """What a run costs is known beside another, so one that has begun tells of those that have not."""
    costs = [passes(run.settings) * run.settings.tokens(1) for run in planned]
    spent = sum(each.seconds for each in found if each.steps)
    per_cost = _per_second(spent, sum(cost * each.steps for cost, each in zip(costs, found, strict=True)))
    return [_timed(each, cost, per_cost) for cost, each in zip(costs, found, strict=True)]


def _timed(each: RunStatus, cost: float, per_cost: float | None) -> RunStatus:
    if each.state in ("done", "failed"):
        return each
    own = _per_second(each.seconds, each.steps)
    per_step = own if own is not None else cost * per_cost if per_cost is not None else None
    return replace(each, left=None if per_step is None else (each.total - each.steps) * per_step)


def _tunings(study: StudySettings, run: PlannedRun, folder: Path | None) -> Iterator[TuningStatus]:
    for task, source, seed in planned_tunings(study, run.settings.mixture):
        name = f"{task} {source} seed{seed}"
        if folder is None:
            yield TuningStatus(name, "waiting", run=run.name)
        else:
            yield _tuning(run.name, name, folder / "tasks" / task / f"{source}_seed{seed}")


def _tuning(run: str, name: str, folder: Path) -> TuningStatus:
    with suppress(RecordError):
        return TuningStatus(name, "done", read_task_record(folder / TASK_RECORD_FILE).seconds, 0.0, run=run)
    state: State = "interrupted" if folder.exists() else "waiting"
    note = ""
    if at_it := holder(folder):
        state, note = _held(at_it)
    elif failure := read_task_failure(folder):
        state, note = "failed", failure.error
    return TuningStatus(name, state, note=note, run=run)


def _with_mean_left(found: Sequence[TuningStatus]) -> list[TuningStatus]:
    """One that has not ended takes as long as those of its task that have, or of any."""
    ended = [each for each in found if each.state == "done"]

    def expected(each: TuningStatus) -> float | None:
        alike = [other.seconds for other in ended if other.name.split()[0] == each.name.split()[0]]
        seconds = alike or [other.seconds for other in ended]
        return mean(seconds) if seconds else None

    return [each if each.state in ("done", "failed") else replace(each, left=expected(each)) for each in found]


def _whole_left(found: Iterable[JobStatus]) -> float | None:
    """With as many at a time as are in hand."""
    to_do = [each for each in found if each.state not in ("done", "failed")]
    known = [each.left for each in to_do if each.left is not None]
    if len(known) < len(to_do):
        return None
    at_a_time = sum(each.state == "running" for each in to_do)
    return max([sum(known) / max(1, at_a_time), *(each.left or 0.0 for each in to_do if each.state == "running")])
