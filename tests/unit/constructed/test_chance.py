import random
from collections import Counter

import pytest

from detente.corpus.constructed.chance import Weighted, favourites, stable_fraction, stable_random, zipfian


def test_stable_chance_is_pinned():
    assert stable_fraction("shared", "animal-3") == 0.5595639030796011
    assert stable_random("a", 1).random() == 0.8925914333714378


def test_parts_are_kept_apart():
    assert stable_fraction("ab", "c") != stable_fraction("a", "bc")


def test_draws_follow_the_weights():
    rng = random.Random(0)
    counts = Counter(Weighted("abc", (5, 3, 2)).draw(rng) for _ in range(20_000))
    # Standard error of each share is below 0.004.
    assert [counts[item] / 20_000 for item in "abc"] == pytest.approx([0.5, 0.3, 0.2], abs=0.015)


def test_zipfian_weights_fall_as_one_over_rank():
    rng = random.Random(0)
    counts = Counter(zipfian("abcd").draw(rng) for _ in range(20_000))
    assert counts["a"] / counts["d"] == pytest.approx(4, rel=0.1)


def test_favourites_are_distinct_and_early_items_come_first_more_often():
    rng = random.Random(0)
    firsts = Counter(favourites(rng, "abcdef", 3)[0] for _ in range(5000))
    assert firsts["a"] > firsts["b"] > firsts["f"] > 0
    assert all(len(set(favourites(rng, "abcdef", 4))) == 4 for _ in range(50))
