"""What every step promises: one update from the batches of a step, and a report. It calls nobody back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

timed_part = torch.profiler.record_function
"""Names what is done inside, for `detente profile`."""


@dataclass(frozen=True)
class StepReport:
    """What a step did.

    Attributes:
        loss: mean training loss of each language in the step, in nats, before the update.
        tokens: training tokens processed; held-out batches are not counted.
        gradient_norm: of theta's (and, in a plain step, phi's) gradient before clipping.
        terms: a step's own measurements, such as the meta step's norms, and how many updates were `left_out` because something in
            them was not finite; the losses and the norm are as they were found then.
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
            TrainingError: a loss or gradient is not finite, and the settings let no update be left out. It was not applied, and the last
                checkpoint is intact.
        """


class LossMeter:
    """Mean loss per language over the microbatches of a step."""

    def __init__(self) -> None:
        self.languages: list[str] = []
        self.losses: list[Tensor] = []
        """In the order they were added; sums over the processes may be put in their place."""

    def add(self, language: str, loss: Tensor) -> None:
        """Note a microbatch's loss."""
        self.languages.append(language)
        self.losses.append(loss)

    def read(self, norms: Sequence[Tensor]) -> tuple[dict[str, float], list[float]]:
        """Language -> mean loss, and the norms of gradients. The only time in a plain step that a GPU is waited for."""
        values = torch.stack([*self.losses, *norms]).tolist()
        found: dict[str, list[float]] = {}
        for language, loss in zip(self.languages, values, strict=False):
            found.setdefault(language, []).append(loss)
        return {language: sum(losses) / len(losses) for language, losses in found.items()}, values[len(self.losses) :]
