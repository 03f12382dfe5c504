"""Several processes share the rows of one batch: whatever their number, it is the same batch and the same loss."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from detente.batches import IGNORED, WHOLE, MaskedBatch, Share, TrainBatches, rows_in
from detente.encoder import Encoder
from detente.errors import ConfigError
from detente.pretrain.objective import masked_lm_loss
from detente.settings import BatchSettings, EncoderSettings
from detente.treatment import TREATMENTS, TreatedEncoder, treat

Make = Callable[..., TrainBatches]
# Of float64 sums in another order.
REORDERED = 1e-12

world_sizes = pytest.mark.parametrize("world_size", [1, 2, 4])


@pytest.fixture
def shares_of(make_batches: Make) -> Callable[..., list[MaskedBatch]]:
    """The batch of a step as each process has it."""

    def shares(step: int, world_size: int, **changes: object) -> list[MaskedBatch]:
        every = [make_batches(share=Share(rank, world_size), **changes) for rank in range(world_size)]
        return [next(batches.train(step)) for batches in every]

    return shares


def few_ordinary_tokens() -> dict[str, np.ndarray]:
    """A stream in which most blocks have fewer ordinary tokens than targets, and some have none."""
    random = np.random.default_rng(5)
    tokens = random.integers(5, 100, size=1000)
    tokens[random.random(1000) < np.linspace(0.3, 1.0, 1000)] = 2
    return {"te": tokens.astype(np.uint16)}


def model() -> TreatedEncoder:
    settings = EncoderSettings(layers=2, width=16, heads=2, feed_forward_width=24, dropout=0.0)
    encoder = Encoder(settings, 100, block_length=8, num_languages=2, seed=1).double()
    return treat(encoder, TREATMENTS["meta-adapter"], ("en", "te"), seed=2)


def gathered(parts: list[MaskedBatch], name: str) -> Tensor:
    """Rows of all processes, put back into the order of the whole batch."""
    rows = sum(len(getattr(part, name)) for part in parts)
    whole = torch.empty(rows, *getattr(parts[0], name).shape[1:], dtype=torch.int64)
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = getattr(part, name)
    return whole


def assert_makes_up(parts: list[MaskedBatch], whole: MaskedBatch) -> None:
    for name in ("tokens", "positions", "targets"):
        assert torch.equal(gathered(parts, name), getattr(whole, name))
    for part in parts:
        assert (part.language, part.number, part.row_targets) == (whole.language, whole.number, whole.row_targets)
        assert (part.num_targets, part.num_tokens) == (whole.num_targets, whole.num_tokens)


@world_sizes
@pytest.mark.parametrize("blocks", [4, 7])
def test_the_whole_batch_is_the_same_for_every_number_of_processes(
    shares_of: Callable, world_size: int, blocks: int
) -> None:
    for step in range(5):
        (whole,) = shares_of(step, 1, blocks=blocks)
        parts = shares_of(step, world_size, blocks=blocks)
        assert_makes_up(parts, whole)
        assert len({part.seed for part in parts}) == world_size, "each process draws its own dropout"
        assert parts[0].seed == whole.seed


@world_sizes
@pytest.mark.parametrize("rows", [4, 5, 7])
def test_a_split_parts_the_whole_batch_at_one_place(shares_of: Callable, world_size: int, rows: int) -> None:
    """Of 8 rows; 7 leaves a rest in which some processes have none."""
    (whole,) = shares_of(0, 1, blocks=8, tokens=few_ordinary_tokens())
    parts = shares_of(0, world_size, blocks=8, tokens=few_ordinary_tokens())
    split = [part.split(rows) for part in parts]
    for name in ("tokens", "positions", "targets"):
        assert torch.equal(gathered([first for first, _ in split], name), getattr(whole, name)[:rows])
    first_whole, rest_whole = whole.split(rows)
    assert torch.equal(rest_whole.tokens, whole.tokens[rows:])
    for part, (first, rest) in zip(parts, split, strict=True):
        assert (first.row_targets, rest.row_targets) == (whole.row_targets[:rows], whole.row_targets[rows:])
        assert (first.num_targets, rest.num_targets) == (first_whole.num_targets, rest_whole.num_targets)
        assert first.num_targets + rest.num_targets == whole.num_targets
        assert torch.equal(torch.cat([first.targets, rest.targets]), part.targets)
        assert first.seed == part.seed != rest.seed, "the rest is another pass, with masks of its own"
    assert sum(len(rest.tokens) for _, rest in split) == 8 - rows


def test_a_split_at_the_end_leaves_nothing(shares_of: Callable) -> None:
    (whole,) = shares_of(0, 1)
    assert whole.split(4) == (whole, None)
    assert whole.split(9) == (whole, None)


@world_sizes
@pytest.mark.parametrize("blocks", [8, 5])
@pytest.mark.parametrize("few", [False, True])
def test_the_losses_of_the_processes_add_up_to_that_of_one(
    shares_of: Callable, world_size: int, blocks: int, few: bool
) -> None:
    kind = {"blocks": blocks, **({"tokens": few_ordinary_tokens()} if few else {})}
    treated = model()
    for step in range(4):
        (whole,) = shares_of(step, 1, **kind)
        logits = treated.logits(whole.language, whole.tokens, whole.positions)
        kept = whole.targets != IGNORED
        assert bool(kept.all()) != few, "rows have targets to spare, or too few"
        expected = -logits.log_softmax(-1)[kept].gather(-1, whole.targets[kept][:, None]).mean()
        losses = [masked_lm_loss(treated, part) for part in shares_of(step, world_size, **kind)]
        assert sum(losses).item() == pytest.approx(expected.item(), rel=REORDERED)


@world_sizes
def test_gradients_add_up_where_a_process_has_no_row(shares_of: Callable, world_size: int) -> None:
    treated = model()
    theta = list(treated.shared.values())
    rests = [part.split(4)[1] for part in shares_of(0, world_size, blocks=5)]
    (whole,) = [part.split(4)[1] for part in shares_of(0, 1, blocks=5)]
    assert sorted(len(rest.tokens) for rest in rests) == [0] * (world_size - 1) + [1]
    expected = torch.autograd.grad(masked_lm_loss(treated, whole), theta, materialize_grads=True)
    found = [torch.autograd.grad(masked_lm_loss(treated, rest), theta, materialize_grads=True) for rest in rests]
    for parts, one in zip(zip(*found, strict=True), expected, strict=True):
        torch.testing.assert_close(sum(parts), one, rtol=REORDERED, atol=1e-15)


def test_a_batch_without_any_target_has_no_loss(shares_of: Callable) -> None:
    (batch,) = shares_of(0, 1, tokens={"te": np.full(400, 2, dtype=np.uint16)})
    assert batch.num_targets == 1
    assert masked_lm_loss(model(), batch).item() == 0.0


@pytest.mark.parametrize(("fraction", "expected"), [(1.0, 10), (0.5, 5), (0.25, 2), (0.19, 2), (0.1, 1), (0.001, 1)])
def test_rows_in_a_share_of_a_batch(fraction: float, expected: int) -> None:
    assert rows_in(fraction, BatchSettings(blocks=10), WHOLE, setting="meta.inner_fraction") == expected


def test_a_share_with_fewer_rows_than_processes_is_refused(make_batches: Make) -> None:
    assert rows_in(0.4, BatchSettings(blocks=10), Share(0, 4), setting="meta.inner_fraction") == 4
    with pytest.raises(ConfigError) as caught:
        rows_in(0.25, BatchSettings(blocks=12), Share(0, 4), setting="meta.inner_fraction")
    assert str(caught.value) == (
        "`meta.inner_fraction` of 12 blocks is 3, fewer than the 4 processes. Raise it or `batches.blocks`."
    )
    with pytest.raises(ConfigError, match=r"`batches.blocks` of 4 blocks is 4, fewer than the 5 processes"):
        make_batches(share=Share(0, 5))
