"""The ladder of treatments: what each gains beside the untreated mixture, per extra million parameters and per extra second."""

import math
from collections.abc import Callable
from statistics import fmean

from detente.report import numbers
from detente.report.comparisons import against_untreated, bits, by_seed
from detente.report.inventory import Run, Study, System
from detente.report.rules import Cost
from detente.report.statistics import Estimate, estimate, paired_differences, word_for
from detente.report.tables import Cell, Column, Row, Table, system_label

TITLES = ("gain", "word", "more parameters", "gain per million", "more seconds", "gain per 1,000 s", "seeds")
CAPTION = (
    "What a treatment gains beside the untreated mixture: bits per character saved, mean over the mixture's languages, paired by seed, "
    "with its 95 % interval; above zero it helps. Parameters of all languages together; training seconds on the machines listed below."
)
NOTE = "Gains are put in proportion only where they are clear of zero and something more is spent."


def ladder_table(study: Study) -> Table:
    """One row a treated mixture, by the size of its gain."""
    columns = tuple(Column(title, is_text=title == "word") for title in TITLES)
    rows = [
        row
        for mixture in study.mixtures
        for _, row in sorted(
            ((gain.mean, _row(study, system, gain)) for system, gain in _gains(study, mixture)),
            key=lambda pair: -pair[0],
        )
    ]
    return Table("ladder", "Ladder of treatments", CAPTION, "mixture", columns, tuple(rows), (NOTE,), "treatment")


def gain_of(study: Study, system: System) -> Estimate | None:
    """Bits per character saved, mean over the languages, over seeds with both runs; None unless all of them have learned."""
    untreated = System(system.mixture, "none")
    compared = [against_untreated(study, system, label) for label in system.mixture]
    if not all(comparison and comparison.has_learned for comparison in compared):
        return None
    saved = [
        paired_differences(by_seed(study, untreated, label, bits), by_seed(study, system, label, bits))
        for label in system.mixture
    ]
    shared = sorted(set.intersection(*map(set, saved)))
    return estimate([fmean(each[seed] for each in saved) for seed in shared]) if shared else None


def cost_of(study: Study, system: System) -> Cost:
    """Beside the untreated mixture, over seeds with both runs."""
    untreated = System(system.mixture, "none")
    ours, theirs = (_per_seed(study, one, _seconds) for one in (system, untreated))
    ratios = [ours[seed] / theirs[seed] for seed in sorted(ours.keys() & theirs.keys()) if theirs[seed]]
    return Cost(system.name, _more(study, system, _parameters), fmean(ratios) if ratios else None)


def _gains(study: Study, mixture: tuple[str, ...]) -> list[tuple[System, Estimate]]:
    systems = [system for system in study.systems if system.mixture == mixture and not system.is_untreated]
    return [(system, gain) for system in systems if (gain := gain_of(study, system))]


def _row(study: Study, system: System, gain: Estimate) -> Row:
    parameters, seconds = _more(study, system, _parameters), _more(study, system, _seconds)
    # A gain is a difference in which higher is better.
    word = word_for(Estimate(-gain.mean, _negative(gain.high), _negative(gain.low), gain.seeds))
    cells = (
        Cell(numbers.signed(gain), gain),
        Cell(word),
        _amount_cell(parameters, numbers.count),
        _proportion_cell(gain, parameters, 1e6),
        _amount_cell(seconds, numbers.amount),
        _proportion_cell(gain, seconds, 1e3),
        Cell(str(gain.seeds)),
    )
    return Row("+".join(system.mixture), system_label(system), cells)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _amount_cell(value: float | None, show: Callable[[float], str]) -> Cell:
    # A cost has no interval here: it would suggest more than the machine's mood allows.
    return Cell() if value is None else Cell(show(value).replace("-", numbers.MINUS), estimate([value]))


def _proportion_cell(gain: Estimate, spent: float | None, unit: float) -> Cell:
    is_clear = gain.is_above_zero or gain.is_below_zero
    if not is_clear or spent is None or spent <= 0:
        return Cell()
    value = gain.mean / spent * unit
    return Cell(numbers.difference(value), estimate([value]))


def _more(study: Study, system: System, number: Callable[[Run], float]) -> float | None:
    untreated = System(system.mixture, "none")
    ours, theirs = (_per_seed(study, one, number) for one in (system, untreated))
    differences = [value for value in paired_differences(ours, theirs).values() if math.isfinite(value)]
    return fmean(differences) if differences else None


def _per_seed(study: Study, system: System, number: Callable[[Run], float]) -> dict[int, float]:
    return {seed: number(run) for seed, run in study.by_system.get(system, {}).items()}


def _seconds(run: Run) -> float:
    return run.record.train_seconds


def _parameters(run: Run) -> float:
    parameters = run.record.parameters
    return math.nan if parameters is None else parameters.shared + len(run.record.mixture) * parameters.specific
