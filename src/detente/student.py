"""How many standard errors a 95 % interval of a mean reaches."""

from scipy.special import stdtrit

CONFIDENCE = 0.95


def student_t(count: int) -> float:
    """Two-sided critical value for the mean of `count` values."""
    return float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2))
