"""The meta-gradient against an exact one, written separately: double backward through the inner step, in float64."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from detente.batches import MaskedBatch
from detente.encoder import Encoder
from detente.errors import TrainingError
from detente.pretrain.meta import meta_gradient
from detente.settings import AdapterSettings, EncoderSettings
from detente.treatment import TREATMENTS, TreatedEncoder, treat

VOCABULARY, LENGTH = 61, 16
BETA = 0.05
# Central differences err by the third derivative times (0.01 / ||v||)^2: see the convergence test below.
CENTRAL_FLOAT64, CENTRAL_FLOAT32 = 5e-4, 1e-3
# Codes that occur inside module names: a substring test on names would hit other languages' adapters.
LANGUAGES = ("te", "da", "li", "ig")


def make_treated(dtype: torch.dtype, dropout: float = 0.0, variant: str = "modern") -> TreatedEncoder:
    settings = EncoderSettings(
        variant=variant, layers=2, width=24, heads=2, feed_forward_width=40, dropout=dropout, attention_dropout=dropout
    )
    encoder = Encoder(settings, VOCABULARY, block_length=LENGTH, seed=3).to(dtype)
    # GELU: with ReLU the finite differences cross kinks, and the exact gradient is no longer their limit.
    treated = treat(encoder, TREATMENTS["meta-adapter"], LANGUAGES, AdapterSettings(activation="gelu"), seed=4)
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for _, parameter in treated.named_parameters():
            # Away from initialisation, where up-projections are zero and half of the terms vanish.
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random, dtype=torch.float64).to(dtype))
    return treated


def make_batch(language: str, seed: int) -> MaskedBatch:
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY, (6, LENGTH), generator=random)
    positions = torch.stack([torch.randperm(LENGTH, generator=random)[:3].sort().values for _ in range(6)])
    targets = torch.randint(VOCABULARY, (6, 3), generator=random)
    return MaskedBatch(language, tokens, positions, targets, seed=seed)


def batches() -> tuple[MaskedBatch, dict[str, MaskedBatch]]:
    return make_batch("te", 1), {language: make_batch(language, 10 + i) for i, language in enumerate(LANGUAGES)}


def exact_gradient(
    treated: TreatedEncoder, train: MaskedBatch, held_out: dict[str, MaskedBatch], beta: float
) -> dict[str, torch.Tensor]:
    """d/dphi_i of the mean held-out loss at theta - beta grad_theta L_train^i(theta, phi_i), by autograd through the step."""

    def loss(theta: dict[str, torch.Tensor], phi: dict[str, torch.Tensor], batch: MaskedBatch) -> torch.Tensor:
        torch.manual_seed(batch.seed)
        index = LANGUAGES.index(batch.language)
        logits = functional_call(treated.encoder, {**theta, **phi}, (batch.tokens, index, batch.positions))
        return F.cross_entropy(logits.reshape(-1, VOCABULARY), batch.targets.reshape(-1))

    theta, phi = treated.shared, treated.specific
    with sdpa_kernel(SDPBackend.MATH):
        inner = torch.autograd.grad(loss(theta, phi[train.language], train), list(theta.values()), create_graph=True)
        moved = {name: p - beta * g for (name, p), g in zip(theta.items(), inner, strict=True)}
        outer = sum(loss(moved, phi[j], batch) for j, batch in held_out.items()) / len(held_out)
        wanted = phi[train.language]
        return dict(zip(wanted, torch.autograd.grad(outer, list(wanted.values())), strict=True))


def relative_error(actual: list[torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    difference = torch.cat([(a.double() - e).flatten() for a, e in zip(actual, expected.values(), strict=True)])
    return float(difference.norm() / torch.cat([e.flatten() for e in expected.values()]).norm())


def second_order_error(treated: TreatedEncoder, epsilon: float, beta: float = BETA) -> float:
    """Relative error of the second-order term alone."""
    train, held_out = batches()
    found = meta_gradient(treated, train, held_out, beta=beta, epsilon=epsilon)
    exact = exact_gradient(treated, train, held_out, beta)
    expected = {name: found.direct[name] - exact[name] for name in exact}
    return relative_error([found.second_order[name] for name in exact], expected)


@pytest.mark.parametrize("variant", ["modern", "xlm"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_whole_gradient_in_float64(variant: str, dropout: float) -> None:
    treated = make_treated(torch.float64, dropout, variant)
    train, held_out = batches()
    found = meta_gradient(treated, train, held_out, beta=BETA, epsilon=1e-4)
    assert relative_error(found.total(), exact_gradient(treated, train, held_out, BETA)) < 1e-6


def test_second_order_term_at_the_default_epsilon() -> None:
    assert second_order_error(make_treated(torch.float64), 0.01) < CENTRAL_FLOAT64


def test_second_order_term_in_float32() -> None:
    treated, reference = make_treated(torch.float32), make_treated(torch.float64)
    train, held_out = batches()
    found = meta_gradient(treated, train, held_out, beta=BETA)
    with torch.no_grad():
        for (_, to), (_, source) in zip(reference.named_parameters(), treated.named_parameters(), strict=True):
            to.copy_(source)
    assert relative_error(found.total(), exact_gradient(reference, train, held_out, BETA)) < CENTRAL_FLOAT32


def test_central_differences_converge_quadratically() -> None:
    treated = make_treated(torch.float64)
    coarse, fine = second_order_error(treated, 0.04), second_order_error(treated, 0.02)
    assert coarse / fine == pytest.approx(4.0, rel=0.05)


def test_second_order_term_is_not_negligible_here() -> None:
    """So the tests above see it: without it the whole gradient is wrong by more than their tolerance."""
    train, held_out = batches()
    norms = meta_gradient(make_treated(torch.float64), train, held_out, beta=BETA).norms()
    assert norms["second_order_norm"] > 0.01 * norms["direct_norm"]


def test_other_dropout_masks_would_be_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap of method 5.1 is real, and this test sees it when stepped into."""
    treated = make_treated(torch.float64, dropout=0.1)
    right = second_order_error(treated, 0.01)
    seeds = iter(range(1000, 2000))
    monkeypatch.setattr("detente.pretrain.meta._phi_gradient_at", _with_new_seed(seeds))
    assert right < 1e-3
    assert second_order_error(treated, 0.01) > 1.0


def _with_new_seed(seeds):
    from detente.pretrain.meta import _phi_gradient_at as original

    return lambda treated, train, v, step: original(treated, replace(train, seed=next(seeds)), v, step)


def test_theta_keeps_every_bit_and_nothing_has_a_gradient() -> None:
    treated = make_treated(torch.float32)
    before = {name: parameter.detach().clone() for name, parameter in treated.named_parameters()}
    train, held_out = batches()
    meta_gradient(treated, train, held_out, beta=BETA)
    for name, parameter in treated.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None


def test_zero_held_out_gradient_is_refused() -> None:
    treated = make_treated(torch.float64)
    train, held_out = batches()
    ignored = {j: replace(batch, targets=torch.full_like(batch.targets, 0)) for j, batch in held_out.items()}
    with torch.no_grad():
        for parameter in treated.shared.values():
            parameter.zero_()
        treated.shared["output_bias"][0] = 1e4
    with pytest.raises(
        TrainingError, match=r"norm of the held-out gradient v of te, da, li, ig is 0\.0: the meta step of te"
    ):
        meta_gradient(treated, train, ignored, beta=BETA)
