"""Memory: every tensor that an operation makes is followed until it is freed, in training and in a measurement."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from detente.diagnose import gradient_groups, projection
from detente.diagnose.gradient_cost import conflict_cost
from detente.diagnose.gradients import gradient_conflict

NUM = 8_000
SHAPES = {"embedding.weight": (40, 100), "layers.0.ffn.weight": (50, 80)}


class LiveMemory(TorchDispatchMode):
    """Peak bytes of the storages that operations have made since it was entered."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._total = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {id_of(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and id_of(tensor) not in given:
                self._note(tensor)
        return made

    def _note(self, tensor: Tensor) -> None:
        """What has been freed matters only where there seems to be a new peak."""
        size = tensor.untyped_storage().nbytes()
        self._total += size - self._live.pop(id_of(tensor), (None, 0))[1]
        self._live[id_of(tensor)] = (StorageWeakRef(tensor.untyped_storage()), size)
        if self._total > self.peak:
            self._live = {key: each for key, each in self._live.items() if not each[0].expired()}
            self._total = sum(size for _, size in self._live.values())
            self.peak = max(self.peak, self._total)


def id_of(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def loss(parameters: Mapping[str, Tensor], seed: int) -> Tensor:
    """A different gradient for each seed, dense, and next to nothing kept for the backward pass."""
    random = torch.Generator().manual_seed(seed)
    sides = [torch.randn(shape, generator=random) for shape in ((40,), (100,), (50,), (80,))]
    first, second = parameters.values()
    return sides[0] @ first @ sides[1] + sides[2] @ second @ sides[3]


def peak(run: Callable[[dict[str, Tensor]], object]) -> int:
    parameters: dict[str, Tensor] = {name: torch.nn.Parameter(torch.zeros(shape)) for name, shape in SHAPES.items()}
    with LiveMemory() as memory:
        run(parameters)
    return memory.peak


def train(parameters: dict[str, Tensor]) -> None:
    """Accumulate the gradient of four microbatches."""
    for seed in range(4):
        loss(parameters, seed).backward()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In proportion to the gradients here, as they are to those of a real model."""
    for module in (projection, gradient_groups):
        monkeypatch.setattr(module, "CHUNK", 400)
    monkeypatch.setattr("detente.diagnose.gradient_cost.SMALL_BYTES", 0)
    yield


def test_a_hundred_languages_take_two_gradients_more_than_training() -> None:
    batches = {f"l{n}": [2 * n, 2 * n + 1] for n in range(100)}

    def run(parameters: dict[str, Tensor]) -> None:
        found = gradient_conflict(loss, parameters, batches, parts=2, resamples=1000)
        assert not found.is_exact

    copies = (peak(run) - peak(train)) / (4 * NUM)
    assert 1.5 < copies < 2


@pytest.mark.parametrize(("languages", "exact_up_to", "sums"), [(2, 4, 2), (4, 4, 4), (3, 0, 1)])
def test_it_takes_the_memory_that_was_stated(languages: int, exact_up_to: int, sums: int) -> None:
    batches = {f"l{n}": [6 * n + k for k in range(6)] for n in range(languages)}
    options: dict[str, int] = {"parts": 3, "width": 40, "exact_up_to": exact_up_to}
    stated: list[float] = []

    def run(parameters: dict[str, Tensor]) -> None:
        gradient_conflict(loss, parameters, batches, resamples=1000, **options)
        cost = conflict_cost(parameters, languages=languages, microbatches=6, **options)
        assert cost.sum_copies == sums
        stated.append(cost.extra_bytes / cost.copy_bytes)

    assert (peak(run) - peak(train)) / (4 * NUM) == pytest.approx(stated[0], abs=0.1)
