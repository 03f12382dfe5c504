"""Training batches are a pure function of seed and step; a score's, of the text alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from detente.batches import IGNORED, MaskedBatch, SpecialTokens, TrainBatches, evaluation_batches
from detente.errors import DataError
from detente.settings import BatchSettings

Make = Callable[..., TrainBatches]
Streams = dict[str, np.ndarray]


def assert_same(a: MaskedBatch, b: MaskedBatch) -> None:
    assert (a.language, a.seed, a.number, a.row_targets) == (b.language, b.seed, b.number, b.row_targets)
    assert torch.equal(a.tokens, b.tokens)
    assert torch.equal(a.positions, b.positions)
    assert torch.equal(a.targets, b.targets)


def test_a_batch_depends_on_seed_and_step_alone(make_batches: Make) -> None:
    straight = [batch for step in range(20) for batch in make_batches().train(step)]
    resumed = [batch for step in reversed(range(20)) for batch in make_batches().train(step)]
    for a, b in zip(straight, reversed(resumed), strict=True):
        assert_same(a, b)
    (other,) = make_batches(seed=8).train(0)
    assert not torch.equal(other.tokens, straight[0].tokens)


def test_the_kth_batch_of_a_language_is_the_same_in_every_mixture(make_batches: Make, streams: Streams) -> None:
    joint = [b for step in range(30) for b in make_batches().train(step) if b.language == "te"]
    mono = make_batches({"te": streams["te"]})
    assert len(joint) > 3
    for step, batch in enumerate(joint):
        assert batch.number == step
        assert_same(batch, next(mono.train(step)))


@pytest.mark.parametrize(("blocks", "expected"), [(4, 20 * 4 / 49), (7, 20 * 7 / 49)])
def test_epochs_count_blocks_seen_over_blocks_there_are(make_batches: Make, blocks: int, expected: float) -> None:
    batches = make_batches({"te": np.arange(400) % 90 + 5}, blocks, accumulation=2)
    assert batches.epochs(10) == {"te": pytest.approx(expected)}


def test_targets_are_counted_by_row(make_batches: Make, streams: Streams) -> None:
    """A block of special tokens has fewer targets than the others."""
    tokens = streams["te"].copy()
    tokens[::2] = tokens[1::4] = 2
    (batch,) = make_batches({"te": tokens}, 8).train(0)
    expected = (batch.targets != IGNORED).sum(dim=1).tolist()
    assert list(batch.row_targets) == expected
    assert batch.num_targets == sum(expected)
    assert batch.num_tokens == 8 * 8


def evaluated(streams: Streams, settings: BatchSettings, special: SpecialTokens, **kind: bool) -> list[MaskedBatch]:
    return list(evaluation_batches(streams["en"], "en", "test", settings, special, max_blocks=10, **kind))


def test_evaluation_masks_are_the_same_whoever_asks(
    streams: Streams, settings: BatchSettings, special: SpecialTokens
) -> None:
    once, again = (evaluated(streams, settings, special) for _ in range(2))
    assert sum(len(batch.tokens) for batch in once) == 10
    for a, b in zip(once, again, strict=True):
        assert_same(a, b)


def test_a_final_score_covers_every_ordinary_token_once(
    streams: Streams, settings: BatchSettings, special: SpecialTokens
) -> None:
    batches = evaluated(streams, settings, special, every_token=True)
    targets = torch.cat([batch.targets.flatten() for batch in batches])
    expected = streams["en"][: 10 * settings.block_length]
    expected = np.sort(expected[~np.isin(expected, list(special.special_ids))])
    assert np.array_equal(targets[targets != IGNORED].sort().values.numpy(), expected)
    assert sum(batch.num_targets for batch in batches) == len(expected)


def test_too_short_a_test_split_says_what_to_do(settings: BatchSettings, special: SpecialTokens) -> None:
    with pytest.raises(DataError, match=r"en: the test split has 7 tokens, fewer than one block of 8"):
        list(evaluation_batches(np.arange(7), "en", "test", settings, special, max_blocks=3))
