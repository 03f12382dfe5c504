"""The meta-gradient against an exact one, written separately: double backward through the inner step, in float64."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from detente.batches import HeldOut, MaskedBatch
from detente.encoder import Encoder
from detente.pretrain import meta_gradient as meta_module
from detente.pretrain.inner_rule import adam_rule, sgd_rule
from detente.pretrain.meta_gradient import MetaGradient, NoDirectionError, inner_pass, meta_gradient
from detente.pretrain.optimizer import build_optimizer
from detente.pretrain.second_order import Probe
from detente.settings import AdapterSettings, EncoderSettings, MetaSettings, TrainingSettings
from detente.treatment import TREATMENTS, TreatedEncoder, treat

VOCABULARY, LENGTH = 61, 16
BETA = 0.05
# Codes that occur inside module names: a substring test on names would hit other languages' adapters.
LANGUAGES = ("te", "da", "li", "ig")
# Of the whole gradient, relative, in float64. Central differences err by eps^2, one-sided ones by eps; both lose 1e-16 / eps.
FLOAT64 = {"exact": (0.01, 1e-9), "central": (1e-4, 1e-6), "one-sided": (1e-7, 1e-6), "none": (0.01, 1e-12)}
FLOAT32 = 1e-3
# Central differences of the second-order term alone, at the default epsilon.
CENTRAL_AT_DEFAULT = 5e-4
# bf16 autocast rounds v and d; h is taken in float32 in every case. Measured 0.007 to 0.011 over seeds 1 to 5.
BF16 = 0.02

Pairs = list[HeldOut]


def make_treated(
    dtype: torch.dtype, dropout: float = 0.0, variant: str = "modern", activation: str = "gelu"
) -> TreatedEncoder:
    settings = EncoderSettings(
        variant=variant,
        layers=2,
        width=24,
        heads=2,
        feed_forward_width=40,
        dropout=dropout,
        attention_dropout=dropout,
        language_embedding=True,
    )
    encoder = Encoder(settings, VOCABULARY, block_length=LENGTH, num_languages=len(LANGUAGES), seed=3).to(dtype)
    treated = treat(encoder, TREATMENTS["meta-adapter"], LANGUAGES, AdapterSettings(activation=activation), seed=4)
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for _, parameter in treated.named_parameters():
            # Away from initialisation, where up-projections are zero and half of the terms vanish.
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random, dtype=torch.float64).to(dtype))
    return treated


def in_float64(treated: TreatedEncoder, **kind: object) -> TreatedEncoder:
    """The same weights, so that only the arithmetic differs."""
    reference = make_treated(torch.float64, **kind)
    with torch.no_grad():
        for (_, to), (_, source) in zip(reference.named_parameters(), treated.named_parameters(), strict=True):
            to.copy_(source)
    return reference


def make_batch(language: str, seed: int, rows: int = 6) -> MaskedBatch:
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY, (rows, LENGTH), generator=random)
    positions = torch.stack([torch.randperm(LENGTH, generator=random)[:3].sort().values for _ in range(rows)])
    targets = torch.randint(VOCABULARY, (rows, 3), generator=random)
    return MaskedBatch(language, tokens, positions, targets, seed, row_targets=(3,) * rows)


def train_batch() -> MaskedBatch:
    return make_batch("te", 1)


def validating(languages: tuple[str, ...] = LANGUAGES) -> Pairs:
    # Weights that differ, so that a mean in their place is seen.
    return [HeldOut(make_batch(j, 10 + i), (1 + 0.5 * i) / len(languages)) for i, j in enumerate(languages)]


def exact_gradient(
    treated: TreatedEncoder,
    train: MaskedBatch,
    held_out: Pairs,
    beta: float = BETA,
    scale: dict[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """d/dphi_i of the weighted held-out loss at theta - beta P grad_theta L_train^i(theta, phi_i), by autograd through the step."""

    def loss(theta: dict[str, torch.Tensor], phi: dict[str, torch.Tensor], batch: MaskedBatch) -> torch.Tensor:
        torch.manual_seed(batch.seed)
        index = LANGUAGES.index(batch.language)
        logits = functional_call(treated.encoder, {**theta, **phi}, (batch.tokens, index, batch.positions))
        return F.cross_entropy(logits.reshape(-1, VOCABULARY), batch.targets.reshape(-1))

    theta, phi = treated.shared, treated.specific
    with sdpa_kernel(SDPBackend.MATH):
        inner = torch.autograd.grad(loss(theta, phi[train.language], train), list(theta.values()), create_graph=True)
        steps = {name: g if scale is None else scale[name] * g for name, g in zip(theta, inner, strict=True)}
        moved = {name: p - beta * steps[name] for name, p in theta.items()}
        outer = sum(weight * loss(moved, phi[batch.language], batch) for batch, weight in held_out)
        wanted = phi[train.language]
        return dict(zip(wanted, torch.autograd.grad(outer, list(wanted.values())), strict=True))


def found_gradient(
    treated: TreatedEncoder, train: MaskedBatch, held_out: Pairs, precision: str = "float32", **settings: object
) -> MetaGradient:
    chosen = MetaSettings(**settings)
    inner = inner_pass(treated, train, with_phi=chosen.second_order == "one-sided", precision=precision)
    return meta_gradient(treated, inner, held_out, beta=BETA, settings=chosen, precision=precision)


def relative_error(actual: list[torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    difference = torch.cat([(a.double() - e).flatten() for a, e in zip(actual, expected.values(), strict=True)])
    return float(difference.norm() / torch.cat([e.flatten() for e in expected.values()]).norm())


def second_order_error(treated: TreatedEncoder, train: MaskedBatch | None = None, **settings: object) -> float:
    """Relative error of the second-order term alone."""
    train, held_out = train or train_batch(), validating()
    found = found_gradient(treated, train, held_out, **settings)
    exact = exact_gradient(treated, train, held_out)
    expected = {name: found.direct[name] - exact[name] for name in exact}
    return relative_error([found.second_order[name] for name in exact], expected)


@pytest.mark.filterwarnings("ignore:.*math:UserWarning")
@pytest.mark.parametrize("languages", [LANGUAGES, LANGUAGES[1:], ("te", "ig")], ids=["all", "others", "two"])
@pytest.mark.parametrize(("variant", "dropout"), [("modern", 0.0), ("modern", 0.1), ("xlm", 0.1)])
@pytest.mark.parametrize("second_order", ["exact", "central", "one-sided"])
def test_whole_gradient_in_float64(second_order: str, variant: str, dropout: float, languages: tuple[str, ...]) -> None:
    treated = make_treated(torch.float64, dropout, variant)
    epsilon, tolerance = FLOAT64[second_order]
    found = found_gradient(treated, train_batch(), validating(languages), second_order=second_order, epsilon=epsilon)
    assert relative_error(found.total(), exact_gradient(treated, train_batch(), validating(languages))) < tolerance


def test_without_the_second_order_term_it_is_the_held_out_gradient_at_theta_prime() -> None:
    treated = make_treated(torch.float64, dropout=0.1)
    found = found_gradient(treated, train_batch(), validating(), second_order="none")
    with_it = found_gradient(treated, train_batch(), validating())
    assert found.second_order is None
    assert relative_error(found.total(), with_it.direct) < FLOAT64["none"][1]


@pytest.mark.parametrize("order", ["theta-after-phi", "fused"])
def test_the_order_of_updates_does_not_change_the_gradient(order: str) -> None:
    treated = make_treated(torch.float64, dropout=0.1)
    found = found_gradient(treated, train_batch(), validating(), order=order, epsilon=1e-4)
    assert relative_error(found.total(), exact_gradient(treated, train_batch(), validating())) < 1e-6


def trained_optimizer(treated: TreatedEncoder, steps: int) -> torch.optim.Optimizer:
    """AdamW after a few real updates by the losses of random batches; te's row of the language embedding has moved, ig's not."""
    optimizer = build_optimizer(treated, TrainingSettings(learning_rate=1e-3))
    for number in range(steps):
        batch = make_batch(("te", "da")[number % 2], 100 + number)
        passed = inner_pass(treated, batch, with_phi=True)
        for parameters, gradients in ((treated.shared, passed.theta), (treated.specific[batch.language], passed.phi)):
            for name, parameter in parameters.items():
                parameter.grad = gradients[name]
        optimizer.step()
        optimizer.zero_grad()
    return optimizer


def real_adam_step(treated: TreatedEncoder, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Where AdamW itself takes theta, without momentum and weight decay: the reference for the virtual step."""
    settings, before = optimizer.param_groups[0], treated.shared
    copies = {name: torch.nn.Parameter(p.detach().clone()) for name, p in before.items()}
    reference = torch.optim.AdamW(
        copies.values(), lr=BETA, betas=(0.0, settings["betas"][1]), eps=settings["eps"], weight_decay=0.0
    )
    g = inner_pass(treated, train_batch()).theta
    for name, copied in copies.items():
        if optimizer.state.get(before[name]):
            reference.state[copied] = copy.deepcopy(optimizer.state[before[name]])
        copied.grad = g[name]
    reference.step()
    return {name: copied.detach() for name, copied in copies.items()}


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_the_adam_inner_step_is_where_adam_goes_without_momentum(steps: int) -> None:
    treated = make_treated(torch.float64)
    optimizer = trained_optimizer(treated, steps)
    expected, g = real_adam_step(treated, optimizer), inner_pass(treated, train_batch()).theta
    scale = adam_rule(treated, optimizer)(g)
    for name, parameter in treated.shared.items():
        torch.testing.assert_close(parameter - BETA * scale[name] * g[name], expected[name], rtol=1e-10, atol=1e-12)
        assert (scale[name][g[name] == 0] == 0).all()


@pytest.mark.filterwarnings("ignore:.*math:UserWarning")
@pytest.mark.parametrize("second_order", ["exact", "central", "one-sided"])
@pytest.mark.parametrize("steps", [0, 7])
def test_whole_gradient_with_the_adam_inner_step(second_order: str, steps: int) -> None:
    treated = make_treated(torch.float64, dropout=0.1)
    optimizer = trained_optimizer(treated, steps)
    rule = adam_rule(treated, optimizer)
    inner = inner_pass(treated, train_batch(), with_phi=True)
    scale = rule(inner.theta)
    # The inner step is as long as Adam's: at 0.05 a weight moves by its own size, and differences need a smaller rate.
    epsilon, tolerance = FLOAT64[second_order]
    settings = MetaSettings(second_order=second_order, inner_rule="adam", epsilon=epsilon)
    found = meta_gradient(treated, inner, validating(), beta=1e-3, settings=settings, precondition=rule)
    expected = exact_gradient(treated, train_batch(), validating(), 1e-3, scale)
    assert relative_error(found.total(), expected) < tolerance
    plain = found_gradient(treated, train_batch(), validating())
    assert relative_error(found.total(), {name: plain.direct[name] for name in expected}) > 0.05


@pytest.mark.filterwarnings("ignore:.*math:UserWarning")
@pytest.mark.parametrize("second_order", ["exact", "central", "one-sided"])
def test_whole_gradient_in_float32_at_the_default_epsilon(second_order: str) -> None:
    treated = make_treated(torch.float32)
    found = found_gradient(treated, train_batch(), validating(), second_order=second_order)
    assert relative_error(found.total(), exact_gradient(in_float64(treated), train_batch(), validating())) < FLOAT32


@pytest.mark.parametrize("second_order", ["central", "one-sided"])
def test_bf16_autocast_rounds_v_and_d_but_not_the_differences(second_order: str) -> None:
    treated = make_treated(torch.float32)
    train, held_out = train_batch(), validating()
    found = found_gradient(treated, train, held_out, "bf16", second_order=second_order)
    assert 1e-4 < relative_error(found.total(), exact_gradient(in_float64(treated), train, held_out)) < BF16


def test_second_order_term_at_the_default_epsilon() -> None:
    assert second_order_error(make_treated(torch.float64)) < CENTRAL_AT_DEFAULT


@pytest.mark.parametrize(("second_order", "order"), [("central", 4.0), ("one-sided", 2.0)])
def test_differences_converge_as_they_should(second_order: str, order: float) -> None:
    treated = make_treated(torch.float64)
    coarse, fine = (second_order_error(treated, second_order=second_order, epsilon=e) for e in (0.04, 0.02))
    assert coarse / fine == pytest.approx(order, rel=0.05)


@pytest.mark.filterwarnings("ignore:.*math:UserWarning")
def test_with_relu_adapters_differences_cross_kinks() -> None:
    """Not a fault of the differences: between theta - eps v and theta + eps v the gradient of a ReLU jumps. So check-meta warns."""
    treated = make_treated(torch.float64, activation="relu")
    exact = exact_gradient(treated, train_batch(), validating())
    found = found_gradient(treated, train_batch(), validating(), second_order="exact")
    assert relative_error(found.total(), exact) < FLOAT64["exact"][1]
    assert second_order_error(treated) > 20 * CENTRAL_AT_DEFAULT


def test_second_order_term_is_not_negligible_here() -> None:
    """So the tests above see it: without it the whole gradient is wrong by more than their tolerance."""
    found = found_gradient(make_treated(torch.float64), train_batch(), validating())
    norms = [torch.cat([t.flatten() for t in part.values()]).norm() for part in (found.direct, found.second_order)]
    assert norms[1] > 0.01 * norms[0]


def test_measurements_are_what_they_say() -> None:
    treated = make_treated(torch.float64)
    train, held_out, other = train_batch(), validating(), make_batch("te", 77)
    inner = inner_pass(treated, train, with_phi=True)
    found = meta_gradient(treated, inner, held_out, beta=BETA, measure=True, other=other)
    direct = torch.cat([t.flatten() for t in found.direct.values()])
    second = torch.cat([t.flatten() for t in found.second_order.values()])
    again = meta_gradient(
        treated, inner_pass(treated, train), [HeldOut(other, held_out[0].weight), *held_out[1:]], beta=BETA
    )
    apart = direct - torch.cat([t.flatten() for t in again.direct.values()])
    assert found.terms == {
        "direct_norm": pytest.approx(float(direct.norm())),
        "second_order_norm": pytest.approx(float(second.norm())),
        "ratio": pytest.approx(float(second.norm() / direct.norm())),
        "cosine": pytest.approx(float(F.cosine_similarity(direct, -second, dim=0)), rel=1e-5),
        "epsilon": pytest.approx(found.terms["epsilon"]),
        "difference_error": pytest.approx(
            second_order_error(treated, second_order="one-sided", epsilon=0.01), rel=0.05
        ),
        "direct_noise": pytest.approx(float(apart.norm()) / 2**0.5),
    }


def test_measuring_changes_no_bit() -> None:
    treated = make_treated(torch.float32, dropout=0.1)
    found = [
        meta_gradient(
            treated,
            inner_pass(treated, train_batch(), with_phi=measure),
            validating(),
            beta=BETA,
            measure=measure,
            other=make_batch("te", 77) if measure else None,
        )
        for measure in (False, True)
    ]
    assert all(torch.equal(a, b) for a, b in zip(found[0].total(), found[1].total(), strict=True))


# The traps of method 5, each stepped into.


def test_trap_1_other_dropout_masks_would_be_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    treated = make_treated(torch.float64, dropout=0.1)
    right = second_order_error(treated)
    seeds = iter(range(1000, 2000))
    at = Probe.at
    monkeypatch.setattr(
        Probe, "at", lambda probe, step: at(replace(probe, batch=replace(probe.batch, seed=next(seeds))), step)
    )
    assert right < 1e-3
    assert second_order_error(treated) > 1.0


@pytest.mark.parametrize("weight", [1.0, 1e-4, 1e4])
def test_trap_2_theta_moves_by_epsilon_whatever_the_norm_of_v(weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed eps would move it by eps times the norm, which falls by decades in training."""
    treated = make_treated(torch.float64)
    held_out = [HeldOut(batch, w * weight) for batch, w in validating()]
    recorded = record_shifts(treated, monkeypatch)
    found_gradient(treated, train_batch(), held_out)
    assert [float(shift.norm()) for shift in recorded] == [pytest.approx(0.01), pytest.approx(0.01)]


def record_shifts(treated: TreatedEncoder, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """How far theta is from itself in each difference pass."""
    recorded: list[torch.Tensor] = []
    from detente.pretrain import second_order as module

    original: Callable = module.masked_lm_loss

    def watch(model, batch, *, shared, **rest):
        recorded.append(torch.cat([(shared[name] - p).detach().flatten() for name, p in model.shared.items()]))
        return original(model, batch, shared=shared, **rest)

    monkeypatch.setattr(module, "masked_lm_loss", watch)
    return recorded


def test_trap_3_the_reference_is_the_derivative_of_the_objective() -> None:
    """So that the exact gradient is no second copy of the same mistake: the objective itself, phi moved by hand."""
    treated = make_treated(torch.float64)
    train, held_out = train_batch(), validating()
    exact = exact_gradient(treated, train, held_out)
    name, phi = next((n, p) for n, p in treated.specific["te"].items() if n.endswith("down.weight"))

    def objective(shift: float) -> float:
        with torch.no_grad():
            phi[1, 2] += shift
        g = inner_pass(treated, train).theta
        moved = {n: p.detach() - BETA * g[n] for n, p in treated.shared.items()}
        value = sum(
            weight * meta_module.masked_lm_loss(treated, batch, shared=moved).item() for batch, weight in held_out
        )
        with torch.no_grad():
            phi[1, 2] -= shift
        return value

    slope = (objective(1e-5) - objective(-1e-5)) / 2e-5
    assert slope == pytest.approx(float(exact[name][1, 2]), rel=1e-5)


@pytest.mark.parametrize("second_order", ["central", "one-sided", "none"])
def test_trap_4_theta_keeps_every_bit_and_nothing_has_a_gradient(second_order: str) -> None:
    treated = make_treated(torch.float32)
    before = {name: parameter.detach().clone() for name, parameter in treated.named_parameters()}
    found_gradient(treated, train_batch(), validating(), second_order=second_order)
    for name, parameter in treated.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None


def test_trap_5_under_autocast_float32_weights_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bf16 a weight of size 1 cannot move by less than 0.004: most would not move at all."""
    treated = make_treated(torch.float32)
    recorded = record_shifts(treated, monkeypatch)
    found_gradient(treated, train_batch(), validating(), "bf16")
    assert len(recorded) == 2
    for shift in recorded:
        assert shift.dtype == torch.float32
        assert float(shift.norm()) == pytest.approx(0.03, rel=1e-3)
        assert (shift != 0).float().mean() > 0.9


def test_trap_7_v_is_not_clipped() -> None:
    """h is linear in v: held-out losses of ten times the weight have ten times the gradient, however large."""
    treated = make_treated(torch.float64)
    once = found_gradient(treated, train_batch(), validating(), epsilon=1e-4)
    heavy = [HeldOut(batch, 1e4 * weight) for batch, weight in validating()]
    scaled = found_gradient(treated, train_batch(), heavy, epsilon=1e-4)
    for name, part in once.second_order.items():
        torch.testing.assert_close(scaled.second_order[name], 1e4 * part, rtol=1e-4, atol=1e-9)


def test_trap_8_a_language_named_like_a_module_owns_its_own_parameters_only() -> None:
    """`te` is part of `adapter`, `li` of `linear`, `da` of nothing: only te's phi has a gradient, only te's own batch a direct one."""
    treated = make_treated(torch.float64)
    for language in LANGUAGES:
        train = make_batch(language, 1)
        found = found_gradient(treated, train, validating(), epsilon=1e-4)
        assert list(found.direct) == list(treated.specific[language])
        assert relative_error(found.total(), exact_gradient(treated, train, validating())) < 1e-6


def test_zero_held_out_gradient_is_refused() -> None:
    treated = make_treated(torch.float64)
    with torch.no_grad():
        for parameter in treated.shared.values():
            parameter.zero_()
        treated.shared["output_bias"][0] = 1e4
    sure = [
        HeldOut(replace(batch, targets=torch.full_like(batch.targets, 0)), weight) for batch, weight in validating()
    ]
    with pytest.raises(NoDirectionError, match=r"norm of the held-out gradient of te, da, li, ig is 0\.0"):
        found_gradient(treated, train_batch(), sure)


def test_a_held_out_gradient_that_is_not_finite_is_refused() -> None:
    treated = make_treated(torch.float32)
    inner = inner_pass(treated, train_batch())
    with pytest.raises(NoDirectionError, match="is nan"):
        meta_gradient(treated, inner, validating(), beta=1e38, precondition=sgd_rule)
