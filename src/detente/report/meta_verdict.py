"""What the meta step's two terms allow to say, in sentences: each by a rule of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from detente.report import numbers, phrases
from detente.report.comparisons import Comparison, compare
from detente.report.inventory import Study, System
from detente.report.meta_terms import (
    Twins,
    has_terms,
    meta_systems,
    noise_share,
    over_seeds,
    second_order_share,
    settings_of,
    terms_of,
    twins,
    verdict_word,
)
from detente.report.statistics import Word


@dataclass(frozen=True)
class SecondOrderFinding:
    """What the second-order term does to one language."""

    subject: str
    word: Word
    text: str


@dataclass(frozen=True)
class Share:
    """Of the direct term's norm, mean over seeds."""

    system: str
    second_order: float
    noise: float


def second_order_findings(study: Study) -> tuple[SecondOrderFinding, ...]:
    """For every system that has a twin without second order, and every language, what the term does."""
    return tuple(_finding(study, pair, language) for pair in twins(study) for language in pair.full.mixture)


def meta_cautions(study: Study) -> tuple[str, ...]:
    """What a reader must know before believing what meta-adapters do."""
    if not has_terms(study):
        return ()
    return (*_below_noise(study), *_skipped(study))


def second_order_sentence(language: str, full: str, without: str, comparison: Comparison | None) -> str:
    """What the second-order term does to a language: `full` has it, `without` does not."""
    question = f"Whether the second-order term changes {language}"
    pair = f"{full} minus {without}"
    if comparison is None:
        return f"{question} is not known: a seed with both runs, {full} and {without}, is missing."
    if not comparison.has_learned:
        return f"{question}, we cannot tell: not all runs behind it have left the unigram plateau."
    if comparison.word == "cannot tell":
        return f"{question}, we cannot tell: {pair} {phrases.doubt(comparison.difference)}"
    verb = "hurts" if comparison.word == "hurt" else "helps"
    return f"The second-order term {verb} {language}: {pair} {phrases.evidence(comparison.difference)}"


def below_noise_sentence(shares: Sequence[Share], *, have_twins: bool) -> str:
    """On systems whose second-order term is below noise in all runs."""
    names = phrases.listed([share.system for share in shares])
    size, noise = (_range([getattr(share, part) for share in shares]) for part in ("second_order", "noise"))
    fact = f"{names}: the second-order term is {size} of the held-out gradient, below the noise of drawing another batch ({noise})."
    subject = "it does" if len(shares) == 1 else "they do"
    advice = (
        "the comparisons in the section on the meta step say more"
        if have_twins
        else "compare with a variant with second_order: none"
    )
    return f"{fact} What {subject} here may come from training phi on held-out text alone; {advice}."


def skipped_sentence(skipped: Sequence[tuple[str, int, int, int]]) -> str:
    """Systems by the updates of phi they left out: name, updates, runs with any, runs."""
    counts = [f"{updates} in {name} ({some} of {runs} runs)" for name, updates, some, runs in skipped]
    return (
        f"Updates of phi that were left out, because the held-out gradient was zero or not finite: {', '.join(counts)}."
    )


def _finding(study: Study, pair: Twins, language: str) -> SecondOrderFinding:
    comparison = compare(study, pair.full, pair.without, language)
    word: Word = comparison.word if comparison else "cannot tell"
    text = second_order_sentence(language, pair.full.name, pair.without.name, comparison)
    if pair.also:
        part = "" if word == "cannot tell" else ", which may have a part in it"
        text = f"{text} They also differ in {phrases.listed(pair.also)}{part}."
    subject = f"{language} in {'+'.join(pair.full.mixture)}: {pair.full.name} against {pair.without.name}"
    return SecondOrderFinding(subject, word, text)


def _below_noise(study: Study) -> list[str]:
    """One sentence for all mixtures: it says the same of each."""
    paired = {pair.full for pair in twins(study)}
    below = [system for system in meta_systems(study) if _is_below(study, system)]
    groups = ([system for system in below if (system in paired) is has_twin] for has_twin in (True, False))
    return [
        below_noise_sentence([_share(study, system) for system in group], have_twins=group[0] in paired)
        for group in groups
        if group
    ]


def _is_below(study: Study, system: System) -> bool:
    settings = settings_of(study, system)
    return settings is not None and verdict_word(settings, terms_of(study, system)) == "below noise"


def _share(study: Study, system: System) -> Share:
    terms = terms_of(study, system)
    second_order, noise = over_seeds(terms, second_order_share), over_seeds(terms, noise_share)
    # A term that is exactly zero has no ratio.
    return Share(_name(study, system), second_order.mean if second_order else 0.0, noise.mean if noise else 0.0)


def _skipped(study: Study) -> list[str]:
    found = []
    for system in meta_systems(study):
        counts = [terms.skipped for terms in terms_of(study, system).values()]
        if any(counts):
            found.append((_name(study, system), sum(counts), sum(map(bool, counts)), len(counts)))
    return [skipped_sentence(found)] if found else []


def _name(study: Study, system: System) -> str:
    return system.name if len(study.mixtures) == 1 else f"{system.name} in {'+'.join(system.mixture)}"


def _range(values: Sequence[float]) -> str:
    ends = list(dict.fromkeys(numbers.share_of(value) for value in (min(values), max(values))))
    return " to ".join(ends)
