"""Parts of sentences that the rules of several verdicts share."""

from collections.abc import Sequence

from detente.report import numbers
from detente.report.statistics import Estimate


def evidence(difference: Estimate) -> str:
    """A difference that is clear of zero, with its interval."""
    return f"{_size(difference)} ({numbers.INTERVAL} {numbers.bounds(difference)}, {seeds(difference.seeds)})."


def doubt(difference: Estimate) -> str:
    """A difference that may be none, and why."""
    if difference.low is None:
        return f"{_size(difference)} from {seeds(difference.seeds)}, which gives no interval."
    return f"{_size(difference)}, and the {numbers.INTERVAL} holds zero ({numbers.bounds(difference)}, {seeds(difference.seeds)})."


def listed(labels: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(labels[:-1]), labels[-1]]) if len(labels) > 1 else "".join(labels)


def seeds(count: int) -> str:
    """3 seeds."""
    return f"{count} seed" if count == 1 else f"{count} seeds"


def _size(difference: Estimate) -> str:
    return f"{numbers.difference(difference.mean)} bits per character"
