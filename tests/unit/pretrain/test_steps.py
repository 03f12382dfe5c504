"""Plain and meta step: which parameters move, by which gradient, in which order."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from detente.batches import SpecialTokens, TrainBatches
from detente.encoder import Encoder
from detente.errors import TrainingError
from detente.pretrain import meta as meta_module
from detente.pretrain.meta import MetaStep, meta_gradient
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.plain import PlainStep
from detente.settings import BatchSettings, EncoderSettings, MetaSettings, TrainingSettings
from detente.treatment import TREATMENTS, TreatedEncoder, treat

LANGUAGES = ("te", "da", "en")
VOCABULARY = 40
SPECIAL = SpecialTokens(VOCABULARY, 4, frozenset(range(5)))
SETTINGS = TrainingSettings(steps=10, warmup_steps=0, learning_rate=1e-3)
CPU = torch.device("cpu")


def make_treated(treatment: str = "adapter", dropout: float = 0.1) -> TreatedEncoder:
    settings = EncoderSettings(
        layers=2, width=16, heads=2, feed_forward_width=24, dropout=dropout, language_embedding=True
    )
    encoder = Encoder(settings, VOCABULARY, block_length=8, num_languages=3, seed=1)
    return treat(encoder, TREATMENTS[treatment], LANGUAGES, seed=2)


def make_batches(accumulation: int = 1, blocks: int = 4) -> TrainBatches:
    tokens = {label: np.random.default_rng(i).integers(5, VOCABULARY, size=300) for i, label in enumerate(LANGUAGES)}
    return TrainBatches(
        tokens, BatchSettings(block_length=8, blocks=blocks), SPECIAL, seed=3, meta=tokens, accumulation=accumulation
    )


def make_updater(treated: TreatedEncoder, settings: TrainingSettings = SETTINGS) -> Updater:
    return Updater(build_optimizer(treated, settings), settings, settings.steps)


def snapshot(treated: TreatedEncoder) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in treated.named_parameters()}


def moved(treated: TreatedEncoder, before: dict[str, Tensor]) -> set[str]:
    return {name for name, parameter in treated.named_parameters() if not torch.equal(parameter, before[name])}


def owner(name: str) -> str:
    """`shared`, or the language that owns the parameter."""
    kind, rest = name.split("/", 1)
    return kind if kind == "shared" else rest.split("/", 1)[0]


@pytest.mark.parametrize(
    "make_step", [PlainStep, lambda *parts: MetaStep(*parts, MetaSettings())], ids=["plain", "meta"]
)
def test_only_theta_and_the_languages_own_phi_move(make_step: Callable) -> None:
    treated, batches = make_treated(), make_batches()
    step = make_step(treated, batches, make_updater(treated), CPU)
    for number in range(6):
        language = batches.draws[number][0]
        before = snapshot(treated)
        report = step(number)
        assert {owner(name) for name in moved(treated, before)} == {"shared", language}
        assert set(report.loss) == {language}
        assert report.tokens == 32
        assert all(parameter.grad is None for _, parameter in treated.named_parameters())


def test_a_plain_step_follows_the_training_gradient() -> None:
    treated, batches = make_treated(), make_batches()
    (batch,) = batches.train(0)
    reference = {name: parameter.detach().clone().requires_grad_() for name, parameter in treated.named_parameters()}
    theta = {name.removeprefix("shared/"): p for name, p in reference.items() if owner(name) == "shared"}
    prefix = f"specific/{batch.language}/"
    phi = {name.removeprefix(prefix): p for name, p in reference.items() if name.startswith(prefix)}
    loss = masked_lm_loss(treated, batch, shared=theta, specific=phi)
    loss.backward()
    with_gradient = [p for p in reference.values() if p.grad is not None]
    torch.nn.utils.clip_grad_norm_(with_gradient, SETTINGS.clip)
    groups = [
        {"params": [p for p in with_gradient if p.dim() >= 2], "weight_decay": SETTINGS.weight_decay},
        {"params": [p for p in with_gradient if p.dim() < 2], "weight_decay": 0.0},
    ]
    report = PlainStep(treated, batches, make_updater(treated), CPU)(0)
    torch.optim.AdamW(groups, lr=report.learning_rate, betas=SETTINGS.betas, eps=SETTINGS.eps).step()
    assert report.loss[batch.language] == pytest.approx(loss.item())
    for name, parameter in treated.named_parameters():
        torch.testing.assert_close(parameter.detach(), reference[name].detach(), rtol=1e-5, atol=1e-6)


def test_accumulation_is_the_mean_over_microbatches() -> None:
    treated = make_treated(dropout=0.0)
    batches = make_batches(accumulation=3)
    theta = list(treated.shared.values())
    losses = [masked_lm_loss(treated, batch) for batch in batches.train(0)]
    gradients = [torch.autograd.grad(loss, theta, retain_graph=True, materialize_grads=True) for loss in losses]
    expected = [torch.stack(parts).mean(0) for parts in zip(*gradients, strict=True)]
    seen: dict[str, list[Tensor]] = {}
    updater = make_updater(treated)

    def catch(number: int, parameters, found) -> float:
        pairs = dict(zip(parameters, found, strict=True))
        seen["theta"] = [pairs[p] for p in theta]
        return 0.0

    updater.apply = catch
    report = PlainStep(treated, batches, updater, CPU)(0)
    torch.testing.assert_close(seen["theta"], expected, rtol=1e-5, atol=1e-7)
    assert report.tokens == 3 * 32


def test_the_meta_step_updates_phi_first_then_theta_at_the_new_phi(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source's order (algorithm 1, lines 6 and 7), phi by the meta-gradient with beta the current rate."""
    treated, batches = make_treated(dropout=0.0), make_batches()
    (batch,) = batches.train(0)
    held_out = {language: batches.meta(0, language) for language in LANGUAGES}
    expected = meta_gradient(treated, batch, held_out, beta=make_updater(treated).rate(0)).total()
    updater = make_updater(treated)
    calls: list[tuple[list[str], list[Tensor]]] = []
    names = {parameter: name for name, parameter in treated.named_parameters()}
    apply = updater.apply

    def watch(number: int, parameters, gradients) -> float:
        parameters, gradients = list(parameters), list(gradients)
        calls.append(([owner(names[p]) for p in parameters], [g.clone() for g in gradients]))
        norm = apply(number, parameters, gradients)
        if len(calls) == 1:
            theta = list(treated.shared.values())
            loss = masked_lm_loss(treated, batch)
            calls.append((["expected"], list(torch.autograd.grad(loss, theta, materialize_grads=True))))
        return norm

    monkeypatch.setattr(updater, "apply", watch)
    MetaStep(treated, batches, updater, CPU, MetaSettings())(0)
    (phi_owners, phi_gradients), (_, theta_expected), (theta_owners, theta_gradients) = calls
    assert set(phi_owners) == {batch.language}
    assert set(theta_owners) == {"shared"}
    torch.testing.assert_close(phi_gradients, expected)
    torch.testing.assert_close(theta_gradients, theta_expected)


def test_each_phi_is_updated_once_a_step_by_the_mean_over_its_microbatches() -> None:
    treated, batches = make_treated(dropout=0.0), make_batches(accumulation=6)
    train = list(batches.train(0))
    held_out = {language: batches.meta(0, language) for language in LANGUAGES}
    updater = make_updater(treated)
    found = [(b.language, meta_gradient(treated, b, held_out, beta=updater.rate(0)).total()) for b in train]
    names = {parameter: name for name, parameter in treated.named_parameters()}
    seen: dict[str, list[Tensor]] = {}

    def catch(number: int, parameters, gradients) -> float:
        owners = {owner(names[p]) for p in parameters}
        assert len(owners) == 1
        assert owners.isdisjoint(seen), "one update each"
        seen[owners.pop()] = list(gradients)
        return 0.0

    updater.apply = catch
    MetaStep(treated, batches, updater, CPU, MetaSettings())(0)
    drawn = {batch.language for batch in train}
    assert set(seen) == {*drawn, "shared"}
    for language in drawn:
        own = [gradient for i, gradient in found if i == language]
        expected = [torch.stack(parts).mean(0) for parts in zip(*own, strict=True)]
        torch.testing.assert_close(seen[language], expected)


@pytest.mark.parametrize(
    "make_step", [PlainStep, lambda *parts: MetaStep(*parts, MetaSettings())], ids=["plain", "meta"]
)
def test_a_loss_that_is_not_finite_moves_nothing_and_is_named(make_step: Callable) -> None:
    treated, batches = make_treated(), make_batches()
    with torch.no_grad():
        treated.shared["output_bias"][7] = torch.nan
    before = snapshot(treated)
    step = make_step(treated, batches, make_updater(treated), CPU)
    language = batches.draws[2][0]
    with pytest.raises(
        TrainingError, match=rf"^step 2: the loss of {language} is not finite \(nan\)\. The last checkpoint"
    ):
        step(2)
    assert {name for name in moved(treated, before) if name != "shared/output_bias"} == set()


def test_every_language_validates_on_its_own_held_out_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    treated, batches = make_treated(), make_batches()
    seen: list[tuple[str, Tensor]] = []
    original = meta_module.masked_lm_loss

    def watch(model, batch, **rest):
        seen.append((batch.language, batch.tokens))
        return original(model, batch, **rest)

    monkeypatch.setattr(meta_module, "masked_lm_loss", watch)
    MetaStep(treated, batches, make_updater(treated), CPU, MetaSettings())(2)
    drawn = batches.draws[2][0]
    # g; a held-out pass for each language; two difference passes; theta's own.
    assert [language for language, _ in seen] == [drawn, *LANGUAGES, drawn, drawn, drawn]
    for language, tokens in seen[1:4]:
        assert torch.equal(tokens, batches.meta(2, language).tokens)


def test_a_fixed_beta_takes_the_place_of_the_learning_rate() -> None:
    norms = {}
    for beta in (None, 0.01):
        treated, batches = make_treated(dropout=0.0), make_batches()
        with torch.no_grad():
            for _, parameter in treated.named_parameters():
                parameter.add_(0.05)
        step = MetaStep(treated, batches, make_updater(treated), CPU, MetaSettings(beta=beta))
        norms[beta] = step(0).terms["second_order_norm"]
    # Linear in beta up to what theta' moves: the rate is 1e-3, ten times less.
    assert norms[0.01] / norms[None] == pytest.approx(10, rel=0.1)


def test_the_loss_is_a_pure_function_of_its_arguments() -> None:
    treated = make_treated()
    (batch,) = make_batches().train(0)
    first = masked_lm_loss(treated, batch)
    torch.rand(5)
    assert masked_lm_loss(treated, batch) == first
    treated.encoder.eval()
    assert masked_lm_loss(treated, batch) != first, "dropout is on in training"


def test_bf16_autocast_is_near_float32_and_keeps_float32_weights() -> None:
    losses = {}
    for precision in ("float32", "bf16"):
        treated, batches = make_treated(dropout=0.0), make_batches()
        settings = SETTINGS.model_copy(update={"precision": precision})
        step = PlainStep(treated, batches, make_updater(treated, settings), CPU)
        losses[precision] = [next(iter(step(number).loss.values())) for number in range(5)]
        assert all(parameter.dtype == torch.float32 for _, parameter in treated.named_parameters())
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.01)
    assert losses["bf16"] != losses["float32"]
