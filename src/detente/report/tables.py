"""Tables of a study: rows are systems, columns are languages. Values first; `formats.py` writes them out."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from detente.report import numbers
from detente.report.comparisons import Comparison, has_learned, interference, interference_by_seed, recovered
from detente.report.inventory import Study, System, mono
from detente.report.measures import Measure
from detente.report.statistics import Estimate, Word, estimate, paired_differences

PLATEAU_NOTE = (
    f"{numbers.DAGGER} At least one of the runs behind the number has not left the unigram plateau: it predicts from word "
    "counts, so differences from it say nothing about interference."
)
VOCABULARIES_NOTE = "The runs have different vocabularies, so these numbers are not comparable between rows."
BEST_NOTE = (
    f"Bold: better than every other system of its column, by a {numbers.INTERVAL} of the differences paired by seed."
)


@dataclass(frozen=True)
class Cell:
    """One place of a table."""

    text: str = ""
    """As printed; empty where the row does not apply to the column."""
    estimate: Estimate | None = None
    word: Word | None = None
    """Verdict of a comparison."""
    has_learned: bool = True
    is_best: bool = False
    is_missing: bool = False

    @property
    def display(self) -> str:
        return self.text if self.has_learned else f"{self.text}{numbers.DAGGER}"


@dataclass(frozen=True)
class Column:
    title: str
    group: str = ""
    """Heading over neighbouring columns."""
    is_text: bool = False


@dataclass(frozen=True)
class Row:
    group: str
    """Mixture, or language in the summary; empty for rows of their own."""
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Text and values of one table."""

    key: str
    """File name without suffix."""
    title: str
    caption: str
    group_title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())
    label_title: str = "system"
    """What a row's label is."""

    def as_rows(self) -> list[list[str]]:
        """Header and rows as text, for a terminal."""
        header = [
            self.group_title,
            self.label_title,
            *(f"{column.group} {column.title}".strip() for column in self.columns),
        ]
        return [header, *([row.group, row.label, *(cell.display for cell in row.cells)] for row in self.rows)]


@dataclass(frozen=True)
class Line:
    """A row before its numbers: which system stands for each language."""

    group: str
    label: str
    systems: Mapping[str, System]


def system_label(system: System) -> str:
    """Of a mixture's rows."""
    return "untreated" if system.is_untreated else f"+ {system.name}"


def full_name(system: System) -> str:
    """Of a system where its mixture is not said elsewhere."""
    mixture = "+".join(system.mixture)
    return f"mono {mixture}" if system.is_mono else f"{mixture} {system_label(system)}"


def lines_of(study: Study, *, with_mono: bool = True) -> list[Line]:
    """Mono as one row, then every mixture with every treatment."""
    mixed = [
        Line("+".join(system.mixture), system_label(system), dict.fromkeys(system.mixture, system))
        for system in study.systems
        if not system.is_mono
    ]
    alone = {label: mono(label) for label in study.languages if mono(label) in study.by_system}
    return [Line("", "mono", alone), *mixed] if with_mono and alone else mixed


def measure_table(study: Study, measure: Measure, *, with_mono: bool = True) -> Table:
    """One measure, a column for each language, an average where every cell exists, and the number of seeds."""
    lines = lines_of(study, with_mono=with_mono)
    rows = [_measure_row(study, measure, line) for line in lines]
    is_mixed = measure.needs_one_vocabulary and len(study.vocabularies) > 1
    if measure.direction and not is_mixed:
        rows = _with_best(study, measure, lines, rows)
    rows += _baseline_rows(study, measure)
    has_average = len(study.languages) > 1 and any(row.cells[-2].text for row in rows)
    columns = [*(Column(label) for label in study.languages), Column("average"), Column("seeds")]
    if not has_average:
        columns.pop(-2)
        rows = [replace(row, cells=row.cells[:-2] + row.cells[-1:]) for row in rows]
    notes = (*([VOCABULARIES_NOTE] if is_mixed else []), *notes_for(rows))
    return Table(measure.key, measure.title, measure.caption, "mixture", tuple(columns), tuple(rows), notes)


def notes_for(rows: Sequence[Row]) -> tuple[str, ...]:
    """Footnotes for the marks that occur."""
    cells = [cell for row in rows for cell in row.cells]
    notes = [BEST_NOTE] if any(cell.is_best for cell in cells) else []
    return tuple([*notes, PLATEAU_NOTE] if any(not cell.has_learned for cell in cells) else notes)


def value_cell(study: Study, measure: Measure, system: System | None, language: str) -> Cell:
    """Estimate over seeds; `missing` without a run; empty for a language outside the mixture."""
    if system is None:
        return Cell()
    values = measure.values(study, system, language)
    if not values:
        return Cell(numbers.MISSING, is_missing=True)
    result = estimate(list(values.values()))
    return Cell(measure.show(result), result, has_learned=has_learned(study, system, language))


def interference_cell(study: Study, system: System | None, language: str) -> Cell:
    """Difference from mono, with its word."""
    if system is None or system.is_mono:
        return Cell()
    comparison = interference(study, system, language)
    if comparison is None:
        return Cell(numbers.MISSING, is_missing=True)
    return comparison_cell(comparison)


def comparison_cell(comparison: Comparison) -> Cell:
    """A difference with its word."""
    text = numbers.signed(comparison.difference)
    return Cell(text, comparison.difference, comparison.word, has_learned=comparison.has_learned)


def recovered_cell(study: Study, system: System | None, language: str) -> Cell:
    """Share of interference that a treatment takes away, where that can be told."""
    if system is None or system.is_untreated:
        return Cell()
    if not study.results(system, language):
        return Cell(numbers.MISSING, is_missing=True)
    share = recovered(study, system, language)
    return Cell(numbers.share(share), share) if share else Cell()


def seeds_cell(study: Study, cells: Sequence[Cell], systems: Sequence[System]) -> Cell:
    """How many seeds are behind a row, and how many there should be."""
    counts = sorted({cell.estimate.seeds if cell.estimate else 0 for cell in cells if cell.text})
    expected = max(map(study.num_expected, systems), default=0)
    text = "-".join(map(str, dict.fromkeys([*counts[:1], *counts[-1:]]))) or "0"
    return Cell(text if counts[:1] == [expected] else f"{text} of {expected}")


def _measure_row(study: Study, measure: Measure, line: Line) -> Row:
    make = interference_cell if measure.values is interference_by_seed else _value_maker(measure)
    cells = [make(study, line.systems.get(label), label) for label in study.languages]
    average = _average(study, measure, line, cells)
    return Row(line.group, line.label, (*cells, average, seeds_cell(study, cells, list(line.systems.values()))))


def _value_maker(measure: Measure) -> Callable[[Study, System | None, str], Cell]:
    return lambda study, system, language: value_cell(study, measure, system, language)


def _average(study: Study, measure: Measure, line: Line, cells: Sequence[Cell]) -> Cell:
    """Over all languages, seed by seed; only when every language has every seed."""
    if len(cells) < 2 or not all(cell.estimate for cell in cells):
        return Cell()
    columns = [measure.values(study, line.systems[label], label) for label in study.languages]
    if any(column.keys() != columns[0].keys() for column in columns):
        return Cell()
    means = [math.fsum(column[seed] for column in columns) / len(columns) for seed in columns[0]]
    result = estimate(means)
    return Cell(measure.show(result), result, has_learned=all(cell.has_learned for cell in cells))


def _with_best(study: Study, measure: Measure, lines: Sequence[Line], rows: Sequence[Row]) -> list[Row]:
    marked = [list(row.cells) for row in rows]
    for place, language in enumerate(study.languages):
        systems = [line.systems.get(language) for line in lines]
        values = [measure.values(study, system, language) if system else {} for system in systems]
        best = best_of(values, measure.direction)
        if best is not None and marked[best][place].has_learned:
            marked[best][place] = replace(marked[best][place], is_best=True)
    return [replace(row, cells=tuple(cells)) for row, cells in zip(rows, marked, strict=True)]


def best_of(values: Sequence[Mapping[int, float]], direction: str | None) -> int | None:
    """Index of the system that beats each of the others by an interval over the seeds they share."""
    sign = -1.0 if direction == "higher" else 1.0
    present = [index for index, seeds in enumerate(values) if seeds]

    def beats(first: int, second: int) -> bool:
        gaps = [sign * gap for gap in paired_differences(values[first], values[second]).values()]
        return bool(gaps) and estimate(gaps).is_below_zero

    winners = [first for first in present if all(beats(first, second) for second in present if second != first)]
    return winners[0] if len(winners) == 1 and len(present) > 1 else None


def _baseline_rows(study: Study, measure: Measure) -> list[Row]:
    if measure.baseline is None:
        return []
    return [
        _baseline_row(study, measure, kind, vocabulary)
        for kind in ("unigram", "bigram")
        for vocabulary in study.vocabularies
    ]


def _baseline_row(study: Study, measure: Measure, kind: str, vocabulary: str) -> Row:
    assert measure.baseline is not None
    results = {
        language: result
        for run in study.runs
        if run.record.vocabulary == vocabulary
        for language, result in run.record.languages.items()
    }
    cells = []
    for language in study.languages:
        result = results.get(language)
        value = measure.baseline(result, getattr(result.baseline, kind)) if result else None
        # A count model has no seed, hence no interval.
        cells.append(Cell() if value is None else Cell(measure.show(shown := estimate([value])), shown))
    means = [cell.estimate.mean for cell in cells if cell.estimate]
    average = estimate([math.fsum(means) / len(means)]) if len(means) == len(cells) > 1 else None
    cells.append(Cell(measure.show(average), average) if average else Cell())
    label = f"{kind} ({vocabulary[:8]})" if len(study.vocabularies) > 1 else kind
    return Row("count models", label, (*cells, Cell()))
