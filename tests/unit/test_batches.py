"""Batches: a pure function of (seed, step, rank, world), masked 80/10/10, drawn by temperature."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detente.batches import (
    DRAWS_AT_ONCE,
    IGNORED,
    BlockStream,
    LanguageDraws,
    MaskedBatch,
    SpecialTokens,
    TrainBatches,
    evaluation_batches,
    mask_blocks,
    sampling_probabilities,
)
from detente.errors import ConfigError, DataError
from detente.settings import BatchSettings

SPECIAL = SpecialTokens(size=100, mask_id=4, special_ids=frozenset(range(5)))
SETTINGS = BatchSettings(block_length=8, blocks=4, temperature=1.0)


def token_stream(seed: int, length: int = 1000) -> np.ndarray:
    tokens = np.random.default_rng(seed).integers(5, 100, size=length).astype(np.uint16)
    tokens[9::10] = 2
    return tokens


TRAIN = {"en": token_stream(1), "te": token_stream(2, 400)}


def make_batches(**changes: object) -> TrainBatches:
    return TrainBatches(TRAIN, SETTINGS, SPECIAL, **{"seed": 7, "meta": TRAIN, **changes})


def assert_same(a: MaskedBatch, b: MaskedBatch) -> None:
    assert (a.language, a.seed) == (b.language, b.seed)
    assert torch.equal(a.tokens, b.tokens)
    assert torch.equal(a.positions, b.positions)
    assert torch.equal(a.targets, b.targets)


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    straight = [batch for step in range(20) for batch in make_batches().train(step)]
    resumed = [batch for step in reversed(range(20)) for batch in make_batches().train(step)]
    for a, b in zip(straight, reversed(resumed), strict=True):
        assert_same(a, b)
    (other,) = make_batches(seed=8).train(0)
    assert not torch.equal(other.tokens, straight[0].tokens)


@pytest.mark.parametrize("world_size", [2, 4])
def test_the_global_batch_is_the_same_for_every_world_size(world_size: int) -> None:
    for step in range(5):
        (whole,) = make_batches().train(step)
        parts = [next(make_batches(rank=r, world_size=world_size).train(step)) for r in range(world_size)]
        assert torch.equal(torch.cat([part.tokens for part in parts]), whole.tokens)
        assert torch.equal(torch.cat([part.targets for part in parts]), whole.targets)
        assert len({part.seed for part in parts}) == world_size, "each rank draws its own dropout"


def test_the_kth_batch_of_a_language_is_the_same_in_every_mixture() -> None:
    joint = [b for step in range(30) for b in make_batches().train(step) if b.language == "te"]
    mono = TrainBatches({"te": TRAIN["te"]}, SETTINGS, SPECIAL, seed=7)
    for step, batch in enumerate(joint):
        assert_same(batch, next(mono.train(step)))


def test_meta_batches_are_not_the_training_batches() -> None:
    batches = make_batches()
    (train,) = TrainBatches({"en": TRAIN["en"]}, SETTINGS, SPECIAL, seed=7).train(0)
    assert not torch.equal(batches.meta(0, "en").tokens, train.tokens)


def test_an_epoch_shows_every_block_once_then_cuts_anew() -> None:
    tokens = np.arange(5 + 8 * 10, dtype=np.uint16)
    stream = BlockStream(tokens, 8, "en", "train", seed=1)
    assert stream.blocks_in_epoch == 9
    first, second = stream.blocks(0, 9), stream.blocks(9, 9)
    assert np.unique(first).size == 72
    assert np.unique(second).size == 72
    assert not np.array_equal(first, second)
    assert all(np.array_equal(np.diff(block), np.ones(7)) for block in first), "blocks are runs of the stream"


def test_masking_is_80_10_10_on_100000_targets() -> None:
    blocks = np.random.default_rng(0).integers(5, 100, size=(6700, 100))
    masked, positions, targets = mask_blocks(blocks, SPECIAL, 0.15, np.random.default_rng(1))
    chosen = np.take_along_axis(masked, positions, axis=1)
    assert targets.size == 100_500
    assert (chosen == SPECIAL.mask_id).mean() == pytest.approx(0.8, abs=0.01)
    # A random token is the old one once in 95 times.
    assert (chosen == targets).mean() == pytest.approx(0.1 + 0.1 / 95, abs=0.01)
    untouched = np.ones(blocks.shape, dtype=bool)
    np.put_along_axis(untouched, positions, False, axis=1)
    assert np.array_equal(masked[untouched], blocks[untouched])
    assert np.array_equal(targets, np.take_along_axis(blocks, positions, axis=1))
    counts = np.bincount(positions.ravel(), minlength=100)
    assert counts.min() > 0.85 * counts.mean(), "every position is picked equally often"


@given(st.integers(0, 2**32), st.floats(0.01, 0.99), st.floats(0, 1))
def test_special_tokens_are_never_targets(seed: int, rate: float, special_share: float) -> None:
    random = np.random.default_rng(seed)
    blocks = random.integers(5, 100, size=(3, 16))
    blocks[random.random(blocks.shape) < special_share] = 2
    masked, positions, targets = mask_blocks(blocks, SPECIAL, rate, random)
    assert np.array_equal(masked[blocks == 2], blocks[blocks == 2])
    assert not np.isin(targets, list(SPECIAL.special_ids)).any()
    is_target = targets != IGNORED
    assert is_target.sum(axis=1).tolist() == np.minimum(positions.shape[1], (blocks != 2).sum(axis=1)).tolist()


def test_probabilities_follow_the_temperature() -> None:
    sizes = {"en": np.zeros(900, dtype=np.uint16), "te": np.zeros(100, dtype=np.uint16)}
    assert sampling_probabilities(sizes, 1.0) == pytest.approx((0.9, 0.1))
    assert sampling_probabilities(sizes, 2.0) == pytest.approx((0.75, 0.25))
    assert sampling_probabilities(sizes, 1e9) == pytest.approx((0.5, 0.5))


def test_languages_are_drawn_with_their_probabilities() -> None:
    draws = LanguageDraws(("en", "te"), (0.75, 0.25), seed=3)
    number = 3 * DRAWS_AT_ONCE + 17
    drawn = [draws[m] for m in range(number)]
    assert sum(language == "en" for language, _ in drawn) / number == pytest.approx(0.75, abs=0.02)
    for language in ("en", "te"):
        assert [before for drawn_one, before in drawn if drawn_one == language] == list(
            range(draws.counts(number)[language])
        )


@pytest.mark.parametrize("languages", [("en", "te"), ("en", "te", "da")])
def test_even_draws_show_each_language_once_a_round(languages: tuple[str, ...]) -> None:
    """Three does not divide the chunk of draws: rounds cross its border."""
    draws = LanguageDraws(languages, None, seed=3)
    number = len(languages)
    for start in (0, DRAWS_AT_ONCE // number * number, 2 * DRAWS_AT_ONCE // number * number):
        assert {draws[start + i][0] for i in range(number)} == set(languages)
    assert set(draws.counts(900 * number).values()) == {900}


def test_evaluation_masks_are_the_same_whoever_asks() -> None:
    def batches() -> list[MaskedBatch]:
        return list(evaluation_batches(TRAIN["en"], "en", "test", SETTINGS, SPECIAL, max_blocks=10))

    assert sum(len(batch.tokens) for batch in batches()) == 10
    for a, b in zip(batches(), batches(), strict=True):
        assert_same(a, b)


def test_a_final_score_covers_every_ordinary_token_once() -> None:
    batches = list(evaluation_batches(TRAIN["en"], "en", "test", SETTINGS, SPECIAL, max_blocks=10, every_token=True))
    targets = torch.cat([batch.targets.flatten() for batch in batches])
    expected = TRAIN["en"][: 10 * SETTINGS.block_length]
    expected = np.sort(expected[~np.isin(expected, list(SPECIAL.special_ids))])
    assert np.array_equal(targets[targets != IGNORED].sort().values.numpy(), expected)


def test_too_little_text_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"te: the train split has 15 tokens, fewer than two blocks of 8\. Add text"):
        TrainBatches({"te": token_stream(1, 15)}, SETTINGS, SPECIAL, seed=1)
    with pytest.raises(DataError, match=r"en: the test split has 7 tokens, fewer than one block of 8"):
        list(evaluation_batches(token_stream(1, 7), "en", "test", SETTINGS, SPECIAL, max_blocks=3))


def test_a_world_size_that_does_not_divide_the_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`batches.blocks` 4 is not a multiple of the 3 processes"):
        make_batches(world_size=3)
