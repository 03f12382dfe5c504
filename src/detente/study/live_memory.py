"""What one training step holds in memory at its peak, from steps of small batches on random tokens.

Every operation of a step is watched, with what is alive after it. A larger batch goes through the same operations, and what is alive
at each grows linearly with it; so two small batches tell the peak of a large one, wherever in the step it lies. What a kernel takes for
itself while it works is not seen.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from detente.batches import HeldOutBatches, TrainBatches
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.run import build_model, make_step, to_device
from detente.settings import RunSettings
from detente.study.random_text import random_streams, special_tokens
from detente.treatment import TreatedEncoder

MOST_TOKENS = 1024
"""In the larger of the two batches."""


def peak_of_step(settings: RunSettings, vocabulary_size: int, device: torch.device) -> int:
    """Bytes that a step of a run takes besides parameters and moments."""
    small, large = _sizes(settings)
    wanted = settings.batches.blocks
    if large >= wanted:
        return max(alive_along(settings, vocabulary_size, wanted, device))
    one, two = (alive_along(settings, vocabulary_size, blocks, device) for blocks in (small, large))
    scale = (wanted - small) / (large - small)
    return max(round(a + scale * (b - a)) for a, b in zip(one, two, strict=True))


def _sizes(settings: RunSettings) -> tuple[int, int]:
    """Blocks of the two batches: the meta step's parts of a batch are whole numbers of blocks in both."""
    is_meta = settings.treatment == "meta-adapter"
    least = min(settings.meta.inner_fraction, settings.meta.meta_fraction) if is_meta else 1.0
    unit = max(2, round(1 / least))
    times = max(1, MOST_TOKENS // (2 * unit * settings.batches.block_length))
    return unit * times, 2 * unit * times


def alive_along(settings: RunSettings, vocabulary_size: int, blocks: int, device: torch.device) -> list[int]:
    """Bytes alive after each operation of some steps, above what was there before it."""
    # More languages hold more parameters, and take no more at a time.
    few = settings.model_copy(
        update={
            "mixture": settings.mixture[:2],
            "batches": settings.batches.model_copy(update={"blocks": blocks}),
            "training": settings.training.model_copy(update={"compile": False}),
        }
    )
    treated = to_device(build_model(few, vocabulary_size), device)
    treated.encoder.train()
    updater = Updater(build_optimizer(treated, few.training), few.training, few.training.steps)
    every = [parameter for _, parameter in treated.named_parameters()]
    # Moments of all languages are there from now on.
    updater.apply(0, every, [torch.zeros_like(parameter) for parameter in every])
    step = _step(few, treated, updater, vocabulary_size, device)
    state = [value for values in updater.optimizer.state.values() for value in values.values()]
    with AliveBytes([*every, *state]) as alive:
        for number in range(_steps_to_watch(few)):
            step(number)
    return alive.along


def _steps_to_watch(settings: RunSettings) -> int:
    """One tells all, unless phi is not always due: of three batches of two languages one is a language's second, which holds more."""
    return 3 if settings.treatment == "meta-adapter" and settings.meta.every > 1 else 1


def _step(
    settings: RunSettings, treated: TreatedEncoder, updater: Updater, vocabulary_size: int, device: torch.device
) -> Callable[[int], Any]:
    length = 4 * (settings.batches.blocks + 1) * settings.batches.block_length
    tokens, special = random_streams(settings.mixture, vocabulary_size, length), special_tokens(vocabulary_size)
    accumulation = min(2, settings.training.accumulation)
    batches = TrainBatches(tokens, settings.batches, special, seed=0, accumulation=accumulation, drawn_evenly=True)

    def held_out() -> HeldOutBatches:
        return HeldOutBatches(tokens, settings.meta, settings.batches, special, seed=0)

    return make_step(settings, treated, updater, batches, held_out, device=device)


class AliveBytes(TorchDispatchMode):
    """While entered, notes the bytes alive after each operation, those of `before` left out."""

    def __init__(self, before: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.along: list[int] = []
        self._now = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in before}

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do the operation and note what it has made."""
        del types
        made = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        self.along.append(self._now)
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            self._now += storage.nbytes()
            # The Python object of a storage lives as long as the storage itself.
            weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size
