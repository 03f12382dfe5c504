"""What the numbers allow to say, in sentences. Every sentence of the page's verdict is made here, by rule."""

from collections.abc import Sequence
from dataclasses import dataclass

from detente.report import numbers, phrases
from detente.report.comparisons import Comparison, against_untreated, inconsistencies, interference, recovered
from detente.report.inventory import Study, System
from detente.report.meta_verdict import meta_cautions
from detente.report.statistics import Estimate, Word

# A mixture shown a share of mono's text between these is said to have seen as much.
SAME_EXPOSURE = (0.95, 1.05)


@dataclass(frozen=True)
class Finding:
    """One sentence or two on a mixture and a language."""

    mixture: tuple[str, ...]
    language: str
    word: Word
    """For the untreated mixture."""
    text: str
    treatments: str = ""
    """What the treatments do about it; empty without any."""


def findings(study: Study) -> tuple[Finding, ...]:
    """The verdict: for every mixture and language, what mixing does and which treatments help."""
    return tuple(_finding(study, mixture, language) for mixture in study.mixtures for language in mixture)


def cautions(study: Study) -> tuple[str, ...]:
    """What a reader must know before believing the findings."""
    return (*_missing(study), *_plateau(study), *_one_seed(study), *meta_cautions(study), *inconsistencies(study))


def interference_sentence(language: str, mixture: Sequence[str], comparison: Comparison | None) -> str:
    """What a mixture does to a language."""
    others = phrases.listed([label for label in mixture if label != language])
    if comparison is None:
        return f"Whether training with {others} hurts {language} is not known: a seed with both runs, mixed and mono, is missing."
    if not comparison.has_learned:
        return f"Whether training with {others} hurts {language}, we cannot tell: not all runs behind it have left the unigram plateau."
    if comparison.word == "cannot tell":
        return (
            f"Whether training with {others} hurts {language}, we cannot tell: {phrases.doubt(comparison.difference)}"
        )
    verb = "hurts" if comparison.word == "hurt" else "helps"
    return f"Training with {others} {verb} {language}: {phrases.evidence(comparison.difference)}"


def exposure_sentence(language: str, comparison: Comparison) -> str:
    """The part of a difference that may be due to less or more text rather than to the company."""
    low, high = SAME_EXPOSURE
    exposure, word = comparison.exposure, comparison.word
    if not exposure > 0:
        return ""
    if low <= exposure <= high:
        return f"Both were shown about the same amount of {language}."
    seen = f"The mixture was shown {_percent(exposure)} of the {language} that mono was"
    if exposure < low and word == "hurt":
        return f"{seen}, so part of the loss may be due to less text rather than to mixing."
    if exposure > high and word == "helped":
        return f"{seen}, so part of the gain may be due to more text rather than to mixing."
    return f"{seen}."


def treatments_sentence(language: str, compared: Sequence[tuple[str, Comparison | None, Estimate | None]]) -> str:
    """Treatments by what they do to the untreated mixture: name, comparison with it, recovered share."""
    known = [(name, comparison, share) for name, comparison, share in compared if comparison]
    better = sorted((entry for entry in known if entry[1].word == "helped"), key=lambda entry: entry[1].difference.mean)
    groups = {
        f"For {language}, better than untreated": [_gain(*entry) for entry in better],
        f"{'Worse' if better else f'For {language}, worse'} than untreated": _named(known, "hurt"),
        "Better or worse than untreated, we cannot tell": _named(known, "cannot tell"),
        "Missing": [name for name, comparison, _ in compared if not comparison],
    }
    return " ".join(f"{heading}: {', '.join(names)}." for heading, names in groups.items() if names)


def _named(known: Sequence[tuple[str, Comparison, Estimate | None]], word: Word) -> list[str]:
    return [name for name, comparison, _ in known if comparison.word == word]


def _finding(study: Study, mixture: tuple[str, ...], language: str) -> Finding:
    untreated = System(mixture, "none")
    if untreated not in study.by_system:
        text = f"The study has no untreated {'+'.join(mixture)}, so there is no verdict on mixing alone; the table of interference has the rest."
        return Finding(mixture, language, "cannot tell", text)
    comparison = interference(study, untreated, language)
    text = interference_sentence(language, mixture, comparison)
    if comparison and comparison.has_learned:
        text = f"{text} {exposure_sentence(language, comparison)}".strip()
    treated = [system for system in study.systems if system.mixture == mixture and not system.is_untreated]
    compared = [
        (system.name, against_untreated(study, system, language), recovered(study, system, language))
        for system in treated
    ]
    word = comparison.word if comparison else "cannot tell"
    return Finding(mixture, language, word, text, treatments_sentence(language, compared))


def _gain(name: str, comparison: Comparison, share: Estimate | None) -> str:
    change = f"{name} ({numbers.difference(comparison.difference.mean)}"
    return f"{change}, recovers {numbers.share(share)})" if share else f"{change})"


def _missing(study: Study) -> list[str]:
    num_missing = len(study.expected_gaps)
    if not num_missing:
        return []
    num_expected = num_missing + len(study.runs)
    verb = "is" if num_missing == 1 else "are"
    where = "not in the tables (missing, failed or unfinished) and listed below"
    return [f"{num_missing} of {num_expected} runs {verb} {where}."]


def _plateau(study: Study) -> list[str]:
    stuck = [run for run in study.runs if not all(result.has_learned for result in run.record.languages.values())]
    if not stuck:
        return []
    subject = "1 run has" if len(stuck) == 1 else f"{len(stuck)} runs have"
    return [
        f"{subject} not left the unigram plateau (test loss not below 0.9 of the unigram entropy): such a model has not "
        f"learned to use context yet. Nothing about interference follows from it; train longer. Marked {numbers.DAGGER}."
    ]


def _one_seed(study: Study) -> list[str]:
    most = max((len(runs) for runs in study.by_system.values()), default=0)
    return ["There is one seed, hence no interval and no verdict. Ask for three seeds or more."] if most == 1 else []


def _percent(value: float) -> str:
    return f"{100 * value:.0f}{numbers.PERCENT}"
