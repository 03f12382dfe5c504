"""The rules of what to do next: each a sentence, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from detente.report import numbers, phrases
from detente.report.statistics import Estimate, Word, seeds_needed, word_for

FEWEST_SEEDS = 3
MOST_SEEDS = 30
"""Of a difference that takes more to tell from none, nobody should wait for the seeds."""


@dataclass(frozen=True)
class Situation:
    """What the advice on one mixture depends on."""

    seeds: int
    stuck: tuple[str, ...] = ()
    """Languages with a run on the unigram plateau."""
    differences: Mapping[str, Estimate] = field(default_factory=dict)
    """Language -> interference, of those that have learned."""
    remedies: Mapping[str, str] = field(default_factory=dict)
    """Language -> the treatment that is better than untreated beyond doubt, and best."""
    has_treatments: bool = False
    capacity: tuple[str, ...] = ()
    """Languages that the shared adapter, which is capacity alone, helps."""
    company: Mapping[str, str] = field(default_factory=dict)
    """Language -> whom it should be kept apart from: the one that hurts it most in pairs, beyond doubt."""
    less_text: tuple[str, ...] = ()
    """Languages that the mixture was shown less of than mono."""

    def languages(self, word: Word) -> list[str]:
        """Those that the numbers say it of."""
        return [label for label, difference in self.differences.items() if word_for(difference) == word]


def next_steps(now: Situation) -> tuple[str, ...]:
    """What to do next, the most needed first."""
    return tuple(
        step
        for step in (_train_longer(now), _seeds(now), *_treat(now), _capacity(now), _group(now), _text(now), _done(now))
        if step
    )


def _train_longer(now: Situation) -> str:
    return (
        f"Train longer: not every run of {phrases.names(now.stuck)} has left the unigram plateau." if now.stuck else ""
    )


def _seeds(now: Situation) -> str:
    if now.seeds < FEWEST_SEEDS:
        return f"Run more seeds: {phrases.seeds(FEWEST_SEEDS)} or more give an interval that is worth something."
    parts, hopeless = [], []
    for label in now.languages("cannot tell"):
        difference, name = now.differences[label], phrases.name(label)
        needed = seeds_needed(difference, MOST_SEEDS)
        if difference.low is None:
            parts.append(name)
        elif needed is None:
            hopeless.append(name)
        else:
            parts.append(f"{name} (about {needed}, if it stays at {numbers.difference(difference.mean)})")
    more = f"Run more seeds for {phrases.listed(parts)}." if parts else ""
    settled = (
        f"For {phrases.listed(hopeless)} more seeds are no help: it would take over {MOST_SEEDS} to tell so small a difference from none."
        if hopeless
        else ""
    )
    return " ".join(filter(None, (more, settled)))


def _treat(now: Situation) -> list[str]:
    hurt = now.languages("hurt")
    by_remedy: dict[str, list[str]] = {}
    for label in hurt:
        if label in now.remedies:
            by_remedy.setdefault(now.remedies[label], []).append(label)
    left = [label for label in hurt if label not in now.remedies]
    steps = [
        f"Use {remedy} for {phrases.names(labels)}: of what was tried it recovers most."
        for remedy, labels in by_remedy.items()
    ]
    if left and now.has_treatments:
        steps.append(
            f"No treatment helps {phrases.names(left)} beyond doubt: try a larger model, or drop or group languages."
        )
    elif left:
        steps.append(f"Try treatments for {phrases.names(left)}: the study has none for this mixture.")
    return steps


def _capacity(now: Situation) -> str:
    if not now.capacity:
        return ""
    return f"Try a larger model: the shared adapter, which is capacity alone, helps {phrases.names(now.capacity)}."


def _group(now: Situation) -> str:
    hurt = set(now.languages("hurt"))
    apart = [
        f"{phrases.name(label)} apart from {phrases.name(other)}"
        for label, other in now.company.items()
        if label in hurt
    ]
    return f"Try other groups: {phrases.listed(apart)}, the company that hurts most in pairs." if apart else ""


def _text(now: Situation) -> str:
    hurt = [label for label in now.languages("hurt") if label in now.less_text]
    return f"Rule out that {phrases.names(hurt)} lost for want of text: `budget: examples`." if hurt else ""


def _done(now: Situation) -> str:
    words = [word_for(difference) for difference in now.differences.values()]
    if now.stuck or not words or set(words) != {"helped"}:
        return ""
    return "Train them together: no language is hurt, and there is nothing to treat."
