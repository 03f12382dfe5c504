"""One self-contained page: verdict, tables, figures, runs, and how to read them. Without scripts and without a network."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from detente.report import numbers
from detente.report.canvas import Drawing
from detente.report.inventory import Run, Study
from detente.report.meta_verdict import second_order_findings
from detente.report.tables import Column, Row, Table, full_name
from detente.report.variants import variant_facts
from detente.report.verdict import cautions, findings

TEMPLATE = "page.html"


def render(study: Study, tables: Sequence[Table], drawings: Sequence[Drawing]) -> str:
    """The page as HTML."""
    shared = _shared_settings(study.runs)
    template = _environment().get_template(TEMPLATE)
    return template.render(
        study=study,
        findings=findings(study),
        cautions=cautions(study),
        variants=variant_facts(study),
        second_order=second_order_findings(study),
        tables={table.key: table for table in tables},
        task_tables=[table for table in tables if table.key.startswith("task-")],
        drawings={kind: [drawing for drawing in drawings if drawing.kind == kind] for kind in _kinds(drawings)},
        runs=[_run_facts(run, shared) for run in _in_order(study)],
        shared_settings=_as_json(shared),
        by_examples=any(run.record.settings.get("drawn_evenly") for run in study.runs),
        seeds=sorted({run.record.seed for run in study.runs}),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("detente.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = lambda drawing: Markup(drawing.svg)  # built by svg.py, where text stays text
    environment.filters["column_groups"] = column_groups
    environment.filters["row_groups"] = row_groups
    return environment


def column_groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Headings over columns and how many columns each spans; none when there is no heading."""
    groups = [(name, len(list(some))) for name, some in groupby(columns, lambda column: column.group)]
    return groups if any(name for name, _ in groups) else []


def row_groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows by their heading."""
    return [(name, list(some)) for name, some in groupby(rows, lambda row: row.group)]


def _kinds(drawings: Sequence[Drawing]) -> list[str]:
    return ["matrix", "interference", "validation", "early-loss", *(drawing.kind for drawing in drawings)]


def _in_order(study: Study) -> list[Run]:
    return [run for runs in study.by_system.values() for run in runs.values()]


def _run_facts(run: Run, shared: dict[str, Any]) -> dict[str, Any]:
    record = run.record
    return {
        "name": full_name(run.system),
        "seed": record.seed,
        "folder": run.folder.name,
        "seconds": numbers.amount(record.total_seconds),
        "memory": numbers.mebibytes(record.peak_memory_bytes),
        "steps": numbers.count(record.steps),
        "sittings": record.sittings,
        "finished": record.finished,
        "vocabulary": record.vocabulary,
        "data": {label: result.data for label, result in record.languages.items()},
        "versions": record.versions,
        "machine": record.machine,
        "settings": _as_json({key: value for key, value in record.settings.items() if key not in shared}),
    }


def _shared_settings(runs: Sequence[Run]) -> dict[str, Any]:
    """Settings that all runs have in common."""
    every = [run.record.settings for run in runs]
    first = every[0] if every else {}
    return {key: value for key, value in first.items() if all(one.get(key) == value for one in every)}


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
