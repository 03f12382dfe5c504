"""One self-contained page: verdict, tables, figures, runs, and how to read them. Without a network; scripts only help."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from detente.languages import LANGUAGES
from detente.report import numbers, phrases
from detente.report.canvas import Drawing
from detente.report.comparisons import FREE_SETTINGS, Comparison, bits, by_seed, flatten
from detente.report.diagnoses import Diagnoses
from detente.report.diagnosis_section import DiagnosisPart
from detente.report.heat import interference_heat
from detente.report.interference_matrix import has_matrix, interference_matrix
from detente.report.inventory import Run, Study, System, mono
from detente.report.meta_verdict import second_order_findings
from detente.report.page_filters import Filters
from detente.report.statistics import estimate
from detente.report.tables import Column, Row, Table, full_name
from detente.report.variants import variant_facts
from detente.report.verdict import Finding, cautions, matrix_cells, pairs_verdict, verdicts
from detente.results import Revision, RunRecord

Cells = Mapping[tuple[str, str], Comparison]
"""Who is hurt, by whom -> what is lost."""
TEMPLATE = "page.html"
SCRIPT = "page.js"


def render(
    study: Study,
    tables: Sequence[Table],
    drawings: Sequence[Drawing],
    diagnoses: Mapping[tuple[str, ...], Diagnoses] | None = None,
    parts: Sequence[DiagnosisPart] = (),
) -> str:
    """The page as HTML.

    Args:
        diagnoses: mixture -> what its untreated runs were diagnosed with.
        parts: the section on diagnoses.
    """
    filters, cells = Filters(study), matrix_cells(study)
    facts = [_facts(run.record) for run in study.runs]
    shared = _shared(facts)
    script = resources.files("detente.report").joinpath(SCRIPT).read_text(encoding="utf-8")
    task_tables = [table for table in tables if table.key.startswith("task-")]
    template = _environment().get_template(TEMPLATE)
    return template.render(
        study=study,
        filters=filters,
        script=Markup(script),  # ours, and allowed by its checksum alone
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        verdicts=verdicts(study, diagnoses or {}),
        pairs=pairs_verdict(study),
        cautions=cautions(study),
        facts_of=lambda finding: _facts_of(study, finding, cells),
        variants=variant_facts(study),
        second_order=second_order_findings(study),
        matrix=interference_heat(interference_matrix(study)) if has_matrix(study) else None,
        tables={table.key: filters.view(table) for table in tables},
        task_tables=[filters.view(table) for table in task_tables],
        settings=filters.settings_in(task_tables),
        drawings={kind: [drawing for drawing in drawings if drawing.kind == kind] for kind in _kinds(drawings)},
        diagnoses=parts,
        runs=[_row_of(run, shared) for run in _in_order(study)],
        shared=sorted(shared.items()),
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
    environment.filters["coded"] = coded
    environment.filters["column_groups"] = column_groups
    environment.filters["row_groups"] = row_groups
    environment.filters["mixture"] = phrases.mixture_name
    environment.filters["language_name"] = language_name
    return environment


def column_groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Headings over columns and how many columns each spans; none when there is no heading."""
    groups = [(name, len(list(some))) for name, some in groupby(columns, lambda column: column.group)]
    return groups if any(name for name, _ in groups) else []


def row_groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows by their heading."""
    return [(name, list(some)) for name, some in groupby(rows, lambda row: row.group)]


def coded(text: str) -> Markup:
    """A sentence in which `words` are what one types."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def language_name(label: str) -> str:
    """Swahili (sw), where the label is a code that we know."""
    entry = LANGUAGES.get(label)
    return f"{entry.name} ({label})" if entry else label


def _kinds(drawings: Sequence[Drawing]) -> list[str]:
    return ["interference", "validation", "early-loss", *(drawing.kind for drawing in drawings)]


def _in_order(study: Study) -> list[Run]:
    return [run for runs in study.by_system.values() for run in runs.values()]


def _facts_of(study: Study, finding: Finding, cells: Cells) -> list[tuple[str, str]]:
    """Of a language in a mixture: its scores, and its worst and best company in pairs, where that is beyond doubt."""
    systems = (("bits alone", mono(finding.language)), ("bits together", System(finding.mixture, "none")))
    scores = [(name, by_seed(study, system, finding.language, bits)) for name, system in systems]
    facts = [(name, numbers.plain(estimate(list(values.values())))) for name, values in scores if values]
    beside = {by: cell for (hurt, by), cell in cells.items() if hurt == finding.language}
    for term, word, worst in (("hurt most beside", "hurt", max), ("helped most beside", "helped", min)):
        clear = {by: cell.difference.mean for by, cell in beside.items() if cell.word == word}
        if clear:
            other = worst(clear, key=lambda by: clear[by])
            facts.append((term, f"{phrases.name(other)} ({numbers.difference(clear[other])})"))
    return facts


def _row_of(run: Run, shared: Mapping[str, str]) -> dict[str, Any]:
    record = run.record
    own = {name: value for name, value in _facts(record).items() if name not in shared}
    return {
        "name": full_name(run.system),
        "mixture": record.mixture,
        "seed": record.seed,
        "folder": run.folder.name,
        "seconds": numbers.amount(record.total_seconds),
        "memory": numbers.mebibytes(record.peak_memory_bytes),
        "steps": numbers.count(record.steps),
        "sittings": record.sittings,
        "tasks": len(run.tasks),
        "finished": record.finished[:16].replace("T", " "),
        "own": "; ".join(f"{name} {value}" for name, value in sorted(own.items())),
    }


def _facts(record: RunRecord) -> dict[str, str]:
    """Whatever the result hangs on, by name, but for what the run's own name says."""
    return {
        **{key: _value(value) for key, value in flatten(record.settings) if key not in FREE_SETTINGS},
        "training.steps": str(record.steps),
        "checksum of the vocabulary": record.vocabulary,
        **{f"checksum of the text of {label}": result.data for label, result in record.languages.items()},
        **{f"version of {name}": version for name, version in record.versions.items()},
        **{f"machine: {name}": value for name, value in record.machine.items()},
        **({"revision of the user's folder": _revision(record.revision)} if record.revision else {}),
    }


def _revision(revision: Revision) -> str:
    return f"{revision.commit[:12]}, changed since" if revision.is_changed else revision.commit[:12]


def _shared(facts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all runs have in common; of a text's checksum, all that have the language."""
    found: dict[str, list[str]] = {}
    for one in facts:
        for name, value in one.items():
            found.setdefault(name, []).append(value)
    return {
        name: values[0]
        for name, values in found.items()
        if len(set(values)) == 1 and (len(values) == len(facts) or name.startswith("checksum of the text"))
    }


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
