"""`detente study FILE --status`: a table of a study's runs, and what is left to do. Without torch, so that it answers at once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from detente.settings import StudySettings
from detente.study.status import JobStatus, RunStatus, StudyStatus, TuningStatus, study_status
from detente.terminal import duration, print_table

HEADER = ("run", "state", "steps", "tokens/s", "time", "left", "tasks", "")
LONGEST_NOTE = 100


def show_status(console: Console, study: StudySettings, folder: Path) -> None:
    """How far the study in `folder` is."""
    found = study_status(study, folder)
    print_table(
        console, f"{study.name} in {folder}", HEADER, [_row(run, found.tunings) for run in found.runs], [*_notes(found)]
    )


def _row(run: RunStatus, tunings: Sequence[TuningStatus]) -> list[str]:
    own = [each.state for each in tunings if each.run == run.name]
    return [
        run.name,
        run.state,
        f"{run.steps:,}/{run.total:,}",
        "" if run.rate is None else f"{run.rate:,.0f}",
        duration(run.seconds) if run.seconds else "",
        duration(run.left) if run.left else "",
        f"{own.count('done')}/{len(own)}" if own else "",
        _first_line(run.note),
    ]


def _notes(found: StudyStatus) -> Iterator[str]:
    for each in found.tunings:
        if each.note:
            yield f"{each.state}: {each.run}, {each.name}: {_first_line(each.note)}"
    if found.preparing is not None:
        yield f"Its data is being prepared by {found.preparing}."
    whole = _count("runs", found.runs)
    if found.tunings:
        whole += f"; {_count('fine-tunings', found.tunings)}"
    yield f"{whole}. {_left(found)}"


def _count(what: str, found: Sequence[JobStatus]) -> str:
    states = Counter(each.state for each in found)
    return f"{len(found)} {what}: {', '.join(f'{number} {state}' for state, number in states.items())}"


def _left(found: StudyStatus) -> str:
    if all(each.state == "done" for each in found.jobs):
        return "Nothing is left to do."
    time = "How long the rest takes is not known yet" if found.left is None else f"About {duration(found.left)} left"
    return f"{time}." if found.is_in_hand else f"{time}, and nobody is at it: call it without `--status`."


def _first_line(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= LONGEST_NOTE else f"{line[: LONGEST_NOTE - 3]}..."
