"""Which languages validate, with which weight, on which text."""

from collections import Counter

import numpy as np
import pytest
import torch

from detente.batches import WHOLE, HeldOutBatches, MaskedBatch, Share, SpecialTokens, TrainBatches
from detente.errors import ConfigError, DataError
from detente.settings import BatchSettings, MetaSettings

LANGUAGES = ("te", "da", "li", "ig", "en")
SPECIAL = SpecialTokens(size=100, mask_id=4, special_ids=frozenset(range(5)))
SETTINGS = BatchSettings(block_length=8, blocks=8)
# Steps of a statistical test, and its tolerance: four standard deviations of a mean weight.
STEPS = 1000
TOLERANCE = 0.045


def streams() -> dict[str, np.ndarray]:
    return {label: np.random.default_rng(i).integers(5, 100, size=600) for i, label in enumerate(LANGUAGES)}


def held_out(*, share: Share = WHOLE, seed: int = 7, **meta: object) -> HeldOutBatches:
    return HeldOutBatches(streams(), MetaSettings(**meta), SETTINGS, SPECIAL, seed=seed, share=share)


def weights(batches: HeldOutBatches, step: int, language: str) -> dict[str, float]:
    return {batch.language: weight for batch, weight in batches.validating(step, language)}


def same(a: MaskedBatch, b: MaskedBatch) -> bool:
    return torch.equal(a.tokens, b.tokens) and torch.equal(a.positions, b.positions)


@pytest.mark.parametrize("meta_languages", ["all", 5])
def test_all_languages_weigh_alike(meta_languages: str | int) -> None:
    assert weights(held_out(meta_languages=meta_languages), 3, "da") == dict.fromkeys(LANGUAGES, 1 / 5)


def test_others_are_all_but_the_trained_one() -> None:
    others = dict.fromkeys(("te", "li", "ig", "en"), 1 / 4)
    assert weights(held_out(meta_languages="others"), 3, "da") == others


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_number_of_languages_meets_the_mean_over_all_on_average(number: int) -> None:
    batches, totals, times = held_out(meta_languages=number, meta_fraction=0.1), Counter(), Counter()
    for step in range(STEPS):
        drawn = weights(batches, step, "da")
        assert len(drawn) == number
        assert drawn["da"] == 1 / 5, "only its own batch gives phi a direct gradient"
        assert sum(drawn.values()) == pytest.approx(1)
        totals.update(drawn)
        times.update(drawn.keys())
    for language in LANGUAGES:
        assert totals[language] / STEPS == pytest.approx(1 / 5, abs=TOLERANCE)
    assert len(set(times.values())) > 1, "drawn, not taken in turn"


def test_what_validates_depends_on_seed_step_and_language_alone() -> None:
    wanted = [(step, language) for step in range(30) for language in LANGUAGES]
    straight, resumed = held_out(meta_languages=2), held_out(meta_languages=2)
    found = {key: straight.validating(*key) for key in wanted}
    for key in reversed(wanted):
        for (batch, weight), (again, weight_again) in zip(found[key], resumed.validating(*key), strict=True):
            assert (batch.language, batch.seed, weight) == (again.language, again.seed, weight_again)
            assert same(batch, again)
    drawn = {key: tuple(batch.language for batch, _ in found[key]) for key in wanted}
    assert len({drawn[step, "te"] for step in range(30)}) == 4, "anew each step"
    other = held_out(meta_languages=2, seed=8)
    assert drawn != {key: tuple(weights(other, *key)) for key in wanted}


def test_each_step_has_another_batch_the_same_for_every_trained_language() -> None:
    batches = held_out()
    for step in range(3):
        of_step = [batches.validating(step, language) for language in LANGUAGES]
        for every in of_step[1:]:
            assert all(same(a.batch, b.batch) for a, b in zip(every, of_step[0], strict=True))
    assert not same(batches.of(0, "te"), batches.of(1, "te"))


@pytest.mark.parametrize(("fraction", "rows"), [(1.0, 8), (0.5, 4), (0.25, 2), (0.01, 1)])
def test_a_fraction_of_the_rows_validates(fraction: float, rows: int) -> None:
    for batch, _ in held_out(meta_fraction=fraction).validating(0, "te"):
        assert batch.tokens.shape == (rows, 8)
        assert len(batch.row_targets) == rows


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_share_the_rows(world_size: int) -> None:
    whole = held_out(meta_fraction=0.5).of(3, "te")
    for rank in range(world_size):
        part = held_out(meta_fraction=0.5, share=Share(rank, world_size)).of(3, "te")
        assert torch.equal(part.tokens, whole.tokens[rank::world_size])
        assert torch.equal(part.targets, whole.targets[rank::world_size])
        assert part.num_targets == whole.num_targets


def test_processes_draw_the_same_languages() -> None:
    one, other = (held_out(meta_languages=2, share=Share(rank, 2)) for rank in range(2))
    assert all(weights(one, step, "te") == weights(other, step, "te") for step in range(50))


def test_fewer_rows_than_processes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`meta.meta_fraction` of 8 blocks is 2, fewer than the 4 processes"):
        held_out(meta_fraction=0.25, share=Share(0, 4))


@pytest.mark.parametrize("split", ["meta", "train"])
def test_the_same_text_is_drawn_in_another_order_than_for_training(split: str) -> None:
    """From `train`, a batch would otherwise validate itself at the step at which it is trained on."""
    train = TrainBatches({"te": streams()["te"]}, SETTINGS, SPECIAL, seed=7)
    batches = held_out(meta_split=split)
    text = {tuple(block) for step in range(9) for block in next(train.train(step)).tokens.tolist()}
    for step in range(9):
        (trained,) = train.train(step)
        found = batches.of(step, "te")
        assert not same(found, trained)
        assert found.seed != trained.seed
        assert not text & {tuple(block) for block in found.tokens.tolist()}, "other cuts and masks"


def test_a_language_without_held_out_text_says_what_to_do() -> None:
    short = {**streams(), "li": np.arange(5, 20)}
    with pytest.raises(DataError) as caught:
        HeldOutBatches(short, MetaSettings(), SETTINGS, SPECIAL, seed=7)
    assert str(caught.value) == (
        "li: the meta split has 15 tokens, fewer than two blocks of 8. Add text, raise `splits.meta`, set "
        "`meta.meta_split: train`, or lower `batches.block_length`."
    )
