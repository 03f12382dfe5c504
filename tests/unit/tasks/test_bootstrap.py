"""Intervals against closed forms and slow second versions, and how often they hold the truth."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from detente.tasks import bootstrap
from detente.tasks.bootstrap import (
    Interval,
    Resampling,
    Tally,
    draw_examples,
    interval_over_seeds,
    intervals,
    paired_interval,
    paired_interval_over_seeds,
)
from detente.tasks.predictions import Header, collect_predictions
from detente.tasks.scores import tally

MANY = Resampling(resamples=20_000)


def tally_of(values: Sequence[float] | np.ndarray) -> Tally:
    """Of a mean."""
    return Tally(np.asarray(values, float), np.ones(len(values)))


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None and interval.high is not None
    return interval.low, interval.high


def random_sentences(random: np.random.Generator, sentences: int) -> tuple[list[list[str]], list[list[str]]]:
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    gold = [[str(tag) for tag in random.choice(tags, size=random.integers(1, 9))] for _ in range(sentences)]
    predicted = [[tag if random.random() < 0.8 else "O" for tag in sentence] for sentence in gold]
    return gold, predicted


def test_entity_f1_is_seqevals_on_the_drawn_sentences() -> None:
    gold, predicted = random_sentences(np.random.default_rng(1), 60)
    header = Header(task="ner", language="sw", model="m", source="sw", setting="within", seed=1)
    rows = [{"words": g, "gold": g, "predicted": p} for g, p in zip(gold, predicted, strict=True)]
    resampling = Resampling(resamples=40)

    found = intervals([tally(collect_predictions(header, rows))["f1"]], resampling)[0]

    slow = [
        100 * f1_score([gold[i] for i in drawn], [predicted[i] for i in drawn], mode="strict", scheme=IOB2)
        for indices in draw_examples(60, resampling)
        for drawn in indices
    ]
    assert len(set(slow)) > 30
    assert found.value == pytest.approx(100 * f1_score(gold, predicted, mode="strict", scheme=IOB2))
    assert ends(found) == pytest.approx(np.quantile(slow, [0.025, 0.975]))


def test_accuracy_is_binomial() -> None:
    right = np.arange(400) < 320
    found = intervals([tally_of(right)], MANY)[0]
    exact = 100 * stats.binom.ppf([0.025, 0.975], 400, 0.8) / 400
    # One answer is 0.25 %.
    assert ends(found) == pytest.approx(exact, abs=0.26)
    assert found.value == 80


def test_a_mean_is_nearly_normal() -> None:
    values = np.random.default_rng(2).beta(2, 1, size=500)
    found = intervals([tally_of(values)], MANY)[0]
    assert ends(found) == pytest.approx(
        100 * (values.mean() + np.array([-1.96, 1.96]) * values.std() / 500**0.5), abs=0.15
    )


def test_confidence_is_the_share_inside() -> None:
    right = tally_of(np.arange(400) < 200)
    exact = 100 * stats.binom.ppf([0.16, 0.84], 400, 0.5) / 400
    assert ends(intervals([right], Resampling(20_000, confidence=0.68))[0]) == pytest.approx(exact, abs=0.26)


def test_a_paired_difference_is_nearly_normal() -> None:
    random = np.random.default_rng(3)
    first = random.random(600)
    second = first + random.normal(0.02, 0.1, size=600)
    difference = second - first
    found = paired_interval(tally_of(second), tally_of(first), MANY)
    error = difference.std() / 600**0.5
    assert found.value == pytest.approx(100 * difference.mean())
    assert ends(found) == pytest.approx(100 * (difference.mean() + np.array([-1.96, 1.96]) * error), abs=0.03)
    # The two go up and down together: unpaired, the interval would hold zero.
    alone = [ends(each) for each in intervals([tally_of(second), tally_of(first)], MANY)]
    assert ends(found)[0] > 0
    assert alone[0][0] < alone[1][1]


def test_systems_that_agree_do_not_differ() -> None:
    same = tally_of([1, 0, 0, 1, 1])
    assert paired_interval(same, same) == Interval(0, 0, 0)


def test_metrics_share_the_resamples() -> None:
    values = np.random.default_rng(4).random(50)
    together = intervals([tally_of(values), tally_of(1 - values)])
    assert together == [intervals([tally_of(values)])[0], intervals([tally_of(1 - values)])[0]]
    assert ends(together[0])[0] == pytest.approx(100 - ends(together[1])[1])


def test_the_seed_decides() -> None:
    values = tally_of(np.random.default_rng(5).random(50))
    assert intervals([values], Resampling(seed=1)) == intervals([values], Resampling(seed=1))
    assert intervals([values], Resampling(seed=1)) != intervals([values], Resampling(seed=2))


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    resampling = Resampling(resamples=10)
    whole = np.concatenate(list(draw_examples(7, resampling)))
    monkeypatch.setattr(bootstrap, "_BLOCK_NUMBERS", 21)
    blocks = list(draw_examples(7, resampling))
    assert [len(block) for block in blocks] == [3, 3, 3, 1]
    assert np.array_equal(np.concatenate(blocks), whole)
    assert set(np.unique(whole)) == set(range(7))


def test_seeds_that_agree_add_nothing() -> None:
    values = tally_of(np.random.default_rng(6).random(80))
    over_seeds, alone = interval_over_seeds([values] * 3), intervals([values])[0]
    assert ends(over_seeds) == pytest.approx(ends(alone))
    assert over_seeds.value == pytest.approx(alone.value)


def test_examples_that_agree_leave_the_seeds() -> None:
    means = [0.5, 0.6, 0.62, 0.9]
    found = interval_over_seeds([tally_of([mean] * 5) for mean in means], MANY)
    every = [100 * np.mean(drawn) for drawn in itertools.product(means, repeat=4)]
    assert found.value == pytest.approx(65.5)
    assert ends(found) == pytest.approx(np.quantile(every, [0.025, 0.975]), abs=0.5)


def test_seeds_and_examples_as_a_slow_second_version() -> None:
    random = np.random.default_rng(7)
    words = random.integers(1, 20, size=40)
    right = np.stack([random.binomial(words, quality) for quality in (0.6, 0.7, 0.8)])
    found = interval_over_seeds([Tally(each.astype(float), words.astype(float)) for each in right], MANY)

    means = []
    for _ in range(10_000):
        seeds, drawn = random.integers(3, size=3), random.integers(40, size=40)
        means.append(np.mean([100 * right[seed][drawn].sum() / words[drawn].sum() for seed in seeds]))
    assert ends(found) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.6)


def test_differences_are_paired_by_seed() -> None:
    random = np.random.default_rng(8)
    seconds = [tally_of(random.random(100) * quality) for quality in (0.3, 0.6, 0.9)]
    firsts = [tally_of(each.numerators + 0.01) for each in seconds]
    found = paired_interval_over_seeds(firsts, seconds)
    assert (found.value, *ends(found)) == pytest.approx((1, 1, 1))
    assert ends(interval_over_seeds(firsts))[0] < ends(interval_over_seeds(firsts))[1] - 10


def test_one_seed_has_no_interval() -> None:
    one = tally_of([1, 0])
    assert interval_over_seeds([one]) == Interval(50, None, None)
    assert paired_interval_over_seeds([one], [one]) == Interval(0, None, None)


def test_nothing_to_count_is_zero() -> None:
    nothing = Tally(np.zeros(4), np.zeros(4))
    assert nothing.value == 0
    # Half of the resamples of two examples lack the only entity once each.
    once = intervals([Tally(np.array([2.0, 0.0]), np.array([2.0, 0.0]))])[0]
    assert (once.value, once.low, once.high) == (100, 0, 100)


def test_tallies_of_different_examples_are_refused() -> None:
    with pytest.raises(AssertionError, match="same examples"):
        intervals([tally_of([1, 0]), tally_of([1, 0, 1])])
    with pytest.raises(AssertionError, match="one pair of numbers"):
        Tally(np.ones(2), np.ones(3))
    with pytest.raises(AssertionError, match="a score needs an example"):
        tally_of([])


def test_coverage_of_an_accuracy() -> None:
    """400 test sets of 150 examples; the standard error of the share is 1.1 %."""
    random = np.random.default_rng(9)
    sets = [tally_of(random.random(150) < 0.7) for _ in range(400)]
    found = [ends(each) for each in intervals(sets, Resampling(resamples=500))]
    assert 0.92 <= np.mean([low <= 70 <= high for low, high in found]) <= 0.975


def test_coverage_over_seeds() -> None:
    """200 studies of 8 seeds that differ by 5 points, on 150 examples of their own; somewhat below 95 %, as documented."""
    random = np.random.default_rng(10)
    inside = 0
    for _ in range(200):
        qualities = random.normal(0.7, 0.05, size=8)
        tallies = [tally_of(random.random(150) < quality) for quality in qualities]
        low, high = ends(interval_over_seeds(tallies, Resampling(resamples=200)))
        inside += low <= 70 <= high
    assert 0.87 <= inside / 200 <= 0.98
