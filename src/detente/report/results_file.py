"""Writes `results.json`, for programs: what the tables and the verdict are made of, in the form of `results_schema.py`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from detente.report.comparisons import has_learned, interference, interference_by_seed, recovered
from detente.report.interference_matrix import InterferenceMatrix
from detente.report.inventory import Run, Study, System
from detente.report.measures import BITS, EARLY_LOSS, PERPLEXITY
from detente.report.meta_verdict import second_order_findings
from detente.report.results_schema import (
    RESULTS_FILE,
    CellEntry,
    FindingEntry,
    InterferenceEntry,
    Interval,
    MatrixEntry,
    MissingCell,
    MissingRun,
    RowEntry,
    RunEntry,
    ScoreEntry,
    SecondOrderEntry,
    Seeds,
    StudyResults,
    SystemEntry,
    TableEntry,
    TaskEntry,
)
from detente.report.statistics import Estimate, estimate
from detente.report.tables import Cell, Column, Table
from detente.report.task_scores import Asked, task_scores
from detente.report.verdict import cautions, findings
from detente.results import write_json


def write_results(study: Study, tables: Sequence[Table], matrix: InterferenceMatrix | None, folder: Path) -> None:
    """Write `results.json` into a study's folder."""
    write_json(folder / RESULTS_FILE, results_of(study, tables, matrix).model_dump(mode="json"))


def results_of(study: Study, tables: Sequence[Table], matrix: InterferenceMatrix | None) -> StudyResults:
    """Everything."""
    return StudyResults(
        study=study.name,
        languages=study.languages,
        systems=tuple(_system(study, system) for system in study.systems),
        scores=tuple(_scores(study)),
        interference=tuple(_interference(study)),
        tasks=tuple(_tasks(study)),
        matrix=_matrix(matrix) if matrix else None,
        findings=tuple(_findings(study)),
        second_order=tuple(
            SecondOrderEntry(subject=each.subject, word=each.word, text=each.text)
            for each in second_order_findings(study)
        ),
        cautions=cautions(study),
        missing_runs=tuple(
            MissingRun(name=gap.name, status=gap.status, reason=gap.reason, is_expected=gap.is_expected)
            for gap in study.gaps
        ),
        missing_cells=tuple(cell for table in tables for cell in _missing_cells(table)),
        runs=tuple(_run(run) for runs in study.by_system.values() for run in runs.values()),
        tables=tuple(_table(table) for table in tables),
    )


def _system(study: Study, system: System) -> SystemEntry:
    return SystemEntry(
        mixture=system.mixture,
        system=system.name,
        treatment=system.treatment,
        seeds=tuple(study.by_system[system]),
        expected_seeds=study.num_expected(system),
    )


def _scores(study: Study) -> Iterator[ScoreEntry]:
    for system in study.systems:
        for language in system.mixture:
            for measure in (BITS, PERPLEXITY, EARLY_LOSS):
                values = measure.values(study, system, language)
                if values:
                    yield ScoreEntry(
                        mixture=system.mixture,
                        system=system.name,
                        language=language,
                        measure=measure.key,
                        better=measure.direction,
                        by_seed=_seeds(values),
                        estimate=_interval(estimate(list(values.values()))),
                        has_learned=has_learned(study, system, language),
                    )


def _interference(study: Study) -> Iterator[InterferenceEntry]:
    for system in study.systems:
        for language in system.mixture:
            compared = interference(study, system, language)
            if compared:
                share = recovered(study, system, language)
                yield InterferenceEntry(
                    mixture=system.mixture,
                    system=system.name,
                    language=language,
                    by_seed=_seeds(interference_by_seed(study, system, language)),
                    estimate=_interval(compared.difference),
                    word=compared.word,
                    has_learned=compared.has_learned,
                    exposure=_finite(compared.exposure),
                    recovered=_interval(share) if share else None,
                )


def _tasks(study: Study) -> Iterator[TaskEntry]:
    for system in study.systems:
        for asked, (kind, metric) in _asked(study, system).items():
            values = task_scores(study, system, asked)
            yield TaskEntry(
                mixture=system.mixture,
                system=system.name,
                task=asked.task,
                kind=kind,
                setting=asked.setting,
                source=asked.source,
                language=asked.language,
                metric=metric,
                by_seed=_seeds(values),
                estimate=_interval(estimate(list(values.values()))),
            )


def _asked(study: Study, system: System) -> dict[Asked, tuple[str, str]]:
    """What a system has scores of -> kind of the task, name of the metric."""
    found: dict[Asked, tuple[str, str]] = {}
    for run in study.by_system[system].values():
        for record in run.tasks:
            for score in record.scores:
                for metric, name in ((score.metric, ""), *((other, other) for other in score.others)):
                    asked = Asked(record.task, score.setting, record.source, score.language, name)
                    found[asked] = (record.kind, metric)
    return found


def _matrix(matrix: InterferenceMatrix) -> MatrixEntry:
    return MatrixEntry(
        languages=matrix.languages,
        unit=matrix.harm.unit,
        budget=matrix.budget,
        cells=tuple(tuple(cell and _interval(cell.difference) for cell in row) for row in matrix.cells),
        row_means=tuple(mean and _interval(mean) for mean in matrix.row_means),
        column_means=tuple(mean and _interval(mean) for mean in matrix.column_means),
        asymmetry=matrix.asymmetry,
    )


def _findings(study: Study) -> Iterator[FindingEntry]:
    for each in (one for mixture in study.mixtures for one in findings(study, mixture)):
        yield FindingEntry(
            mixture=each.mixture,
            language=each.language,
            word=each.word,
            text=each.text,
            treatments=each.treatments,
            transfer=each.transfer,
        )


def _run(run: Run) -> RunEntry:
    record = run.record
    return RunEntry(
        name=record.name,
        folder=run.folder.name,
        fingerprint=record.fingerprint,
        mixture=record.mixture,
        system=record.system,
        seed=record.seed,
        steps=record.steps,
        tokens=record.tokens,
        train_seconds=_finite(record.train_seconds),
        finished=record.finished,
    )


def _table(table: Table) -> TableEntry:
    return TableEntry(
        key=table.key,
        title=table.title,
        caption=table.caption,
        columns=tuple(map(_title, table.columns)),
        rows=tuple(
            RowEntry(group=row.group, label=row.label, cells=tuple(map(_cell, row.cells))) for row in table.rows
        ),
        notes=table.notes,
    )


def _cell(cell: Cell) -> CellEntry:
    return CellEntry(
        text=cell.text,
        estimate=_interval(cell.estimate) if cell.estimate else None,
        word=cell.word,
        has_learned=cell.has_learned,
        is_best=cell.is_best,
        is_missing=cell.is_missing,
    )


def _missing_cells(table: Table) -> Iterator[MissingCell]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.is_missing:
                yield MissingCell(table=table.key, row=f"{row.group} {row.label}".strip(), column=_title(column))


def _title(column: Column) -> str:
    return f"{column.group} {column.title}".strip()


def _interval(found: Estimate) -> Interval:
    return Interval(mean=_finite(found.mean), low=_finite(found.low), high=_finite(found.high), seeds=found.seeds)


def _seeds(values: Mapping[int, float]) -> Seeds:
    return {seed: _finite(value) for seed, value in sorted(values.items())}


def _finite(value: float | None) -> float | None:
    """JSON has no other numbers."""
    return value if value is not None and math.isfinite(value) else None
