"""A table for each downstream task: systems x languages x {within, zero-shot, oracle}, as the source's tables 2, 3, 6 and 7.

An average stands only where every cell of its group does.
"""

from collections.abc import Iterator
from typing import NamedTuple

from detente.report.inventory import Study, System
from detente.report.tables import Cell, Column, Line, Row, Table, lines_of, seeds_cell
from detente.report.task_scores import Asked, mean_over, score_cell, task_scores
from detente.task_results import TaskRecord

METRICS = {"ner": "entity F1", "pos": "F1, which is accuracy", "qa": "word F1", "nli": "accuracy"}
CAPTION = (
    "Test examples, percent; mean over pretraining seeds and 95 % interval, those of fine-tuning averaged first. Within: fine-tuned on "
    "the language itself. Zero-shot: fine-tuned on another language only, through the target's own language-specific parameters; the "
    "checkpoint was chosen by the source's validation examples. Oracle: chosen by the target's, which a zero-shot setting does "
    "not have."
)


class Group(NamedTuple):
    """Columns side by side: one kind of transfer from one source, or within each language."""

    title: str
    setting: str
    source: str | None
    """None: each language is its own."""
    languages: tuple[str, ...]


def task_tables(study: Study) -> Iterator[Table]:
    """In the order of the tasks' names."""
    for task in sorted({record.task for run in study.runs for record in run.tasks}):
        yield task_table(study, task)


def task_table(study: Study, task: str) -> Table:
    """One task."""
    records = [record for run in study.runs for record in run.tasks if record.task == task]
    groups = list(_groups(study, records))
    columns = [Column(title, group.title) for group in groups for title in _titles(group)]
    rows = [_row(study, task, line, groups) for line in lines_of(study)]
    caption = f"{METRICS[records[0].kind][0].upper()}{METRICS[records[0].kind][1:]}. {CAPTION}"
    title = f"Task {task}" if task == records[0].kind else f"Task {task} ({records[0].kind})"
    return Table(
        f"task-{task}", title, caption, "mixture", (*columns, Column("seeds")), tuple(rows), tuple(_notes(records))
    )


def _groups(study: Study, records: list[TaskRecord]) -> Iterator[Group]:
    found = {(score.setting, record.source, score.language) for record in records for score in record.scores}
    within = tuple(language for language in study.languages if ("within", language, language) in found)
    if within:
        yield Group("within", "within", None, within)
    for setting in ("zero-shot", "oracle"):
        for source in study.languages:
            targets = tuple(language for language in study.languages if (setting, source, language) in found)
            if targets:
                yield Group(f"{setting} from {source}", setting, source, targets)


def _titles(group: Group) -> tuple[str, ...]:
    return (*group.languages, "average") if len(group.languages) > 1 else group.languages


def _row(study: Study, task: str, line: Line, groups: list[Group]) -> Row:
    cells: list[Cell] = []
    for group in groups:
        systems = [line.systems.get(language) for language in group.languages]
        of_languages = list(zip(systems, group.languages, strict=True))
        columns = [task_scores(study, system, _asked(task, group, language)) for system, language in of_languages]
        wanted = [_is_asked(system, group, language) for system, language in of_languages]
        cells += [score_cell(values, is_asked=is_asked) for values, is_asked in zip(columns, wanted, strict=True)]
        if len(columns) > 1:
            cells.append(score_cell(mean_over(columns), is_asked=False))
    has_any = any(cell.text for cell in cells)
    seeds = seeds_cell(study, cells, list(line.systems.values())) if has_any else Cell()
    return Row(line.group, line.label, (*cells, seeds))


def _asked(task: str, group: Group, language: str) -> Asked:
    return Asked(task, group.setting, group.source or language, language)


def _is_asked(system: System | None, group: Group, language: str) -> bool:
    """Whether the system knows both languages."""
    return system is not None and {language, group.source or language} <= set(system.mixture)


def _notes(records: list[TaskRecord]) -> Iterator[str]:
    """What all fine-tunings say of their data is said once."""
    seeds = sorted({record.seed for record in records})
    yield f"Fine-tuned with the seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}."
    yield from dict.fromkeys(note for record in records for note in record.notes)
