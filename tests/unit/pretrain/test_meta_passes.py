"""What the meta step computes: which passes, of which languages, on which rows, and no gradient that nobody asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from detente.batches import MaskedBatch
from detente.pretrain.objective import masked_lm_loss
from detente.settings import TrainingSettings

Make = Callable[..., Any]
# Step 0 is measured, which takes passes of its own.
STEP = 1
EIGHT = ("te", "da", "li", "ig", "en", "fr", "sw", "kn")


@dataclass(frozen=True)
class Pass:
    """A forward pass: where it was asked for, of what, and with respect to what its gradient can be taken."""

    module: str
    language: str
    tokens: Tensor
    with_theta: bool
    with_phi: bool

    @property
    def kind(self) -> tuple[str, str, bool, bool]:
        return self.module, self.language, self.with_theta, self.with_phi


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[Pass]:
    """Fills as losses are computed."""
    seen: list[Pass] = []

    def watch(module: str) -> None:
        def loss(treated: Any, batch: MaskedBatch, *, shared: Any = None, specific: Any = None, **rest: Any) -> Tensor:
            theta, phi = shared or treated.shared, specific or treated.specific[batch.language]
            wanted = [any(p.requires_grad for p in parameters.values()) for parameters in (theta, phi)]
            seen.append(Pass(module, batch.language, batch.tokens, *wanted))
            return masked_lm_loss(treated, batch, shared=shared, specific=specific, **rest)

        monkeypatch.setattr(f"detente.pretrain.{module}.masked_lm_loss", loss)

    for module in ("meta", "meta_gradient", "second_order"):
        watch(module)
    return seen


def expected_passes(
    own: str, languages: tuple[str, ...], order: str, second_order: str
) -> list[tuple[str, str, bool, bool]]:
    """In the notation of `Pass.kind`."""
    g = ("meta_gradient", own, True, second_order == "one-sided")
    theta = ("meta", own, True, False)
    if second_order == "none":
        held_out = [("meta_gradient", own, False, True)]
    else:
        held_out = [("meta_gradient", language, True, language == own) for language in languages]
    difference = ("second_order", own, second_order == "exact", True)
    differences = [difference] * {"central": 2, "one-sided": 1, "exact": 1, "none": 0}[second_order]
    return [g, *held_out, *differences, *([] if order == "fused" else [theta])]


@pytest.mark.filterwarnings("ignore:.*math kernel:UserWarning")
@pytest.mark.parametrize(
    ("order", "second_order", "number"),
    [
        ("theta-after-phi", "central", 1 + 4 + 2 + 1),
        ("theta-after-phi", "one-sided", 1 + 4 + 1 + 1),
        ("theta-after-phi", "exact", 1 + 4 + 1 + 1),
        ("theta-after-phi", "none", 1 + 1 + 1),
        ("fused", "central", 1 + 4 + 2),
        ("fused", "one-sided", 1 + 4 + 1),
        ("fused", "exact", 1 + 4 + 1),
        ("fused", "none", 1 + 1),
    ],
)
def test_passes_of_each_variant(
    make_parts: Make, passes: list[Pass], order: str, second_order: str, number: int
) -> None:
    parts = make_parts()
    parts.meta_step(order=order, second_order=second_order)(STEP)
    found = [each.kind for each in passes]
    assert len(found) == number
    assert found == expected_passes(parts.language(STEP), parts.languages, order, second_order)


@pytest.mark.parametrize(("meta_languages", "growth"), [(2, 0), ("all", 5), ("others", 5)])
@pytest.mark.parametrize("order", ["theta-after-phi", "fused"])
def test_passes_grow_with_the_languages_that_validate(
    make_parts: Make, passes: list[Pass], order: str, meta_languages: str | int, growth: int
) -> None:
    counts = []
    for languages in (EIGHT[:3], EIGHT):
        passes.clear()
        make_parts(languages).meta_step(order=order, meta_languages=meta_languages)(STEP)
        counts.append(len(passes))
    assert counts[1] - counts[0] == growth


def test_every_language_validates_on_its_own_text_of_the_step(make_parts: Make, passes: list[Pass]) -> None:
    parts = make_parts()
    parts.meta_step()(STEP)
    held_out = parts.held_out()
    for language, each in zip(parts.languages, passes[1:5], strict=True):
        assert each.language == language
        assert torch.equal(each.tokens, held_out.of(STEP, language).tokens)


def test_others_have_no_pass_of_the_trained_languages_held_out_text(make_parts: Make, passes: list[Pass]) -> None:
    parts = make_parts()
    parts.meta_step(meta_languages="others")(STEP)
    own = parts.language(STEP)
    assert [each.language for each in passes[1:4]] == [language for language in parts.languages if language != own]
    assert not any(each.with_phi for each in passes[1:4])


@pytest.mark.parametrize(("order", "last"), [("theta-after-phi", slice(0, 8)), ("fused", slice(2, 8))])
def test_fractions_take_the_first_rows(make_parts: Make, passes: list[Pass], order: str, last: slice) -> None:
    """g and the differences on two of eight rows; theta on all, or in the fused order on those that g left out."""
    parts = make_parts()
    (batch,) = parts.batches.train(STEP)
    parts.meta_step(order=order, inner_fraction=0.25, meta_fraction=0.5)(STEP)
    held_out = passes[1:5]
    g, differences, theta = passes[0], [each for each in passes if each.module == "second_order"], passes[-1]
    assert len(differences) == 2
    for each in (g, *differences):
        assert torch.equal(each.tokens, batch.tokens[:2])
    assert {len(each.tokens) for each in held_out} == {4}
    assert theta.module == "meta"
    assert torch.equal(theta.tokens, batch.tokens[last])


@pytest.mark.parametrize("order", ["theta-after-phi", "fused"])
def test_a_batch_that_is_not_due_costs_what_a_plain_one_does(make_parts: Make, passes: list[Pass], order: str) -> None:
    parts = make_parts()
    step = parts.meta_step(order=order, every=3, inner_fraction=0.25, second_order="one-sided")
    (number,) = [n for n in range(8) if parts.batches.draws[n] == ("da", 1)]
    (batch,) = parts.batches.train(number)
    step(number)
    (only,) = passes
    assert torch.equal(only.tokens, batch.tokens)
    assert (only.with_theta, only.with_phi) == (True, False)


def test_a_measurement_takes_passes_for_phi_alone(make_parts: Make, passes: list[Pass]) -> None:
    """Of central differences: another held-out batch, one-sided ones (whose base comes with g), and central ones again."""
    parts = make_parts()
    step = parts.meta_step(measure_every=2)
    step(1)
    number, last = len(passes), passes[-1]
    passes.clear()
    step(2)
    extra = [each for each in passes if not each.with_theta]
    assert last.module == "meta"
    assert len(passes) == number + 4
    assert [each.module for each in extra] == ["meta_gradient"] + ["second_order"] * 5
    noise = parts.held_out().of(3, parts.language(2))
    assert torch.equal(extra[0].tokens, noise.tokens)


@pytest.mark.parametrize(("precision", "products"), [("float32", "highest"), ("bf16", "high")])
def test_differences_are_in_tf32_beside_bf16_and_nothing_else_is(
    make_parts: Make, monkeypatch: pytest.MonkeyPatch, precision: Any, products: str
) -> None:
    seen: dict[str, set[str]] = {"second_order": set(), "meta_gradient": set()}
    autocast: dict[str, set[bool]] = {"second_order": set(), "meta_gradient": set()}

    def watch(module: str) -> None:
        def loss(*arguments: Any, **more: Any) -> Tensor:
            seen[module].add(torch.get_float32_matmul_precision())
            autocast[module].add(more["precision"] == "bf16")
            return masked_lm_loss(*arguments, **more)

        monkeypatch.setattr(f"detente.pretrain.{module}.masked_lm_loss", loss)

    for module in seen:
        watch(module)
    training = TrainingSettings(steps=20, warmup_steps=0, precision=precision)
    make_parts(dtype=torch.float32, training=training).meta_step()(STEP)
    assert seen == {"second_order": {products}, "meta_gradient": {"highest"}}
    assert autocast == {"second_order": {False}, "meta_gradient": {precision == "bf16"}}
