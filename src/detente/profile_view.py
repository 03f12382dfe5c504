"""`detente pretrain --profile`: where the time of a run's step goes."""

from pathlib import Path

from rich.console import Console

from detente.pretrain.profile import StepProfile, profile_run
from detente.settings import StudySettings
from detente.study import PlannedRun
from detente.study.execute import prepare_study
from detente.terminal import ProgressView, print_table


def show_profile(console: Console, study: StudySettings, folder: Path, run: PlannedRun) -> None:
    """A table by part, and a trace in STUDY/profile. Nothing of the run itself is written."""
    with ProgressView(console) as view:
        prepare_study(study, folder, progress=view.counter)
    trace = folder / "profile" / f"{run.name}.json"
    found = profile_run(run.settings, folder / "data" / run.settings.vocabulary, trace)
    notes = [
        f"Means of {found.steps} steps, {found.tokens_per_second:,.0f} tokens/s. Watching takes some time too.",
        f"Trace, for chrome://tracing or ui.perfetto.dev: {trace}",
    ]
    print_table(console, f"A step of {run.name}", ["part", "ms", "share"], _rows(found), notes)


def _rows(found: StepProfile) -> list[list[str]]:
    parts = {**found.parts, "between": found.seconds - sum(found.parts.values()), "all": found.seconds}
    return [[name, f"{1000 * seconds:,.1f}", f"{seconds / found.seconds:.1%}"] for name, seconds in parts.items()]
