"""What every language loses beside every other: interference in all pair mixtures of a study, as one matrix."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import Literal

from detente.diagnosis_results.agreement import Matrix
from detente.report.comparisons import Comparison, interference, interference_by_seed
from detente.report.inventory import Study, System, mono
from detente.report.statistics import Estimate, estimate, paired_differences
from detente.report.task_scores import Asked, task_scores

BySeed = dict[int, float]


@dataclass(frozen=True)
class Harm:
    """Something that mixing can take from a language."""

    key: str
    unit: str
    by_seed: Callable[[Study, System, str], BySeed]
    """Seed -> what a language loses in a mixture against mono; above zero it is hurt."""


BITS_LOST = Harm("interference", "bits per character", interference_by_seed)


def points_lost(task: str) -> Harm:
    """Of a task's main score when fine-tuned and tested on the language itself; fine-tunings' seeds are averaged first."""

    def lost(study: Study, system: System, language: str) -> BySeed:
        within = Asked(task, "within", language, language)
        alone, mixed = (task_scores(study, one, within) for one in (mono(language), system))
        return paired_differences(alone, mixed)

    return Harm(f"interference-{task}", f"points of {task}", lost)


@dataclass(frozen=True)
class Asymmetry:
    """How much more the first language of a pair loses than the second, in the same runs."""

    first: str
    second: str
    difference: Estimate
    """Above zero the first is hurt more."""


@dataclass(frozen=True)
class InterferenceMatrix:
    """Rows are who is hurt, columns are by whom."""

    languages: tuple[str, ...]
    harm: Harm
    system: str
    """Of the pairs: `none` for untreated ones; mono is always untreated."""
    budget: Literal["steps", "examples"]
    """What pair and mono had in common."""
    cells: tuple[tuple[Comparison | None, ...], ...]
    """[i][j]: what i loses when trained with j alone. None on the diagonal and where a run is missing."""
    asked: frozenset[frozenset[str]]
    """Pairs that the study has or should have."""
    row_means: tuple[Estimate | None, ...]
    """What a language loses over all partners, seed by seed; None unless every cell is there and has learned."""
    column_means: tuple[Estimate | None, ...]
    """What all others lose to a language."""
    asymmetries: tuple[Asymmetry, ...]
    """Of every pair whose two cells are there and have learned."""

    @property
    def values(self) -> Matrix:
        """The means; None also where a run has not left the unigram plateau, since nothing follows from it."""
        return tuple(
            tuple(cell.difference.mean if cell and cell.has_learned else None for cell in row) for row in self.cells
        )

    @property
    def asymmetry(self) -> float | None:
        """Share of the squared losses that tells the two languages of a pair apart, in [0, 1]; None without a pair.

        0: both lose alike. 1: one wins what the other loses. Noise alone gives about 0.5.
        """
        values = self.values
        pairs = [(values[i][j], values[j][i]) for i, j in combinations(range(len(values)), 2)]
        known = [(a, b) for a, b in pairs if a is not None and b is not None]
        apart, together = sum((a - b) ** 2 for a, b in known), sum((a + b) ** 2 for a, b in known)
        return apart / (apart + together) if apart + together else None


def interference_matrix(study: Study, harm: Harm = BITS_LOST, *, system: str = "none") -> InterferenceMatrix:
    """From the mixtures of two languages in a study; larger ones do not count.

    Args:
        harm: what a cell counts: bits per character of the test split, or `points_lost` of a task.
        system: treatment or variant of the pairs.
    """
    pairs = {frozenset(one.mixture): one for one in study.systems if len(one.mixture) == 2 and one.name == system}
    seeds, cells = {}, {}
    for language in study.languages:
        for other in study.languages:
            pair = pairs.get(frozenset((language, other)))
            by_seed = harm.by_seed(study, pair, language) if pair else {}
            cells[language, other] = _cell(study, pair, language, by_seed) if pair and by_seed else None
            seeds[language, other] = by_seed if has_number(cells[language, other]) else {}
    by_examples = any(run.record.settings.get("drawn_evenly") for run in study.runs)
    labels = study.languages
    return InterferenceMatrix(
        languages=labels,
        harm=harm,
        system=system,
        budget="examples" if by_examples else "steps",
        cells=tuple(tuple(cells[a, b] for b in labels) for a in labels),
        asked=frozenset(pairs),
        row_means=tuple(_mean([seeds[a, b] for b in labels if b != a]) for a in labels),
        column_means=tuple(_mean([seeds[b, a] for b in labels if b != a]) for a in labels),
        asymmetries=tuple(_asymmetries(labels, seeds)),
    )


def has_matrix(study: Study) -> bool:
    """Whether a matrix says more than a list: three languages or more, some of them in pairs."""
    return len(study.languages) > 2 and any(
        system.is_untreated and len(system.mixture) == 2 for system in study.systems
    )


def mixtures_beside_matrix(study: Study) -> tuple[tuple[str, ...], ...]:
    """Mixtures that a matrix does not say all of: dozens of pairs are cells, and figures of each would say no more."""
    if not has_matrix(study):
        return study.mixtures
    treated = {system.mixture for system in study.systems if not system.is_untreated}
    return tuple(mixture for mixture in study.mixtures if len(mixture) > 2 or mixture in treated)


def has_number(cell: Comparison | None) -> bool:
    """Whether anything follows from a cell: it is there, and its runs have left the unigram plateau."""
    return cell is not None and cell.has_learned


def _cell(study: Study, pair: System, language: str, by_seed: BySeed) -> Comparison | None:
    compared = interference(study, pair, language)
    return compared and replace(compared, difference=estimate(list(by_seed.values())))


def _mean(cells: Sequence[BySeed]) -> Estimate | None:
    """Seed by seed: the mono run of a language is the same in all cells of its row, which a mean of intervals would not know."""
    shared = sorted(set.intersection(*map(set, cells))) if cells else []
    return estimate([fmean(cell[seed] for cell in cells) for seed in shared]) if shared else None


def _asymmetries(labels: Sequence[str], seeds: Mapping[tuple[str, str], BySeed]) -> Iterator[Asymmetry]:
    for a, b in combinations(labels, 2):
        differences = paired_differences(seeds[a, b], seeds[b, a])
        if differences:
            yield Asymmetry(a, b, estimate(list(differences.values())))
