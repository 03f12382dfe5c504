"""What a GPU must do as a CPU does. Skipped without one."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor

from detente.batches import HeldOutBatches, SpecialTokens, TrainBatches
from detente.pretrain import objective
from detente.pretrain.meta import MetaStep
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.plain import PlainStep
from detente.pretrain.run import build_model, to_device
from detente.pretrain.step import Step
from detente.settings import MetaSettings, RunSettings


@pytest.fixture(autouse=True)
def traceable() -> Iterator[None]:
    """Checks of shapes cannot be compiled."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CPU, GPU = torch.device("cpu"), torch.device("cuda")
VOCABULARY = 500
SPECIAL = SpecialTokens(VOCABULARY, 4, frozenset(range(5)))
CHEAP = {"order": "fused", "second_order": "one-sided", "inner_fraction": 0.5, "meta_fraction": 0.5}


def run_settings(dropout: float, precision: str) -> RunSettings:
    return RunSettings.model_validate(
        {
            "mixture": ("te", "da", "li"),
            "treatment": "meta-adapter",
            "encoder": {
                "variant": "xlm",
                "layers": 2,
                "width": 64,
                "heads": 2,
                "feed_forward_width": 128,
                "dropout": dropout,
                "attention_dropout": dropout,
                "language_embedding": True,
            },
            "batches": {"block_length": 32, "blocks": 8},
            "training": {"steps": 20, "warmup_steps": 0, "learning_rate": 1e-2, "precision": precision},
        }
    )


class Parts:
    """Of a step, on a device; the same weights and batches on every device."""

    def __init__(
        self,
        device: torch.device,
        *,
        dropout: float = 0.0,
        precision: str = "float32",
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
    ) -> None:
        self.device, self.settings = device, run_settings(dropout, precision)
        treated = build_model(self.settings, VOCABULARY)
        with torch.no_grad():
            for number, (_, p) in enumerate(treated.named_parameters()):
                p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(number)))
                p.data = p.data.to(dtype)
        self.treated = replace(to_device(treated, device), compiled=compiled)
        self.treated.encoder.train()
        training = self.settings.training
        self.updater = Updater(build_optimizer(self.treated, training), training, training.steps)
        streams = {
            label: np.random.default_rng(n).integers(5, VOCABULARY, size=4000, dtype=np.uint16)
            for n, label in enumerate(self.settings.mixture)
        }
        self.batches = TrainBatches(streams, self.settings.batches, SPECIAL, seed=1, drawn_evenly=True)
        self.held_out = lambda meta: HeldOutBatches(streams, meta, self.settings.batches, SPECIAL, seed=2)

    def plain(self) -> Step:
        return PlainStep(self.treated, self.batches, self.updater, self.device)

    def meta(self, **chosen: object) -> Step:
        settings = MetaSettings.model_validate(chosen)
        held_out = self.held_out(settings)
        return MetaStep(self.treated, self.batches, held_out, self.updater, self.device, settings=settings)

    def loss_and_gradient(self, number: int) -> tuple[Tensor, list[Tensor]]:
        (batch,) = self.batches.train(number)
        wanted = [*self.treated.shared.values(), *self.treated.specific[batch.language].values()]
        loss = masked_lm_loss(self.treated, batch.to(self.device), precision=self.settings.training.precision)
        return loss.detach(), list(torch.autograd.grad(loss, wanted))

    def weights(self) -> dict[str, Tensor]:
        return {name: p.detach().cpu().clone() for name, p in self.treated.named_parameters()}


@pytest.fixture
def exact_products() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def distance(found: list[Tensor], expected: list[Tensor]) -> float:
    one, other = (torch.cat([part.double().cpu().flatten() for part in parts]) for parts in (found, expected))
    return float((one - other).norm() / other.norm())


def test_loss_and_gradient_are_the_cpus_in_float64() -> None:
    loss, gradient = Parts(GPU, dtype=torch.float64).loss_and_gradient(0)
    expected, expected_gradient = Parts(CPU, dtype=torch.float64).loss_and_gradient(0)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert distance(gradient, expected_gradient) < 1e-10


@pytest.mark.usefixtures("exact_products")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_compiled_pass_is_the_plain_one_without_dropout(precision: str) -> None:
    tolerance = {"float32": 1e-4, "bf16": 2e-2}[precision]
    reference = Parts(CPU, dtype=torch.float64)
    for compiled in (False, True):
        loss, gradient = Parts(GPU, precision=precision, compiled=compiled).loss_and_gradient(0)
        expected, expected_gradient = reference.loss_and_gradient(0)
        assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
        assert distance(gradient, expected_gradient) < tolerance


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_same_batch_draws_the_same_dropout_masks(compiled: bool, precision: str) -> None:
    parts = Parts(GPU, dropout=0.2, precision=precision, compiled=compiled)
    first, _ = parts.loss_and_gradient(0)
    torch.rand(7, device=GPU)
    assert parts.loss_and_gradient(0)[0] == first
    parts.treated.encoder.eval()
    assert parts.loss_and_gradient(0)[0] != first


@pytest.mark.usefixtures("exact_products")
@pytest.mark.parametrize("meta", [None, {}, CHEAP], ids=["plain", "source", "cheap"])
def test_steps_follow_those_of_the_cpu(meta: dict[str, object] | None) -> None:
    ended = {}
    for device in (CPU, GPU):
        parts = Parts(device, dtype=torch.float64)
        step = parts.plain() if meta is None else parts.meta(**meta)
        reports = [step(number) for number in range(6)]
        ended[device] = parts.weights(), [report.loss for report in reports]
    for found, expected in zip(ended[GPU][1], ended[CPU][1], strict=True):
        assert found == pytest.approx(expected, rel=1e-6)
    names = list(ended[CPU][0])
    assert distance([ended[GPU][0][n] for n in names], [ended[CPU][0][n] for n in names]) < 1e-5


def test_every_pass_of_a_cheap_meta_step_has_its_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `fullgraph` torch raises where it would go on without one."""
    monkeypatch.setattr(objective.torch, "compile", partial(torch.compile, fullgraph=True))
    objective._compiled.cache_clear()
    losses = {}
    for compiled in (False, True):
        step = Parts(GPU, compiled=compiled).meta(**CHEAP)
        losses[compiled] = [step(number).loss for number in range(4)]
    objective._compiled.cache_clear()
    for found, expected in zip(losses[True], losses[False], strict=True):
        assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_plain_step_waits_for_the_gpu_once(compiled: bool) -> None:
    step = Parts(GPU, dropout=0.1, precision="bf16", compiled=compiled).plain()
    for number in range(3):
        step(number)
    assert waits(lambda: [step(number) for number in range(3, 8)]) == 5


def waits(do: Callable[[], object]) -> int:
    """How often the host waited for the device."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            do()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in caught)


def test_a_gradient_that_is_not_finite_is_left_out_on_the_device() -> None:
    parts = Parts(GPU)
    bias = parts.treated.shared["output_bias"]
    parts.updater.apply(0, [bias], [torch.ones_like(bias)])
    before = bias.detach().clone()
    norm = parts.updater.apply(1, [bias], [torch.full_like(bias, torch.nan)])
    assert torch.equal(bias, before)
    assert torch.isnan(norm)
    assert parts.updater.optimizer.state[bias]["step"].item() == 1
