"""What a measurement of gradient conflict takes, said before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from detente.diagnose.gradient_groups import groups_of
from detente.diagnose.projection import Projection

WIDTH = 2048
SMALL_BYTES = 16 * 2**20
"""Not worth saving, however small a gradient is."""


@dataclass(frozen=True)
class ConflictCost:
    """Of `gradient_conflict`.

    Attributes:
        passes: forward and backward passes, a microbatch each: nearly all of the time.
        is_exact: whether every language's gradient is kept; else their projections.
        width: of the projection, numbers in each group.
        copy_bytes: of one gradient.
        sum_copies: gradients that are kept beside the one that a training step has too.
        projection_bytes: of the projections of all parts.
    """

    passes: int
    is_exact: bool
    width: int
    copy_bytes: int
    sum_copies: int
    projection_bytes: int

    @property
    def extra_bytes(self) -> int:
        """Memory above that of a training step; intervals take some tens of megabytes more with a hundred languages."""
        return self.sum_copies * self.copy_bytes + self.projection_bytes

    def __str__(self) -> str:
        copies = self.extra_bytes / self.copy_bytes
        how = "exact" if self.is_exact else f"projected to {self.width:,} numbers a group"
        return (
            f"{self.passes:,} forward and backward passes; {self.extra_bytes / 2**20:,.0f} MiB more memory than a training step "
            f"({copies:.1f} gradients); {how}"
        )


def conflict_cost(
    parameters: Mapping[str, Tensor],
    *,
    languages: int,
    microbatches: int,
    parts: int = 8,
    exact_up_to: int = 4,
    width: int = WIDTH,
) -> ConflictCost:
    """Of `gradient_conflict` with these settings, for so many languages with so many microbatches each."""
    used = microbatches // min(parts, microbatches) * min(parts, microbatches)
    is_exact = languages <= exact_up_to
    projection = projection_for(parameters, languages=languages, parts=parts, width=width)
    element = projected_dtype(parameters).itemsize
    return ConflictCost(
        passes=languages * used,
        is_exact=is_exact,
        width=projection.width,
        copy_bytes=sum(p.numel() * p.element_size() for p in parameters.values()),
        sum_copies=languages if is_exact else 1,
        projection_bytes=languages * parts * sum(projection.widths) * element,
    )


def projection_for(
    parameters: Mapping[str, Tensor], *, languages: int, parts: int, width: int, seed: int = 0
) -> Projection:
    """As wide as asked for, but with all parts of all languages not larger than one gradient, or `SMALL_BYTES`."""
    groups, element = groups_of(parameters), projected_dtype(parameters).itemsize
    numbers = max(sum(groups.sizes), SMALL_BYTES // element)
    affordable = max(1, numbers // (languages * parts * len(groups.places)))
    return Projection(groups.sizes, groups.numbers, min(width, affordable), seed)


def projected_dtype(parameters: Mapping[str, Tensor]) -> torch.dtype:
    """Of the projections."""
    return torch.promote_types(next(iter(parameters.values())).dtype, torch.float32)
