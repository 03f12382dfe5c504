"""How numbers are printed."""

import math

import pytest

from detente.report import numbers
from detente.report.statistics import Estimate


def plain(text: str) -> str:
    """With ordinary signs, to read in a test."""
    for sign, ordinary in {"\N{NO-BREAK SPACE}": " ", "\N{MINUS SIGN}": "-", "\N{PLUS-MINUS SIGN}": "+-"}.items():
        text = text.replace(sign, ordinary)
    return text.replace("\N{MULTIPLICATION SIGN}", "x")


@pytest.mark.parametrize(
    ("mean", "arm", "text"),
    [
        (0.005, 0.0012, "0.50 +- 0.12 %"),
        (0.62, 0.08, "62 +- 8 %"),
        (0.000042, None, "0.0042 %"),
        (-0.021, 0.001, "-2.1 +- 0.1 %"),
        (115.2, None, "11,520 %"),
        (0.0, None, "0 %"),
        (math.nan, None, "not finite"),
    ],
)
def test_a_share_keeps_two_digits_of_its_mean(mean: float, arm: float | None, text: str) -> None:
    low, high = (None, None) if arm is None else (mean - arm, mean + arm)
    assert plain(numbers.percent(Estimate(mean, low, high, 3))) == text
    if arm is None:
        assert plain(numbers.share_of(mean)) == text


def test_cosines_have_a_sign_and_factors_one_decimal() -> None:
    assert plain(numbers.cosine(Estimate(-0.123, -0.2, -0.046, 3))) == "-0.12 +- 0.08"
    assert plain(numbers.cosine(Estimate(0.5, None, None, 1))) == "+0.50"
    assert [plain(numbers.times(value)) for value in (3.14, 31.4)] == ["3.1 x", "31 x"]
