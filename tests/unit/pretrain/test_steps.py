"""The plain step, and what it has in common with the meta step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from detente.errors import TrainingError
from detente.pretrain.objective import masked_lm_loss, summed_loss
from detente.settings import TrainingSettings

Make = Callable[..., Any]

STEPS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda parts: parts.plain_step(),
    "theta-after-phi": lambda parts: parts.meta_step(),
    "fused": lambda parts: parts.meta_step(order="fused"),
}

every_step = pytest.mark.parametrize("kind", STEPS)


@every_step
def test_only_theta_and_the_languages_own_phi_move(make_parts: Make, moved: Make, kind: str) -> None:
    parts = make_parts(dropout=0.1)
    step = STEPS[kind](parts)
    seen: set[str] = set()
    for number in range(8):
        language, before, moments = parts.language(number), parts.parameters(), parts.moments()
        report = step(number)
        seen.add(language)
        assert moved(before, parts.parameters()) == {"shared", language}
        assert set(report.loss) == {language}
        assert report.tokens == 64
        assert all(parameter.grad is None for _, parameter in parts.treated.named_parameters())
        for name, state in moments.items():
            is_own = name.startswith(("shared/", f"specific/{language}/"))
            assert (parts.moments()[name]["step"] == state["step"]) != is_own
            assert is_own or torch.equal(parts.moments()[name]["exp_avg"], state["exp_avg"])
        owners = {name.split("/")[1] for name in parts.moments() if name.startswith("specific/")}
        assert owners == seen, "languages not seen yet have no moments"
    assert seen == set(parts.languages)


@every_step
def test_a_loss_that_is_not_finite_moves_nothing_and_is_named(make_parts: Make, kind: str) -> None:
    parts = make_parts()
    with torch.no_grad():
        parts.treated.shared["output_bias"][7] = torch.nan
    before, language = parts.parameters(), parts.language(2)
    step = STEPS[kind](parts)
    with pytest.raises(
        TrainingError, match=rf"^step 2: the loss of {language} is not finite \(nan\)\. The last checkpoint"
    ):
        step(2)
    after = parts.parameters()
    assert all(torch.equal(after[name], before[name]) for name in after if name != "shared/output_bias")


def test_dropout_draws_what_torchs_own_seeding_would_give(make_parts: Make) -> None:
    parts = make_parts(dropout=0.3)
    (batch,) = parts.batches.train(0)
    before = torch.get_rng_state()
    found = masked_lm_loss(parts.treated, batch)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(batch.seed)
        expected = summed_loss(
            parts.treated.encoder,
            parts.treated.parameters_of(batch.language),
            language=torch.tensor(parts.languages.index(batch.language)),
            tokens=batch.tokens,
            positions=batch.positions,
            targets=batch.targets,
        )
    assert torch.equal(found, expected / batch.num_targets)


def test_a_plain_step_follows_the_training_gradient(make_parts: Make) -> None:
    parts = make_parts()
    (batch,) = parts.batches.train(0)
    theta, phi = (
        {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
        for parameters in (parts.treated.shared, parts.treated.specific[batch.language])
    )
    reference = [*theta.values(), *phi.values()]
    loss = parts.loss(batch, theta, phi)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(reference, parts.training.clip)
    groups = [
        {"params": [p for p in reference if p.dim() >= 2], "weight_decay": parts.training.weight_decay},
        {"params": [p for p in reference if p.dim() < 2], "weight_decay": 0.0},
    ]
    report = parts.plain_step()(0)
    torch.optim.AdamW(groups, lr=1e-2, betas=parts.training.betas, eps=parts.training.eps).step()
    assert report.learning_rate == pytest.approx(1e-2, rel=0.01)
    assert report.loss == {batch.language: pytest.approx(loss.item())}
    for found, expected in ((parts.treated.shared, theta), (parts.treated.specific[batch.language], phi)):
        for name, parameter in found.items():
            torch.testing.assert_close(parameter.detach(), expected[name].detach(), rtol=0, atol=1e-4)


def test_accumulation_is_the_mean_over_microbatches(make_parts: Make) -> None:
    parts = make_parts(accumulation=3)
    theta, phi = parts.treated.shared, parts.treated.specific
    losses = [parts.loss(batch, theta, phi[batch.language]) for batch in parts.batches.train(0)]
    expected = torch.autograd.grad(sum(losses) / 3, list(theta.values()))
    (seen,) = catch_gradients(parts, lambda: parts.plain_step()(0))
    for name, gradient in zip(theta, expected, strict=True):
        torch.testing.assert_close(seen[theta[name]], gradient)


def catch_gradients(parts: Any, run: Callable[[], Any]) -> list[dict[torch.nn.Parameter, torch.Tensor]]:
    """What reaches the updater, which is kept from applying it."""
    seen = []

    def catch(number: int, parameters: Any, gradients: Any, losses: Any) -> torch.Tensor:
        seen.append(dict(zip(parameters, gradients, strict=True)))
        return torch.tensor(0.0)

    parts.updater.apply = catch
    assert run().tokens == 3 * 64
    return seen


def test_the_loss_is_a_pure_function_of_its_arguments(make_parts: Make) -> None:
    parts = make_parts(dropout=0.1)
    (batch,) = parts.batches.train(0)
    first = masked_lm_loss(parts.treated, batch)
    torch.rand(5)
    assert masked_lm_loss(parts.treated, batch) == first
    parts.treated.encoder.eval()
    assert masked_lm_loss(parts.treated, batch) != first, "dropout is on in training"


@every_step
def test_bf16_autocast_is_near_float32_and_keeps_float32_weights(make_parts: Make, kind: str) -> None:
    losses = {}
    for precision in ("float32", "bf16"):
        training = TrainingSettings(steps=20, warmup_steps=0, learning_rate=1e-2, precision=precision)
        parts = make_parts(dtype=torch.float32, training=training)
        step = STEPS[kind](parts)
        losses[precision] = [next(iter(step(number).loss.values())) for number in range(5)]
        assert all(parameter.dtype == torch.float32 for _, parameter in parts.treated.named_parameters())
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bf16"] != losses["float32"]
