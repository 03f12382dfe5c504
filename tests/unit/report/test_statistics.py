"""Intervals against scipy and closed forms; words from intervals."""

import math

import numpy as np
import pytest
from scipy import stats

from detente.report.statistics import Estimate, estimate, paired_differences, ratio, word_for

VALUES = [2.11, 2.05, 2.19, 2.08]


def test_interval_is_students() -> None:
    found = estimate(VALUES)
    low, high = stats.t.interval(0.95, len(VALUES) - 1, np.mean(VALUES), stats.sem(VALUES))
    assert (found.mean, found.low, found.high, found.seeds) == pytest.approx((np.mean(VALUES), low, high, 4), rel=1e-12)


def test_two_seeds_in_closed_form() -> None:
    # With one degree of freedom t is tan(0.475 pi), and the standard error half the distance.
    assert estimate([1.0, 1.2]).half_width == pytest.approx(math.tan(0.475 * math.pi) * 0.1, rel=1e-9)


def test_one_seed_has_no_interval() -> None:
    assert estimate([1.5]) == Estimate(1.5, None, None, 1)
    assert estimate([1.5]).half_width is None


def test_values_that_are_not_finite_have_no_interval() -> None:
    found = estimate([1.0, math.inf, 2.0])
    assert math.isnan(found.mean)
    assert (found.low, found.high, word_for(found)) == (None, None, "cannot tell")


def test_pairing_goes_by_seed() -> None:
    differences = paired_differences({3: 2.5, 1: 2.0, 7: 9.0}, {1: 1.5, 3: 1.0, 2: 0.0})
    assert differences == {1: 0.5, 3: 1.5}


def test_paired_interval_agrees_with_the_paired_t_test() -> None:
    reference = [2.0, 2.1, 2.05, 1.98]
    low, high = stats.ttest_rel(VALUES, reference).confidence_interval(0.95)
    found = estimate([ours - theirs for ours, theirs in zip(VALUES, reference, strict=True)])
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


def test_fieller_bounds_are_where_the_difference_cannot_be_told_from_zero() -> None:
    gains, losses = [0.050, 0.061, 0.047], [0.100, 0.110, 0.095]
    share = ratio(gains, losses)
    assert share is not None
    for bound in (share.low, share.high):
        assert bound is not None
        left_over = [gain - bound * loss for gain, loss in zip(gains, losses, strict=True)]
        assert stats.ttest_1samp(left_over, 0.0).pvalue == pytest.approx(0.05, rel=1e-6)
    assert share.low < share.mean < share.high
    assert share.mean == pytest.approx(sum(gains) / sum(losses))


def test_fieller_of_an_exact_denominator_is_students() -> None:
    gains = [0.5, 0.6, 0.4]
    share, gain = ratio(gains, [2.0, 2.0, 2.0]), estimate(gains)
    assert share is not None
    assert (share.low, share.high) == pytest.approx((gain.low / 2, gain.high / 2))


@pytest.mark.parametrize("losses", [[0.1, -0.1, 0.05], [0.1]])
def test_no_share_of_a_loss_that_may_be_zero(losses: list[float]) -> None:
    assert ratio([0.05] * len(losses), losses) is None


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([0.10, 0.11, 0.12], "hurt"),
        ([-0.10, -0.11, -0.12], "helped"),
        ([0.10, -0.11, 0.12], "cannot tell"),
        ([0.50], "cannot tell"),
        ([0.1, 0.1], "hurt"),
        ([0.0, 0.0], "cannot tell"),
    ],
)
def test_word(differences: list[float], word: str) -> None:
    assert word_for(estimate(differences)) == word
