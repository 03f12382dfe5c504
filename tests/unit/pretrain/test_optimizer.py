"""The learning rate against its formulas, and an optimizer that moves only what has a gradient."""

import math

import pytest
import torch

from detente.encoder import Encoder
from detente.pretrain.optimizer import Updater, build_optimizer, learning_rate
from detente.settings import EncoderSettings, TrainingSettings
from detente.treatment import TREATMENTS, TreatedEncoder, treat

XLM = TrainingSettings(learning_rate=1e-4, schedule="inverse-sqrt", warmup_steps=30_000)
COSINE = TrainingSettings(learning_rate=2e-3, schedule="cosine", warmup_steps=10)


def small_treated() -> TreatedEncoder:
    settings = EncoderSettings(layers=1, width=8, heads=2, feed_forward_width=8)
    return treat(Encoder(settings, 20, block_length=8), TREATMENTS["adapter"], ("en", "te"))


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 1e-4 / 30_000), (14_999, 5e-5), (29_999, 1e-4), (119_999, 5e-5), (299_999, 1e-4 / math.sqrt(10))],
)
def test_inverse_square_root_schedule(step: int, expected: float) -> None:
    assert learning_rate(step, XLM, 500_000) == pytest.approx(expected)


@pytest.mark.parametrize(("step", "expected"), [(0, 2e-4), (9, 2e-3), (59, 1.1e-3), (109, 2e-4), (500, 2e-4)])
def test_cosine_schedule_ends_at_a_tenth(step: int, expected: float) -> None:
    assert learning_rate(step, COSINE, 110) == pytest.approx(expected)


def test_only_matrices_decay() -> None:
    optimizer = build_optimizer(small_treated(), TrainingSettings(weight_decay=0.1))
    for group in optimizer.param_groups:
        assert all((p.dim() >= 2) == (group["weight_decay"] > 0) for p in group["params"])


def test_an_update_moves_only_the_parameters_it_is_given() -> None:
    treated = small_treated()
    before = {name: p.detach().clone() for name, p in treated.named_parameters()}
    optimizer = build_optimizer(treated, COSINE)
    phi = list(treated.specific["te"].values())
    Updater(optimizer, COSINE, 100).apply(0, phi, [torch.ones_like(p) for p in phi])
    for name, parameter in treated.named_parameters():
        assert torch.equal(parameter, before[name]) != name.startswith("specific/te/")
    assert set(optimizer.state) == set(phi), "moments of languages not seen yet are not allocated"


def test_the_optimizer_looks_at_no_other_languages_parameters() -> None:
    treated = small_treated()
    optimizer = build_optimizer(treated, COSINE)
    before = [list(group["params"]) for group in optimizer.param_groups]
    seen: list[torch.nn.Parameter] = []
    optimizer.register_step_pre_hook(
        lambda opt, *_: seen.extend(p for group in opt.param_groups for p in group["params"])
    )
    updated = [*treated.shared.values(), *treated.specific["te"].values()]
    Updater(optimizer, COSINE, 100).apply(0, updated[::-1], [torch.ones_like(p) for p in updated[::-1]])
    assert seen == sorted(updated, key=lambda p: p.dim() < 2), "in its own order"
    assert all(p.grad is None for p in updated)
    assert [group["params"] for group in optimizer.param_groups] == before


def test_gradients_are_clipped_to_the_norm() -> None:
    treated = small_treated()
    (parameter,) = [treated.shared["output_bias"]]
    reference = parameter.detach().clone().requires_grad_()
    settings = TrainingSettings(clip=0.5, learning_rate=0.1, warmup_steps=0, schedule="inverse-sqrt")
    norm = Updater(build_optimizer(treated, settings), settings, 10).apply(0, [parameter], [torch.full((20,), 3.0)])
    assert norm.item() == pytest.approx(3.0 * math.sqrt(20))
    reference.grad = torch.full((20,), 0.5 / math.sqrt(20))
    rate = learning_rate(0, settings, 10)
    torch.optim.AdamW([reference], lr=rate, betas=settings.betas, eps=settings.eps, weight_decay=0).step()
    torch.testing.assert_close(parameter, reference)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_updates_nothing(bad: float) -> None:
    treated = small_treated()
    bias = treated.shared["output_bias"]
    updater = Updater(build_optimizer(treated, COSINE), COSINE, 10)
    updater.apply(2, [bias], [torch.full((20,), 1.0)])
    before = bias.detach().clone(), {name: moment.clone() for name, moment in updater.optimizer.state[bias].items()}
    norm = updater.apply(3, [bias], [torch.full((20,), bad)])
    assert torch.equal(bias, before[0])
    assert all(torch.equal(moment, before[1][name]) for name, moment in updater.optimizer.state[bias].items())
    assert bias.grad is None
    assert not math.isfinite(norm.item())
