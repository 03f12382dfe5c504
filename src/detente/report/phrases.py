"""Parts of sentences that the rules of several verdicts share."""

import unicodedata
from collections.abc import Sequence

from detente.report import numbers
from detente.report.statistics import Estimate

ISOLATE, END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


def evidence(difference: Estimate) -> str:
    """A difference that is clear of zero, with its interval."""
    return f"{_size(difference)} ({numbers.INTERVAL} {numbers.bounds(difference)}, {seeds(difference.seeds)})."


def doubt(difference: Estimate) -> str:
    """A difference that may be none, and why."""
    if difference.low is None:
        return f"{_size(difference)} from {seeds(difference.seeds)}, which gives no interval."
    return f"{_size(difference)}, and the {numbers.INTERVAL} holds zero ({numbers.bounds(difference)}, {seeds(difference.seeds)})."


def name(label: str) -> str:
    """A language in a sentence: one that is written from right to left must not turn round what stands beside it."""
    is_turned = any(unicodedata.bidirectional(character) in ("R", "AL") for character in label)
    return f"{ISOLATE}{label}{END}" if is_turned else label


def mixture_name(mixture: Sequence[str]) -> str:
    """en+sw."""
    return "+".join(map(name, mixture))


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def names(labels: Sequence[str]) -> str:
    """Languages, listed."""
    return listed([name(label) for label in labels])


def seeds(count: int) -> str:
    """3 seeds."""
    return f"{count} seed" if count == 1 else f"{count} seeds"


def _size(difference: Estimate) -> str:
    return f"{numbers.difference(difference.mean)} bits per character"
