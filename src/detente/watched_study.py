"""A study done before the user's eyes: bars while it works, and a line for every run and fine-tuning that ends."""

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from detente.errors import ConfigError, did_you_mean
from detente.settings import StudySettings
from detente.study import Outcome, PlannedRun, run_study
from detente.study.data_table import HEADER, data_table
from detente.study.fine_tune import TaskOutcome, fine_tune_study
from detente.terminal import ProgressView, print_table


@dataclass(frozen=True)
class Watched:
    """How a study ended.

    Attributes:
        has_records: something can be reported.
        is_whole: no run and no fine-tuning failed, or was left to another engine.
    """

    has_records: bool
    is_whole: bool


def do_study(
    console: Console,
    settings: StudySettings,
    folder: Path,
    *,
    engine: str,
    workers: int | None,
    only: PlannedRun | None = None,
) -> Watched:
    """Runs, then tasks, unless it is one run that is asked for."""
    outcomes: list[Outcome | TaskOutcome] = []
    outcomes += _do_runs(console, settings, folder, engine=engine, workers=workers, only=only)
    has_records = any(outcome.record for outcome in outcomes)
    if settings.tasks and only is None:
        outcomes += _do_tasks(console, settings, folder, engine, workers)
    if elsewhere := sum(outcome.is_elsewhere for outcome in outcomes):
        console.print(f"{elsewhere} left to others: they are at it. Call again when they have ended.", highlight=False)
    return Watched(has_records, all(outcome.record for outcome in outcomes))


def _do_runs(
    console: Console,
    settings: StudySettings,
    folder: Path,
    *,
    engine: str,
    workers: int | None,
    only: PlannedRun | None,
) -> list[Outcome]:
    with ProgressView(console) as view:

        def planned(number: int) -> None:
            show_data(console, folder)
            view.start_whole("runs", number)

        return run_study(
            settings,
            folder,
            engine=engine,
            workers=workers,
            only=only.name if only else None,
            prepare_progress=view.counter,
            on_plan=planned,
            run_progress=lambda run: view.steps(run.name),
            on_wait=view.in_hand,
            on_outcome=lambda outcome: view.advance_whole(_run_line(outcome)),
        )


def _do_tasks(
    console: Console, settings: StudySettings, folder: Path, engine: str, workers: int | None
) -> list[TaskOutcome]:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        console.print("tasks are fine-tuned by one process: call `detente study` again without torchrun")
        return []
    with ProgressView(console) as view:
        return fine_tune_study(
            settings,
            folder,
            engine=engine,
            workers=workers,
            on_plan=lambda number: view.start_whole("fine-tunings", number),
            progress=view.counter,
            on_outcome=lambda outcome: view.advance_whole(_task_line(outcome)),
        )


def show_data(console: Console, folder: Path) -> None:
    """What was read of each language."""
    rows, doubts = data_table(folder)
    print_table(console, "Text, all splits", HEADER, rows, doubts)


def _run_line(outcome: Outcome) -> str:
    name = outcome.run.name
    if outcome.record is None:
        return _undone_line(name, outcome)
    scores = "  ".join(
        f"{label} {result.test.bits_per_character:.3f}" for label, result in outcome.record.languages.items()
    )
    return f"[green]done[/]    {name}  bits per character {scores}  {outcome.record.train_seconds:.0f} s"


def _task_line(outcome: TaskOutcome) -> str:
    name = outcome.job.name
    if outcome.record is None:
        return _undone_line(name, outcome)
    scores = "  ".join(
        f"{score.language} {score.value:.1f}" for score in outcome.record.scores if score.setting != "oracle"
    )
    return f"[green]done[/]    {name}  {scores}  {outcome.record.seconds:.0f} s"


def _undone_line(name: str, outcome: Outcome | TaskOutcome) -> str:
    word = "[yellow]left[/]  " if outcome.is_elsewhere else "[red]failed[/]"
    return f"{word}  {name}: {escape(outcome.error or '')}"


def find_run(runs: list[PlannedRun], wanted: str) -> PlannedRun:
    """By its name or by MIXTURE/TREATMENT, `joint` being the largest mixture; of several seeds the first.

    Raises:
        ConfigError: there is no such run.
    """
    short = {f"{'+'.join(run.settings.mixture)}/{run.settings.treatment}": run for run in reversed(runs)}
    largest = max((run.settings.mixture for run in runs), key=len)
    joint = [run for run in reversed(runs) if run.settings.mixture == largest and len(largest) > 1]
    aliases = {f"joint/{run.settings.treatment}": run for run in joint}
    names = {run.name: run for run in runs}
    found = {**aliases, **short, **names}.get(wanted)
    if found is None:
        raise ConfigError(
            f"--run {wanted}: there is no such run.{did_you_mean(wanted, [*names, *short])} `--dry-run` lists them."
        )
    return found
