"""Count models against a slow version written from the formula."""

import math
from collections import Counter

import numpy as np
import pytest

import detente.baselines
from detente.baselines import count_baseline

END, SPECIAL = 2, (0, 1, 2)


def slow_baseline(train: list[int], test: list[int], size: int) -> tuple[float, float]:
    """Witten-Bell interpolation, one token at a time."""
    ordinary = [token for token in train if token not in SPECIAL]
    counts = Counter(ordinary)
    pairs = Counter((b, t) for b, t in zip([END, *train], train, strict=False) if t not in SPECIAL)

    def unigram(token: int) -> float:
        different = max(len(counts), 1)
        return (counts[token] + different / (size - len(SPECIAL))) / (len(ordinary) + different)

    def bigram(before: int, token: int) -> float:
        total = sum(n for (b, _), n in pairs.items() if b == before)
        different = max(sum(b == before for b, _ in pairs), 1)
        return (pairs[before, token] + different * unigram(token)) / (total + different)

    targets = [(b, t) for b, t in zip([END, *test], test, strict=False) if t not in SPECIAL]
    return (
        -sum(math.log(unigram(t)) for _, t in targets) / len(targets),
        -sum(math.log(bigram(b, t)) for b, t in targets) / len(targets),
    )


def baseline(train: list[int], test: list[int], size: int) -> tuple[float, float]:
    found = count_baseline(
        np.array(train, dtype="<u2"), np.array(test, dtype="<u2"), vocabulary_size=size, special_ids=SPECIAL, end_id=END
    )
    return found.unigram, found.bigram


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_formula(seed: int) -> None:
    random = np.random.default_rng(seed)
    train = random.zipf(1.4, 600).clip(2, 39).tolist()
    test = random.zipf(1.4, 200).clip(2, 39).tolist()
    assert baseline(train, test, 40) == pytest.approx(slow_baseline(train, test, 40), rel=1e-12)


def test_pinned_value() -> None:
    # Train: a b a b </s>; test: a b </s>. Uniform over the two: P(a) = (2 + 2/2) / (4 + 2) = 1/2 = P(b).
    # After </s> (the start) only a: (1 + 1/2) / (1 + 1) = 3/4. After a only b: (2 + 1/2) / (2 + 1) = 5/6.
    unigram, bigram = baseline([3, 4, 3, 4, END], [3, 4, END], 5)
    assert unigram == pytest.approx(math.log(2))
    assert bigram == pytest.approx(-(math.log(3 / 4) + math.log(5 / 6)) / 2)


def test_nothing_is_infinite() -> None:
    """Tokens and contexts that were never seen still have a probability."""
    found = baseline([3, 4, 3, END], [9, 8, 7, END, 9], 10)
    assert all(math.isfinite(nats) for nats in found)


def test_no_training_text_leaves_the_uniform_distribution() -> None:
    assert baseline([], [3, 4, 5], 10) == pytest.approx((math.log(7), math.log(7)))


@pytest.mark.parametrize("before", [END, 3, 9])
def test_probabilities_sum_to_one(before: int) -> None:
    train = [3, 4, 3, 5, END, 3, 3, 0, 6, END, 9, 4]
    size = 12
    total = 0.0
    for target in range(3, size):
        both, alone = baseline(train, [before, target], size), baseline(train, [before], size) if before > END else None
        # The mean over one or two targets gives back the probability of the last.
        nats = both[1] if alone is None else 2 * both[1] - alone[1]
        total += math.exp(-nats)
    assert total == pytest.approx(1)


def test_a_predictable_language_has_a_lower_bigram() -> None:
    cycle = list(range(3, 30)) * 40
    unigram, bigram = baseline(cycle, cycle[:270], 30)
    assert unigram == pytest.approx(math.log(27), abs=0.01)
    # 40 sightings against one unit of backing off: P = (40 + 1/27) / 41, and the first token follows a context unseen but once.
    assert bigram < 0.05


def test_two_and_four_byte_ids_agree() -> None:
    random = np.random.default_rng(1)
    train, test = (random.integers(2, 3000, 5000) for _ in range(2))
    narrow, wide = (
        count_baseline(train.astype(t), test.astype(t), vocabulary_size=70_000, special_ids=SPECIAL, end_id=END)
        for t in ("<u2", "<u4")
    )
    assert narrow == wide


def test_long_streams_are_sampled_over_their_whole_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus grouped by source: the head alone would miss the second half's tokens."""
    monkeypatch.setattr(detente.baselines, "COUNTED_TOKENS", 4_000)
    monkeypatch.setattr(detente.baselines, "_SLICE", 100)
    grouped = [3] * 50_000 + [4] * 50_000
    unigram, _ = baseline(grouped, [3, 4] * 50, 5)
    assert unigram == pytest.approx(math.log(2), abs=0.01)


def test_without_targets_it_refuses() -> None:
    with pytest.raises(ValueError, match="no test tokens"):
        baseline([3, 4], [END, END], 5)
