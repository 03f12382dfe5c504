"""Masks of a network that was built so that it is known which rows each language needs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from detente.diagnose.hard_concrete import expected_open, sample
from detente.diagnose.mask_effects import try_masks
from detente.diagnose.mask_groups import grouping_of
from detente.diagnose.masks import LanguageMasks, learn_masks
from detente.diagnosis_results.masks import ParameterMasks
from detente.errors import ConfigError, DataError, TrainingError

Parameters = Mapping[str, Tensor]
LAYERS, WIDTH, BLOCKS = 2, 24, 4
BLOCK_OF = {"a": 0, "b": 1}
SHARED, UNUSED = 2, 3
STEPS = 120


class Planted:
    """A residual network of 192 rows, a quarter each for language a, for b, for both and for none.

    Channels and neurons stand in four blocks, in a random order; neurons of a block read and write channels of that block. Text of a
    language fills its own block of channels and the shared one, so the rows of all other blocks put out zero. Attention mixes
    no positions; its matrices have the names.
    """

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        self.block = (torch.arange(WIDTH) % BLOCKS)[torch.randperm(WIDTH, generator=random)]
        same = (self.block[:, None] == self.block[None]).double()
        names = [
            f"layers.{layer}.{name}.weight"
            for layer in range(LAYERS)
            for name in ("attention.value", "attention.output", "ffn.inner", "ffn.output")
        ]
        self.parameters = {}
        for name in names:
            weight = torch.rand(WIDTH, WIDTH, generator=random).double() * same
            self.parameters[name] = (weight / weight.sum(dim=1, keepdim=True)).float()

    def forward(self, parameters: Parameters, x: Tensor) -> Tensor:
        for layer in range(LAYERS):
            value, output, inner, last = (parameters[name] for name in list(self.parameters)[4 * layer : 4 * layer + 4])
            x = x + F.linear(F.linear(x, value), output)
            x = x + F.linear(F.linear(x, inner).relu(), last)
        return x

    def loss(self, parameters: Parameters, batch: Tensor) -> Tensor:
        """Distance from the whole network's output, relative to it; 10 nats when nothing is left."""
        whole = self.forward({name: p.to(batch.dtype) for name, p in self.parameters.items()}, batch)
        return 10 * (self.forward(parameters, batch) - whole).square().sum() / (whole - batch).square().sum()

    def text(self, language: str, number: int) -> Tensor:
        random = torch.Generator().manual_seed(1000 * BLOCK_OF[language] + number)
        is_filled = (self.block == BLOCK_OF[language]) | (self.block == SHARED)
        return torch.rand(32, WIDTH, generator=random) * is_filled

    def streams(self, *languages: str) -> dict[str, Callable[[int], Tensor]]:
        return {language: lambda n, language=language: self.text(language, n) for language in languages}

    @property
    def rows(self) -> np.ndarray:
        """Block of every row of every matrix."""
        return np.tile(self.block.numpy(), 4 * LAYERS)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def learned(planted: Planted) -> LanguageMasks:
    return learn_masks(planted.loss, planted.parameters, planted.streams("a", "b"), steps=STEPS)


@pytest.fixture(scope="module")
def found(planted: Planted, learned: LanguageMasks) -> ParameterMasks:
    held_out = {language: [planted.text(language, 900 + n) for n in range(2)] for language in ("a", "b")}
    return try_masks(planted.loss, planted.parameters, learned, held_out)


def assert_found(found: np.ndarray, truth: np.ndarray, *, least: float = 0.9) -> None:
    """With precision and recall above `least`."""
    assert (found & truth).sum() / found.sum() > least
    assert (found & truth).sum() / truth.sum() > least


def test_masks_find_what_each_language_owns(planted: Planted, found: ParameterMasks) -> None:
    for language in ("a", "b"):
        assert_found(found.owned(language), planted.rows == BLOCK_OF[language])
    open_for = [found.pi(language) > 0 for language in ("a", "b")]
    assert_found(open_for[0] & open_for[1], planted.rows == SHARED)
    assert_found(~open_for[0] & ~open_for[1], planted.rows == UNUSED)


def test_the_second_run_finds_the_same(planted: Planted, found: ParameterMasks) -> None:
    second = replace(found, runs={language: (two, one) for language, (one, two) in found.runs.items()})
    assert_found(second.owned("a"), planted.rows == BLOCK_OF["a"])
    assert found.runs["a"][0].logits != found.runs["a"][1].logits
    assert [run.seed for run in found.runs["a"]] == [0, 1]
    assert [run.sparsity_weight for run in found.runs["a"]] == [3.0, 3.0]
    for control, pair in zip(found.control("a"), found.similarity("a", "b"), strict=True):
        assert control.centred > 0.95
        # Of the four blocks two are alike and two are not.
        assert abs(pair.centred) < 0.3


def test_a_mask_serves_its_own_language_only(found: ParameterMasks) -> None:
    for own, other in (("a", "b"), ("b", "a")):
        assert found.full_loss[own] == 0
        assert found.swaps[own][own] < 0.2
        assert found.swaps[other][own] > 2
        assert found.runs[own][0].loss == found.swaps[own][own]
        assert found.runs[own][1].loss < 0.2


def test_swaps_go_from_mask_to_text(planted: Planted, learned: LanguageMasks, found: ParameterMasks) -> None:
    gates = (1.2 * torch.sigmoid(learned.runs["b"][0].logits) - 0.1).clamp(0, 1)
    masked = {name: p * g[:, None] for (name, p), g in zip(planted.parameters.items(), gates.split(WIDTH), strict=True)}
    losses = [planted.loss(masked, planted.text("a", 900 + n)).item() for n in range(2)]
    assert found.swaps["b"]["a"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.swaps["b"]["a"] != pytest.approx(found.swaps["a"]["b"], rel=1e-3)


def test_what_a_language_owns_can_be_removed_without_the_other_noticing(found: ParameterMasks) -> None:
    """Removing as many random rows hurts both."""
    for own, other in (("a", "b"), ("b", "a")):
        removal = found.removals[own]
        assert removal.num_groups == found.owned(own).sum()
        assert removal.loss[own] > 2
        assert removal.loss[other] < 0.02
        assert len(removal.random_loss[other]) == 3
        assert min(removal.random_loss[other]) > 0.5


@pytest.mark.parametrize("target", [0.3, 0.6, 0.9])
def test_a_target_share_stays_open(target: float) -> None:
    """Of 200 rows, worth 5 nats together and the best 1000 times the worst, the most worthy stay."""
    worth = torch.logspace(1, -2, 200)[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    worth = 5 * worth / worth.sum()

    def loss(parameters: Parameters, batch: None) -> Tensor:
        return (worth * (1 - parameters["ffn.inner.weight"][:, 0]).square()).sum()

    masks = learn_masks(loss, {"ffn.inner.weight": torch.ones(200, 1)}, {"a": lambda n: None}, target_open=target)
    most_worthy = (worth >= worth.quantile(1 - target)).numpy()
    for mask in masks.runs["a"]:
        assert expected_open(mask.logits).mean().item() == pytest.approx(target, abs=0.02)
        assert mask.price > 0
        # Neighbours in worth differ by 3 %, so some change places.
        assert_found((mask.logits > 0).numpy(), most_worthy, least=0.85)


def test_no_parameter_changes(planted: Planted) -> None:
    parameters = {name: torch.nn.Parameter(p.clone()) for name, p in planted.parameters.items()}
    learn_masks(planted.loss, parameters, planted.streams("a"), steps=3)
    for name, parameter in parameters.items():
        assert torch.equal(parameter, planted.parameters[name])
        assert parameter.grad is None
        assert parameter.requires_grad


def test_a_step_takes_one_pass_of_the_next_batch(planted: Planted) -> None:
    """The second run takes other batches than the first, and no gradient but the gates' is asked for."""
    numbers: list[int] = []
    losses: list[bool] = []

    def stream(number: int) -> Tensor:
        numbers.append(number)
        return planted.text("a", number)

    def loss(parameters: Parameters, batch: Tensor) -> Tensor:
        losses.append(any(p.is_leaf and p.requires_grad for p in parameters.values()))
        return planted.loss(parameters, batch)

    parameters = {name: torch.nn.Parameter(p) for name, p in planted.parameters.items()}
    learn_masks(loss, parameters | {"head": torch.nn.Parameter(torch.ones(2))}, {"a": stream}, steps=4)
    assert numbers == list(range(8))
    assert losses == [False] * 8


def test_same_seed_same_masks(planted: Planted) -> None:
    def logits(seed: int) -> Tensor:
        return (
            learn_masks(planted.loss, planted.parameters, planted.streams("a"), steps=5, seed=seed).runs["a"][0].logits
        )

    assert torch.equal(logits(4), logits(4))
    assert not torch.equal(logits(4), logits(5))


def test_progress_counts_the_steps_of_both_runs(planted: Planted) -> None:
    told: list[Any] = []

    def counter(what: str, unit: str, total: int | None) -> Callable[[int], None]:
        told.append((what, unit, total))
        return told.append

    learn_masks(planted.loss, planted.parameters, planted.streams("b"), steps=2, progress=counter)
    assert told == [("masks of b", "steps", 4), 1, 1, 1, 1]


def test_one_language_has_its_control_alone(planted: Planted) -> None:
    masks = learn_masks(planted.loss, planted.parameters, planted.streams("a"), steps=2)
    found = try_masks(planted.loss, planted.parameters, masks, {"a": [planted.text("a", 900)], "b": []})
    assert found.languages == ("a",)
    assert found.removals == {}
    assert len(found.control("a")) == 2 * LAYERS


def test_gradient_of_the_objective(planted: Planted) -> None:
    """Of loss and expected L0 with respect to pi, against finite differences in float64."""
    parameters = {name: p.double() for name, p in planted.parameters.items()}
    grouping = grouping_of(parameters, "neurons")
    random = torch.Generator().manual_seed(2)
    logits = torch.randn(grouping.num_groups, generator=random).double().requires_grad_()
    uniform = torch.rand(grouping.num_groups, generator=random).double()
    batch = planted.text("a", 0).double()

    def objective(pi: Tensor) -> Tensor:
        masked = grouping.masked(parameters, sample(pi, uniform))
        return planted.loss({**parameters, **masked}, batch) + 3 * expected_open(pi).mean()

    assert torch.autograd.gradcheck(objective, (logits,))


def test_a_mask_that_prunes_everything_is_stopped(planted: Planted) -> None:
    def nothing_matters(parameters: Parameters, batch: Tensor) -> Tensor:
        return 0 * planted.loss(parameters, batch)

    with pytest.raises(
        TrainingError, match=r"mask of a prunes everything by step \d\d: sparsity_weight of 5 .* Try 0.5\."
    ):
        learn_masks(nothing_matters, planted.parameters, planted.streams("a"), sparsity_weight=5.0)
    with pytest.raises(TrainingError, match=r"target_open of 0\.1 cannot be held in so few steps"):
        learn_masks(nothing_matters, planted.parameters, planted.streams("a"), target_open=0.1)


def test_a_loss_that_is_not_finite_is_stopped(planted: Planted) -> None:
    def broken(parameters: Parameters, batch: Tensor) -> Tensor:
        return planted.loss(parameters, batch) * float("nan")

    with pytest.raises(TrainingError, match="loss of b is nan in step 1 of its mask"):
        learn_masks(broken, planted.parameters, planted.streams("b"))
    masks = learn_masks(planted.loss, planted.parameters, planted.streams("a"), steps=1)
    with pytest.raises(TrainingError, match="held-out loss of a is nan"):
        try_masks(broken, planted.parameters, masks, {"a": [planted.text("a", 0)]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity_weight": 1.0, "target_open": 0.5}, "both given"),
        ({"sparsity_weight": -1.0}, "sparsity_weight must not be below 0, found -1"),
        ({"target_open": 1.5}, "target_open must lie between 0 and 1, found 1.5"),
        ({"steps": 0}, "steps must be at least 1, found 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, found 0"),
        ({"batches": {}}, "batches names no language"),
    ],
)
def test_arguments_out_of_range(planted: Planted, options: dict[str, Any], message: str) -> None:
    batches = options.pop("batches", planted.streams("a"))
    with pytest.raises(ConfigError, match=message):
        learn_masks(planted.loss, planted.parameters, batches, **options)


def test_every_language_needs_held_out_text(planted: Planted, learned: LanguageMasks) -> None:
    with pytest.raises(DataError, match="held_out has no batch of b"):
        try_masks(planted.loss, planted.parameters, learned, {"a": [planted.text("a", 0)]})
