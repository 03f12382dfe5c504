"""How numbers are printed: the same in every table and sentence."""

import math

from detente.report.statistics import Estimate

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
MINUS = "\N{MINUS SIGN}"
DAGGER = "\N{DAGGER}"
MISSING = "missing"
TIMES = "\N{MULTIPLICATION SIGN}"
PERCENT = "\N{NO-BREAK SPACE}%"
INTERVAL = f"95{PERCENT} interval"


def plain(estimate: Estimate) -> str:
    """1.234 with its interval."""
    return _with_interval(estimate, 3)


def points(estimate: Estimate) -> str:
    """Percent with one decimal, as scores of tasks are printed."""
    return _with_interval(estimate, 1)


def signed_points(estimate: Estimate) -> str:
    """A difference of `points`."""
    return _with_interval(estimate, 1, sign="+")


def signed(estimate: Estimate) -> str:
    """+0.034 with its interval."""
    return _with_interval(estimate, 3, sign="+")


def perplexity(estimate: Estimate) -> str:
    """Fewer decimals where the number is large."""
    return _with_interval(estimate, 2 if estimate.mean < 100 else 1 if estimate.mean < 1000 else 0)


def share(estimate: Estimate) -> str:
    """62 % with both ends, since the interval of a ratio is not symmetric."""
    text = f"{_minus(f'{100 * estimate.mean:.0f}')}{PERCENT}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{_minus(f'{100 * estimate.low:.0f}')}, {_minus(f'{100 * estimate.high:.0f}')}]"


def percent(estimate: Estimate) -> str:
    """0.50 +- 0.12 %, with two digits of the mean: it may be any share, tiny or large."""
    if not math.isfinite(estimate.mean):
        return "not finite"
    digits = _digits(100 * estimate.mean)
    half_width = estimate.half_width
    arm = "" if half_width is None else f" {PLUS_MINUS} {100 * half_width:,.{digits}f}"
    return f"{_minus(f'{100 * estimate.mean:,.{digits}f}')}{arm}{PERCENT}"


def share_of(value: float) -> str:
    """A share without its interval, with two digits."""
    return f"{100 * value:,.{_digits(100 * value)}f}{PERCENT}" if math.isfinite(value) else "not finite"


def cosine(estimate: Estimate) -> str:
    """+0.12 with its interval."""
    return _with_interval(estimate, 2, sign="+")


def score_difference(estimate: Estimate) -> str:
    """+2.1 points with its interval."""
    return _with_interval(estimate, 1, sign="+")


def times(value: float) -> str:
    """3.1 of something."""
    return f"{value:,.{1 if value < 10 else 0}f} {TIMES}"


def bounds(estimate: Estimate) -> str:
    """Both ends of a difference's interval, in words."""
    return f"{_minus(f'{estimate.low:+.3f}')} to {_minus(f'{estimate.high:+.3f}')}"


def difference(value: float) -> str:
    """A difference without its interval."""
    if not math.isfinite(value):
        return "not finite"
    return _minus(f"{value:+.3f}")


def count(value: float) -> str:
    """12,345."""
    return f"{value:,.0f}" if math.isfinite(value) else "not finite"


def amount(value: float) -> str:
    """Seconds, epochs: decimals only where they matter."""
    return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}" if abs(value) < 100 else count(value)


def mebibytes(value: float) -> str:
    """Of bytes."""
    return count(value / 2**20)


def _digits(value: float) -> int:
    """Decimals that leave two digits which are not leading zeros."""
    return min(6, max(0, 1 - math.floor(math.log10(abs(value))))) if value else 0


def _with_interval(estimate: Estimate, digits: int, sign: str = "") -> str:
    if not math.isfinite(estimate.mean):
        return "not finite"
    mean = _minus(f"{estimate.mean:{sign},.{digits}f}")
    half_width = estimate.half_width
    return mean if half_width is None else f"{mean} {PLUS_MINUS} {half_width:,.{digits}f}"


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
