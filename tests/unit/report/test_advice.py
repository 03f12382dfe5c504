"""What to do next, rule by rule."""

from statistics import fmean, stdev

import pytest

from detente.report.advice import Situation, next_steps
from detente.report.statistics import Estimate, estimate, seeds_needed

HURT, HELPED = estimate([0.10, 0.11, 0.12]), estimate([-0.10, -0.11, -0.12])
UNSURE = estimate([0.10, 0.02, 0.16])
HOPELESS = estimate([0.10, -0.11, 0.012])


@pytest.mark.parametrize(
    ("now", "steps"),
    [
        (Situation(seeds=1), ["Run more seeds: 3 seeds or more give an interval that is worth something."]),
        (
            Situation(seeds=3, stuck=("te",), differences={"en": HELPED}),
            ["Train longer: not every run of te has left the unigram plateau."],
        ),
        (
            Situation(seeds=3, differences={"en": UNSURE, "sw": HOPELESS}),
            [
                "Run more seeds for en (about 5, if it stays at +0.093). For sw more seeds are no help: it would take over 30 to tell so "
                "small a difference from none."
            ],
        ),
        (
            Situation(seeds=3, differences={"en": estimate([0.1])}),
            ["Run more seeds for en."],
        ),
        (
            Situation(seeds=3, differences={"en": HURT, "sw": HURT}),
            ["Try treatments for en and sw: the study has none for this mixture."],
        ),
        (
            Situation(seeds=3, differences={"en": HURT, "sw": HURT}, remedies={"en": "ffn", "te": "adapter"}, has_treatments=True),
            [
                "Use ffn for en: of what was tried it recovers most.",
                "No treatment helps sw beyond doubt: try a larger model, or drop or group languages.",
            ],
        ),
        (
            Situation(seeds=3, differences={"en": HURT}, remedies={"en": "ffn"}, has_treatments=True, capacity=("en",)),
            [
                "Use ffn for en: of what was tried it recovers most.",
                "Try a larger model: the shared adapter, which is capacity alone, helps en.",
            ],
        ),
        (
            Situation(seeds=3, differences={"en": HURT, "sw": HELPED}, company={"en": "te", "sw": "te"}, less_text=("en", "sw")),
            [
                "Try treatments for en: the study has none for this mixture.",
                "Try other groups: en apart from te, the company that hurts most in pairs.",
                "Rule out that en lost for want of text: `budget: examples`.",
            ],
        ),
        (
            Situation(seeds=3, differences={"en": HELPED}),
            ["Train them together: no language is hurt, and there is nothing to treat."],
        ),
    ],
)  # fmt: skip
def test_next_steps(now: Situation, steps: list[str]) -> None:
    assert list(next_steps(now)) == steps


def with_the_same_moments(values: list[float], count: int) -> list[float]:
    """As many numbers with the mean and the standard deviation of these."""
    line = [place - (count - 1) / 2 for place in range(count)]
    scale = stdev(values) / stdev(line)
    return [fmean(values) + scale * place for place in line]


@pytest.mark.parametrize("values", [[0.10, 0.02, 0.16], [-0.3, 0.05, -0.2, -0.4], [0.2, -0.1, 0.15]])
def test_so_many_seeds_tell_the_difference_and_one_less_does_not(values: list[float]) -> None:
    needed = seeds_needed(estimate(values), 100)
    assert needed is not None
    assert needed > len(values)
    for count in (needed, needed - 1):
        found = estimate(with_the_same_moments(values, count))
        assert (found.is_above_zero or found.is_below_zero) == (count == needed)


def test_no_number_of_seeds_tells_nothing_from_nothing() -> None:
    assert seeds_needed(estimate([0.1, -0.1]), 1000) is None
    assert seeds_needed(Estimate(0.1, None, None, 1), 1000) is None
