"""The table of the meta step's two terms."""

from collections.abc import Callable

from detente.report import numbers
from detente.report.inventory import Run, Study, System
from detente.report.meta_terms import (
    has_terms,
    meta_systems,
    noise_share,
    over_seeds,
    second_order_share,
    settings_of,
    terms_of,
    verdict_word,
)
from detente.report.statistics import Estimate, estimate
from detente.report.tables import Cell, Column, Row, Table, system_label
from detente.results import MetaTerms

# Title, number of a run, how to print its mean over seeds.
TERMS: tuple[tuple[str, Callable[[MetaTerms], float | None], Callable[[Estimate], str]], ...] = (
    ("second order / direct", second_order_share, numbers.percent),
    ("noise / direct", noise_share, numbers.percent),
    ("cosine", lambda terms: terms.cosine, numbers.cosine),
    ("one-sided error", lambda terms: terms.difference_error, numbers.percent),
)
CAPTION = (
    "What phi, the parameters of a language, follows in meta-adapter runs: the direct term, which is the gradient of held-out text, "
    "and the second-order term, which is phi's effect on held-out text by way of the shared parameters' next step. Second order and "
    "noise are sizes relative to the direct term; noise is how far that moves when another held-out batch is drawn. Below noise: "
    "another batch changes the step more than the second-order term does. Medians over the measured steps of the second half of "
    "training; mean over seeds and 95 % interval. Seconds per step: against the plain adapter of the same mixture and seed, "
    "or untreated where there is none."
)
NOTE = (
    "Cosine: +1 where the second-order term asks for the same change as the direct one. One-sided error: how far one-sided "
    "differences miss the mixed derivative. Skipped: updates of phi that were left out because the held-out gradient was zero or "
    "not finite, all runs together."
)


def second_order_table(study: Study) -> Table:
    """One row a mixture and meta system; no rows when no run measured anything."""
    titles = ("skipped", "seconds per step", "seeds")
    columns = [Column("verdict", is_text=True), *(Column(title) for title, _, _ in TERMS), *map(Column, titles)]
    rows = [_row(study, system) for system in meta_systems(study)] if has_terms(study) else []
    title = "The meta step's two terms"
    return Table("second-order", title, CAPTION, "mixture", tuple(columns), tuple(rows), (NOTE,))


def _row(study: Study, system: System) -> Row:
    settings, terms = settings_of(study, system), terms_of(study, system)
    group, label = "+".join(system.mixture), system_label(system)
    num_runs, num_expected = len(study.by_system[system]), study.num_expected(system)
    seeds = Cell(str(num_runs) if num_runs == num_expected else f"{num_runs} of {num_expected}")
    if settings is None:
        missing = Cell(numbers.MISSING, is_missing=True)
        return Row(group, label, (missing, *([Cell()] * (len(TERMS) + 2)), seeds))
    cells = [_term_cell(over_seeds(terms, pick), show) for _, pick, show in TERMS]
    skipped = Cell(numbers.count(sum(one.skipped for one in terms.values())) if terms else "")
    return Row(group, label, (Cell(verdict_word(settings, terms)), *cells, skipped, _seconds(study, system), seeds))


def _term_cell(value: Estimate | None, show: Callable[[Estimate], str]) -> Cell:
    return Cell(show(value), value) if value else Cell()


def _seconds(study: Study, system: System) -> Cell:
    """Against the plainest system there is, seed by seed: runs of one seed are made at about the same time."""
    ours = _seconds_per_step(study, system)
    for reference in (System(system.mixture, "adapter"), System(system.mixture, "none")):
        theirs = _seconds_per_step(study, reference)
        ratios = [ours[seed] / theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
        if ratios:
            # As for other costs, an interval would suggest more than the machine's mood allows.
            result = estimate(ratios)
            name = system_label(reference).removeprefix("+ ")
            return Cell(f"{numbers.times(result.mean)} {name}", result)
    return Cell()


def _seconds_per_step(study: Study, system: System) -> dict[int, float]:
    def per_step(run: Run) -> float:
        return run.record.train_seconds / run.record.steps if run.record.steps else 0.0

    return {seed: value for seed, run in study.by_system.get(system, {}).items() if (value := per_step(run))}
