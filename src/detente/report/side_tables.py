"""Tables whose columns are not one measure: the summary, recovered shares, text seen and cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from detente.report import numbers
from detente.report.inventory import Run, Study, System
from detente.report.measures import BITS, EARLY_LOSS, PERPLEXITY
from detente.report.statistics import estimate
from detente.report.tables import (
    Cell,
    Column,
    Line,
    Row,
    Table,
    full_name,
    interference_cell,
    lines_of,
    measure_table,
    notes_for,
    recovered_cell,
    seeds_cell,
    system_label,
    value_cell,
)

# Title, number of a run, how to print its mean over seeds.
COSTS: tuple[tuple[str, Callable[[Run], float], Callable[[float], str]], ...] = (
    ("parameters, all languages", lambda run: _parameters(run)[0], numbers.count),
    ("used for one language", lambda run: _parameters(run)[1], numbers.count),
    ("specific to each", lambda run: _parameters(run)[2], numbers.count),
    ("steps", lambda run: run.record.steps, numbers.count),
    ("tokens", lambda run: run.record.tokens, numbers.count),
    ("training seconds", lambda run: run.record.train_seconds, numbers.amount),
    ("all seconds", lambda run: run.record.total_seconds, numbers.amount),
    ("peak memory, MiB", lambda run: run.record.peak_memory_bytes, numbers.mebibytes),
)


def summary(study: Study) -> Table:
    """One block a language, whatever their number, so that it fits a terminal."""
    titles = ("bits per character", "perplexity", "interference", "verdict", "recovered", "early loss", "seeds")
    columns = tuple(Column(title, is_text=title == "verdict") for title in titles)
    rows = [row for language in study.languages for row in _summary_rows(study, language)]
    caption = (
        "Test split; mean over seeds and 95 % interval. Interference: bits per character in the mixture minus mono, "
        "paired by seed; above zero the mixture hurts. Recovered: share of it that a treatment takes away. Early loss: mean "
        "training loss over the first fifth of the steps, in nats."
    )
    return Table("summary", "Summary", caption, "language", columns, tuple(rows), notes_for(rows))


def recovered_table(study: Study) -> Table:
    """Shares of interference that treatments take away."""
    treated = [line for line in lines_of(study, with_mono=False) if line.label != "untreated"]
    rows = [
        Row(
            line.group,
            line.label,
            tuple(recovered_cell(study, line.systems.get(label), label) for label in study.languages),
        )
        for line in treated
    ]
    caption = (
        "Share of the untreated mixture's interference that a treatment takes away, with its 95 % interval (Fieller); "
        "100 % is as good as mono. Empty where the untreated mixture does not hurt beyond doubt."
    )
    columns = tuple(Column(label) for label in study.languages)
    return Table("recovered", "Recovered share", caption, "mixture", columns, tuple(rows))


def text_seen(study: Study) -> Table:
    """Blocks and epochs of each language: what a budget of steps leaves unequal."""
    lines = lines_of(study)
    columns = tuple(Column(title, label) for label in study.languages for title in ("blocks", "epochs"))
    rows = [Row(line.group, line.label, tuple(_seen_cells(study, line))) for line in lines]
    caption = "Training blocks of each language that a run was shown, and how often it went over them. Mean over seeds."
    return Table("text-seen", "Text seen", caption, "mixture", columns, tuple(rows))


def cost(study: Study) -> Table:
    """What a run of each system takes."""
    columns = (*(Column(title) for title, _, _ in COSTS), Column("seeds"))
    rows = tuple(_cost_row(study, system) for system in study.systems)
    caption = "Size and cost of one run; mean over seeds. Seconds are wall time on the machines listed below."
    return Table("cost", "Parameters and cost", caption, "mixture", columns, rows)


def _summary_rows(study: Study, language: str) -> list[Row]:
    rows = [_summary_row(study, language, line) for line in lines_of(study) if language in line.systems]
    place = study.languages.index(language)
    scores = [measure_table(study, measure) for measure in (BITS, PERPLEXITY)]
    best = [[row.cells[place] for row in table.rows if row.cells[place].text] for table in scores]
    marked = [Row(row.group, row.label, (*cells, *row.cells[2:])) for row, *cells in zip(rows, *best, strict=False)]
    counted = [row for row in zip(*(table.rows for table in scores), strict=True) if row[0].group == "count models"]
    return [*marked, *(_count_row(language, place, pair) for pair in counted if pair[0].cells[place].text)]


def _summary_row(study: Study, language: str, line: Line) -> Row:
    system = line.systems[language]
    bits_cell = value_cell(study, BITS, system, language)
    compared = interference_cell(study, system, language)
    cells = (
        bits_cell,
        value_cell(study, PERPLEXITY, system, language),
        # The word has a column of its own here.
        replace(compared, word=None),
        Cell(compared.word or ""),
        recovered_cell(study, system, language),
        value_cell(study, EARLY_LOSS, system, language),
        seeds_cell(study, [bits_cell], [system]),
    )
    needs_mixture = len(study.mixtures) > 1 and not system.is_mono
    return Row(language, full_name(system) if needs_mixture else line.label, cells)


def _count_row(language: str, place: int, rows: Sequence[Row]) -> Row:
    return Row(language, rows[0].label, (*(row.cells[place] for row in rows), *([Cell()] * 5)))


def _seen_cells(study: Study, line: Line) -> list[Cell]:
    cells = []
    for label in study.languages:
        system = line.systems.get(label)
        results = list(study.results(system, label).values()) if system else []
        cells.append(_mean_cell([result.blocks_seen for result in results], numbers.count, system))
        cells.append(_mean_cell([result.epochs for result in results], numbers.amount, system))
    return cells


def _cost_row(study: Study, system: System) -> Row:
    runs = list(study.by_system[system].values())
    cells = [_mean_cell([number(run) for run in runs], show, system) for _, number, show in COSTS]
    label = "mono" if system.is_mono else system_label(system)
    return Row("+".join(system.mixture), label, (*cells, seeds_cell(study, cells[-1:], [system])))


def _mean_cell(values: Sequence[float], show: Callable[[float], str], system: System | None) -> Cell:
    if system is None:
        return Cell()
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Cell(numbers.MISSING, is_missing=True)
    # An interval on a size or a cost would suggest more than the machine's mood allows.
    result = estimate(known)
    return Cell(show(result.mean), result)


def _parameters(run: Run) -> tuple[float, float, float]:
    parameters = run.record.parameters
    if parameters is None:
        return math.nan, math.nan, math.nan
    every = parameters.shared + len(run.record.mixture) * parameters.specific
    return every, parameters.total, parameters.specific
