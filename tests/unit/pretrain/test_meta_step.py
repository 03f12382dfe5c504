"""The meta step: which gradient, at which parameters, on which rows, in which order."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from detente.batches import IGNORED, HeldOut, MaskedBatch
from detente.settings import TrainingSettings

Make = Callable[..., Any]
# Finite differences in float64 at this epsilon err by less than the tolerance, relative to the whole gradient.
EPSILON, TOLERANCE = 1e-4, 1e-6
# Of sums in float64.
CLOSE = {"rtol": 1e-9, "atol": 1e-12}

orders = pytest.mark.parametrize("order", ["theta-after-phi", "fused"])


def with_rows(batch: MaskedBatch, rows: slice) -> MaskedBatch:
    """For the reference loss, which reads tokens, positions and targets only."""
    return replace(batch, tokens=batch.tokens[rows], positions=batch.positions[rows], targets=batch.targets[rows])


def theta_gradient(parts: Any, batch: MaskedBatch, at: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of the whole batch's loss at the parameters `at`, under the names of checkpoints."""
    theta = {name: at[f"shared/{name}"].clone().requires_grad_() for name in parts.treated.shared}
    phi = {name: at[f"specific/{batch.language}/{name}"] for name in parts.treated.specific[batch.language]}
    gradients = torch.autograd.grad(parts.loss(batch, theta, phi), list(theta.values()))
    return {f"shared/{name}": gradient for name, gradient in zip(theta, gradients, strict=True)}


def phi_gradient(
    parts: Any,
    batch: MaskedBatch,
    held_out: list[HeldOut],
    *,
    beta: float,
    adam: bool = False,
    second_order: bool = True,
) -> Tensor:
    """Of the held-out loss at theta after one step on `batch`, by autograd through the step."""
    theta, phi = parts.treated.shared, parts.treated.specific
    with sdpa_kernel(SDPBackend.MATH):
        inner = torch.autograd.grad(
            parts.loss(batch, theta, phi[batch.language]), list(theta.values()), create_graph=second_order
        )
        # AdamW's first update, without momentum: each weight by g / (|g| + eps), the scale held constant.
        scales = [torch.where(g == 0, 0.0, 1 / (g.abs() + parts.training.eps)).detach() if adam else 1.0 for g in inner]
        steps = [scale * g for scale, g in zip(scales, inner, strict=True)]
        virtual = {name: p - beta * step for (name, p), step in zip(theta.items(), steps, strict=True)}
        outer = sum(weight * parts.loss(each, virtual, phi[each.language]) for each, weight in held_out)
        gradients = torch.autograd.grad(outer, list(phi[batch.language].values()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def flat(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients.values()])


def assert_near(found: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    assert float((found - expected).norm() / expected.norm()) < tolerance


def is_near(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return all(torch.allclose(found[name], expected[name], **CLOSE) for name in expected)


@pytest.mark.parametrize("inner_fraction", [1.0, 0.25])
@orders
def test_theta_follows_the_whole_batch_at_the_new_phi_or_at_the_old(
    make_parts: Make, order: str, inner_fraction: float
) -> None:
    """After phi is the source's order (algorithm 1, lines 6 and 7). The batch has rows with too few ordinary tokens."""
    parts = make_parts()
    (batch,) = parts.batches.train(1)
    assert len(set(batch.row_targets)) > 1 and (batch.targets == IGNORED).any()
    before, updates = parts.parameters(), parts.record_updates()
    report = parts.meta_step(order=order, inner_fraction=inner_fraction)(1)
    of_phi, of_theta = updates
    assert (of_phi.owner, of_theta.owner) == (batch.language, "shared")
    at_new, at_old = (theta_gradient(parts, batch, at) for at in (of_phi.after, before))
    assert not is_near(at_new, at_old)
    expected = at_old if order == "fused" else at_new
    assert of_theta.gradients.keys() == expected.keys()
    assert is_near(of_theta.gradients, expected)
    assert report.gradient_norm == pytest.approx(float(flat(expected).norm()))
    assert report.loss == {
        batch.language: pytest.approx(loss_at(parts, batch, before if order == "fused" else of_phi.after))
    }


def loss_at(parts: Any, batch: MaskedBatch, at: dict[str, Tensor]) -> float:
    theta = {name: at[f"shared/{name}"] for name in parts.treated.shared}
    phi = {name: at[f"specific/{batch.language}/{name}"] for name in parts.treated.specific[batch.language]}
    return parts.loss(batch, theta, phi).item()


@pytest.mark.parametrize("without", ["inner", "rest"])
def test_fused_rows_without_targets_weigh_nothing(
    make_parts: Make, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    parts = make_parts()
    (batch,) = parts.batches.train(0)
    rows = slice(2) if without == "inner" else slice(2, None)
    targets, row_targets = batch.targets.clone(), list(batch.row_targets)
    targets[rows] = IGNORED
    row_targets[rows] = [0] * len(row_targets[rows])
    batch = replace(batch, targets=targets, row_targets=tuple(row_targets))
    monkeypatch.setattr(parts.batches, "train", lambda number: [batch])
    before, updates = parts.parameters(), parts.record_updates()
    report = parts.meta_step(order="fused", inner_fraction=0.25)(0)
    assert is_near(updates[-1].gradients, theta_gradient(parts, batch, before))
    assert report.loss == {batch.language: pytest.approx(loss_at(parts, batch, before))}


@orders
@pytest.mark.parametrize(
    ("meta", "beta"),
    [
        ({}, None),
        ({"beta_multiple": 3.0}, None),
        ({"beta": 0.05}, 0.05),
        ({"inner_fraction": 0.25}, None),
        ({"meta_fraction": 0.5}, None),
        ({"meta_languages": "others"}, None),
        ({"meta_languages": 2}, None),
        ({"meta_split": "train"}, None),
        ({"inner_rule": "adam", "beta": 1e-3}, 1e-3),
        ({"second_order": "none"}, None),
    ],
    ids=str,
)
def test_phi_follows_the_meta_gradient(make_parts: Make, order: str, meta: dict[str, Any], beta: float | None) -> None:
    """At step 3, whose rate is not the peak, on the rows and with the weights that the settings say."""
    parts = make_parts()
    number = 3
    (batch,) = parts.batches.train(number)
    rows = {0.25: 2}.get(meta.get("inner_fraction", 1.0), 8)
    held_out = parts.held_out(**meta).validating(number, batch.language)
    assert {len(each.batch.tokens) for each in held_out} == {4 if "meta_fraction" in meta else 8}
    rate = parts.updater.rate(number)
    assert rate < 0.99 * parts.training.learning_rate
    found_beta = beta or meta.get("beta_multiple", 1.0) * rate
    expected, wrong = (
        phi_gradient(
            parts,
            with_rows(batch, slice(rows)),
            held_out,
            beta=b,
            adam="inner_rule" in meta,
            second_order="second_order" not in meta,
        )
        for b in (found_beta, 1.05 * found_beta)
    )
    updates = parts.record_updates()
    settings = {"second_order": "central", "epsilon": EPSILON, **meta}
    if settings["second_order"] == "none":
        del settings["epsilon"]
    parts.meta_step(order=order, **settings)(number)
    assert updates[0].owner == batch.language
    assert_near(flat(updates[0].gradients), expected)
    assert float((wrong - expected).norm() / expected.norm()) > 10 * TOLERANCE, "another beta would be seen"


@orders
def test_each_phi_is_updated_once_a_step_by_the_mean_over_its_microbatches(make_parts: Make, order: str) -> None:
    parts = make_parts(accumulation=6)
    train, held_out, before = list(parts.batches.train(0)), parts.held_out(), parts.parameters()
    assert max(Counter(batch.language for batch in train).values()) == 2
    rate = parts.updater.rate(0)
    found = [(b.language, phi_gradient(parts, b, held_out.validating(0, b.language), beta=rate)) for b in train]
    updates = parts.record_updates()
    report = parts.meta_step(order=order, epsilon=EPSILON)(0)
    drawn = dict.fromkeys(batch.language for batch in train)
    assert [update.owner for update in updates] == [*drawn, "shared"]
    assert report.tokens == 6 * 64
    for update in updates[:-1]:
        mean = torch.stack([gradient for language, gradient in found if language == update.owner]).mean(0)
        assert_near(flat(update.gradients), mean)
    at = before if order == "fused" else updates[-2].after
    of_each = [flat(theta_gradient(parts, batch, at)) for batch in train]
    assert_near(flat(updates[-1].gradients), torch.stack(of_each).mean(0), 1e-9)


@orders
def test_every_third_batch_of_a_language_moves_its_phi(make_parts: Make, moved: Make, order: str) -> None:
    """By the language's own count: the rhythm of the draws would leave languages out."""
    parts = make_parts(training=TrainingSettings(steps=40, warmup_steps=0, learning_rate=1e-3))
    step = parts.meta_step(order=order, every=3)
    seen: Counter[str] = Counter()
    moved_at: dict[str, list[int]] = {language: [] for language in parts.languages}
    for number in range(32):
        language, before = parts.language(number), parts.parameters()
        step(number)
        found = moved(before, parts.parameters())
        assert "shared" in found and found <= {"shared", language}
        if language in found:
            moved_at[language].append(seen[language])
        seen[language] += 1
    assert moved_at == {language: [0, 3, 6] for language in ("te", "da", "li", "ig")}


@orders
def test_clipping_applies_to_each_update_and_not_to_v(make_parts: Make, order: str) -> None:
    """Trap 7. AdamW's eps is large here, so that the size of a gradient decides how far it moves."""
    training = {"steps": 20, "warmup_steps": 0, "learning_rate": 1e-2, "eps": 0.1, "weight_decay": 0.0}
    free, clipped = (make_parts(training=TrainingSettings(**training, clip=clip)) for clip in (1e6, 1e-2))
    updates = [parts.record_updates() for parts in (free, clipped)]
    before = clipped.parameters()
    for parts in (free, clipped):
        parts.meta_step(order=order)(0)
    assert torch.equal(flat(updates[0][0].gradients), flat(updates[1][0].gradients)), "d - beta h is what it was"
    for update in updates[1]:
        gradients = update.gradients
        assert float(flat(gradients).norm()) > 2e-2, "there is something to clip"
        expected = {name: before[name].clone().requires_grad_() for name in gradients}
        for name, parameter in expected.items():
            parameter.grad = gradients[name] * 1e-2 / flat(gradients).norm()
        rate = clipped.updater.rate(0)
        betas = clipped.training.betas
        torch.optim.AdamW(expected.values(), lr=rate, betas=betas, eps=0.1, weight_decay=0.0).step()
        for name, parameter in expected.items():
            torch.testing.assert_close(update.after[name], parameter.detach(), rtol=1e-5, atol=1e-9)


class LooksAtNumbers(TorchDispatchMode):
    """Counts how often the program asks for a tensor's value: each time it would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@orders
def test_one_number_is_looked_at_before_a_steps_end(make_parts: Make, order: str) -> None:
    """Whether there is a direction. Losses and norms are read together."""
    step = make_parts(dropout=0.1).meta_step(order=order, measure_every=1000)
    step(0)
    with LooksAtNumbers() as looks:
        step(1)
    assert looks.count == 1
