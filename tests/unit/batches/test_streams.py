"""Blocks in an endless order; languages drawn by temperature or evenly."""

import numpy as np
import pytest

from detente.batches import BlockStream, LanguageDraws, sampling_probabilities
from detente.batches.streams import DRAWS_AT_ONCE
from detente.errors import DataError


def test_an_epoch_shows_every_block_once_then_cuts_anew() -> None:
    tokens = np.arange(5 + 8 * 10, dtype=np.uint16)
    stream = BlockStream(tokens, 8, "en", "train", seed=1)
    assert stream.blocks_in_epoch == 9
    first, second = stream.blocks(0, 9), stream.blocks(9, 9)
    assert np.unique(first).size == 72
    assert np.unique(second).size == 72
    assert not np.array_equal(first, second)
    assert all(np.array_equal(np.diff(block), np.ones(7)) for block in first), "blocks are runs of the stream"


@pytest.mark.parametrize(
    ("split", "remedy"),
    [
        ("train", "raise its share in `splits`"),
        ("meta", "raise `splits.meta`, set `meta.meta_split: train`"),
    ],
)
def test_too_little_text_says_what_to_do(split: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        BlockStream(np.arange(15), 8, "te", split, seed=1)
    assert str(caught.value) == (
        f"te: the {split} split has 15 tokens, fewer than two blocks of 8. Add text, {remedy}, or lower "
        "`batches.block_length`."
    )


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
