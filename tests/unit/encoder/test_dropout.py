"""Dropout from sixteen random bits an element."""

import pytest
import torch
from scipy.stats import binom

from detente.encoder.blocks import attend_with_cheap_masks
from detente.encoder.dropout import Dropout, drop, keep_mask

SIZE = 400_000


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.999])
def test_every_lane_of_the_words_is_dropped_with_the_probability_asked_for(p: float) -> None:
    """Four elements share a word: bounds of random_ that leave out the sign would bias one of them."""
    torch.manual_seed(0)
    dropped = keep_mask(torch.empty(SIZE), p) == 0
    for lane in range(4):
        number = int(dropped[lane::4].sum())
        low, high = binom.interval(0.9999, SIZE // 4, p)
        assert low <= number <= high


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_mean_is_kept_and_the_kept_are_scaled(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    found = drop(torch.ones(SIZE, dtype=dtype), 0.1)
    assert found.dtype == dtype
    assert found.double().mean().item() == pytest.approx(1.0, abs=5 * (0.1 / 0.9 / SIZE) ** 0.5 + 2e-3)
    kept = found[found != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / 0.9), rtol=4e-3, atol=0)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    dropped = (keep_mask(torch.empty(SIZE), 0.3) == 0).double()
    for distance in (1, 2, 3, 4, 8):
        together = float((dropped[distance:] * dropped[:-distance]).mean())
        assert together == pytest.approx(0.09, abs=0.003)


def test_the_gradient_passes_where_the_element_does() -> None:
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(3)
    found = drop(x, 0.4)
    torch.manual_seed(3)
    mask = keep_mask(x, 0.4)
    (gradient,) = torch.autograd.grad(found.square().sum(), x)
    torch.testing.assert_close(gradient, 2 * x.detach() * mask.square())


def test_nothing_is_drawn_outside_training() -> None:
    module, x = Dropout(0.5), torch.randn(6)
    state = torch.get_rng_state()
    assert module.eval()(x) is x
    assert Dropout(0.0).train()(x) is x
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_torchs_where_nothing_is_dropped(masked: bool) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, dtype=torch.float64) for n in (4, 6, 6))
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])[:, None, None] if masked else None
    found = attend_with_cheap_masks(q, k, v, attn_mask=mask, dropout_p=0.0)
    torch.testing.assert_close(found, torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask))
