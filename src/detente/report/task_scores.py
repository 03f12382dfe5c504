"""Scores of fine-tunings as the tables need them: one number a pretraining seed."""

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import NamedTuple

from detente.report import numbers
from detente.report.inventory import Run, Study, System
from detente.report.statistics import estimate
from detente.report.tables import Cell
from detente.task_results import LanguageScore

Seeds = dict[int, float]


class Asked(NamedTuple):
    """One score of a system."""

    task: str
    """Name in the study."""
    setting: str
    """within, zero-shot or oracle."""
    source: str
    """Fine-tuned on it."""
    language: str
    """Tested on it."""
    metric: str = ""
    """One of the others, such as `exact_match`; empty for the task's main one."""


def task_scores(study: Study, system: System | None, asked: Asked) -> Seeds:
    """Pretraining seed -> percent, the mean over the fine-tunings' seeds."""
    if system is None:
        return {}
    found = {seed: list(_values(run, asked)) for seed, run in study.by_system.get(system, {}).items()}
    return {seed: fmean(values) for seed, values in found.items() if values}


def score_cell(values: Mapping[int, float], *, is_asked: bool) -> Cell:
    """Its estimate; without a value `missing` where there should be one."""
    if not values:
        return Cell(numbers.MISSING, is_missing=True) if is_asked else Cell()
    found = estimate(list(values.values()))
    return Cell(numbers.points(found), found)


def mean_over(columns: list[Seeds]) -> Seeds:
    """Over languages, seed by seed; nothing unless every language has every seed."""
    if not columns or any(column.keys() != columns[0].keys() for column in columns):
        return {}
    return {seed: fmean(column[seed] for column in columns) for seed in columns[0]}


def _values(run: Run, asked: Asked) -> Iterator[float]:
    for record in run.tasks:
        if (record.task, record.source) == (asked.task, asked.source):
            for score in record.scores:
                if (score.setting, score.language) == (asked.setting, asked.language):
                    yield from _metric(score, asked.metric)


def _metric(score: LanguageScore, name: str) -> Iterator[float]:
    if not name:
        yield score.value
    elif name in score.others:
        yield score.others[name]
