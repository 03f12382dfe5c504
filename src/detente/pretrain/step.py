"""What every step promises: one update from the batches of a step, and a report. It calls nobody back."""

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from detente.errors import TrainingError
from detente.pretrain.optimizer import finite_norm

timed_part = torch.profiler.record_function
"""Names what is done inside, for `detente profile`."""


@dataclass(frozen=True)
class StepReport:
    """What a step did.

    Attributes:
        loss: mean training loss of each language in the step, in nats, before the update.
        tokens: training tokens processed; held-out batches are not counted.
        gradient_norm: of theta's (and, in a plain step, phi's) gradient before clipping.
        terms: a step's own measurements, such as the meta step's norms.
    """

    loss: dict[str, float]
    tokens: int
    gradient_norm: float
    learning_rate: float
    terms: dict[str, float] = field(default_factory=dict)


class Step(Protocol):
    """One optimizer update."""

    def __call__(self, number: int) -> StepReport:
        """Do step `number`, counted from 0.

        Raises:
            TrainingError: a loss or gradient is not finite; it was not applied, and the last checkpoint is intact.
        """


class LossMeter:
    """Mean loss per language over the microbatches of a step."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._languages: list[str] = []
        self.losses: list[Tensor] = []
        """In the order they were added; sums over the processes may be put in their place."""

    def add(self, language: str, loss: Tensor) -> None:
        """Note a microbatch's loss."""
        self._languages.append(language)
        self.losses.append(loss)

    def read(self, norm: Tensor) -> tuple[dict[str, float], float]:
        """Language -> mean loss, and the gradient's norm. The only time in a plain step that a GPU is waited for.

        Raises:
            TrainingError: a loss or the norm is not finite.
        """
        *losses, last = torch.stack([*self.losses, norm]).tolist()
        found: dict[str, list[float]] = {}
        for language, loss in zip(self._languages, losses, strict=True):
            found.setdefault(language, []).append(self._finite(language, loss))
        means = {language: sum(values) / len(values) for language, values in found.items()}
        return means, finite_norm(self._step, last)

    def _finite(self, language: str, loss: float) -> float:
        if not math.isfinite(loss):
            raise TrainingError(
                f"step {self._step}: the loss of {language} is not finite ({loss}). The last checkpoint is intact. Lower "
                "`training.learning_rate`, or raise `training.warmup_steps`."
            )
        return loss
