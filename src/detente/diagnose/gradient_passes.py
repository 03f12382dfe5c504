"""The gradient of one language's batch, part by part: never more at a time than one part's and their sum."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from detente.diagnose.gradient_groups import Groups
from detente.diagnose.places import INDEPENDENT, Loss
from detente.diagnose.projection import Projection
from detente.errors import ConfigError, DataError, TrainingError

FEWEST_MICROBATCHES = 2
"""Of a language: noise shows in differences between them."""


@dataclass(frozen=True)
class LanguageGradient:
    """What is kept of a language: m, the mean of its parts' gradients a_r, and these projected.

    Attributes:
        microbatches: how many m is the mean of.
        left_out: how many were not needed to fill the parts evenly.
        mean: m, by parameter; None where projections alone are kept.
        square: |m|^2.
        part_squares: |a_r|^2.
    """

    microbatches: int
    left_out: int
    mean: list[Tensor] | None
    square: Float[Tensor, " groups"]
    part_squares: Float[Tensor, "parts groups"]
    projected: Float[Tensor, "parts buckets"]

    @property
    def num_parts(self) -> int:
        return len(self.part_squares)


@dataclass(frozen=True)
class Measuring:
    """How every language is measured.

    Attributes:
        leaves: theta, by name, apart from the module's own tensors: gradients are collected here.
        keeps_means: whether m outlives the measurement.
    """

    loss: Loss
    leaves: Mapping[str, Tensor]
    groups: Groups
    projection: Projection
    keeps_means: bool

    def __call__(
        self, language: str, parts: Sequence[Sequence[Any]], *, left_out: int, advance: Callable[[int], None]
    ) -> LanguageGradient:
        """Run all passes of one language.

        Raises:
            TrainingError: a gradient is not finite.
            ConfigError: the loss does not depend on the parameters.
        """
        total: list[Tensor] = []
        squares, projected = [], []
        for part in parts:
            gradient = self._gradient(part, language, advance)
            squares.append(self._finite(self.groups.products(gradient, gradient), language))
            projected.append(self.projection(gradient))
            if total:
                torch._foreach_add_(total, gradient)
            else:
                total = gradient
            # Else it would lie in memory beside the next one.
            del gradient
        torch._foreach_div_(total, len(parts))
        return LanguageGradient(
            microbatches=sum(map(len, parts)),
            left_out=left_out,
            mean=total if self.keeps_means else None,
            square=self.groups.products(total, total),
            part_squares=torch.stack(squares),
            projected=torch.stack(projected),
        )

    def _gradient(self, part: Sequence[Any], language: str, advance: Callable[[int], None]) -> list[Tensor]:
        """Mean over a part's microbatches, added up in place, parameter by parameter."""
        leaves = list(self.leaves.values())
        for batch in part:
            with torch.enable_grad():
                value = self.loss(self.leaves, batch) / len(part)
            if value.requires_grad:
                torch.autograd.backward(value, inputs=leaves)
            advance(1)
        if all(leaf.grad is None for leaf in leaves):
            raise ConfigError(f"the loss of {language} {INDEPENDENT}")
        gradient = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = None
        return gradient

    def _finite(self, squares: Float[Tensor, " groups"], language: str) -> Float[Tensor, " groups"]:
        if not torch.isfinite(squares).all():
            raise TrainingError(
                f"a gradient of {language} is not finite. Measure before training diverges, or look at this language's text."
            )
        return squares


def divide(batches: Sequence[Any], parts: int, language: str) -> list[Sequence[Any]]:
    """Consecutive parts of the same number of microbatches, of one each where there are too few; a rest is left out.

    Raises:
        DataError: there are fewer than two microbatches.
    """
    if len(batches) < FEWEST_MICROBATCHES:
        raise DataError(
            f"{language} has {len(batches)} microbatches; its gradient is measured on two parts at least. "
            "Give more, or smaller ones."
        )
    parts = min(parts, len(batches))
    size = len(batches) // parts
    return [batches[number * size : (number + 1) * size] for number in range(parts)]
