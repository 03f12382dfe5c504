"""A seeded random projection of gradients that keeps inner products, group by group (CountSketch).

Every coordinate is added to one bucket of its group, drawn at random, with a random sign (Charikar, Chen and Farach-Colton 2002;
Weinberger et al. 2009). Then E<Pa, Pb> = <a, b>, with a variance of at most (|a|^2 |b|^2 + <a, b>^2) / width in each group. The
projection is linear, and nothing of it is stored: buckets and signs are drawn again, the same, for each gradient.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK = 1 << 20
"""Coordinates at a time: what is drawn for them stays small beside a gradient."""


@dataclass(frozen=True)
class Projection:
    """Of tensors that together are one gradient.

    Attributes:
        sizes: coordinates of each tensor.
        groups: number of each tensor's group, from 0 without gaps.
        width: buckets of a group. A group with no more coordinates than that keeps them as they are.
    """

    sizes: tuple[int, ...]
    groups: tuple[int, ...]
    width: int
    seed: int

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Buckets of each group."""
        return tuple(min(self.width, size) for size in self.group_sizes)

    @cached_property
    def group_sizes(self) -> tuple[int, ...]:
        """Coordinates of each group."""
        found = [0] * (max(self.groups) + 1)
        for group, size in zip(self.groups, self.sizes, strict=True):
            found[group] += size
        return tuple(found)

    @torch.no_grad()
    def __call__(self, tensors: Sequence[Tensor]) -> Float[Tensor, " buckets"]:
        """All groups one after the other; `split` takes them apart."""
        device, dtype = tensors[0].device, torch.promote_types(tensors[0].dtype, torch.float32)
        # Two places for each bucket, one for each sign: drawing a place draws both.
        signed = torch.zeros(2 * sum(self.widths), device=device, dtype=dtype)
        for tensor, places in zip(tensors, self._places(device), strict=True):
            for chunk, where in zip(tensor.flatten().split(CHUNK), places, strict=True):
                signed.index_add_(0, where, chunk.to(dtype))
        return signed[0::2] - signed[1::2]

    def split(self, projected: Float[Tensor, "*rows buckets"]) -> tuple[Float[Tensor, "*rows width"], ...]:
        """The buckets of each group."""
        return projected.split(self.widths, dim=-1)

    def _places(self, device: torch.device) -> Iterator[Iterator[Tensor]]:
        """For each tensor, in chunks, where its coordinates go."""
        random = torch.Generator(device).manual_seed(self.seed)
        starts = [0]
        for width in self.widths:
            starts.append(starts[-1] + 2 * width)
        taken = starts[:-1]
        for size, group in zip(self.sizes, self.groups, strict=True):
            if self.group_sizes[group] > self.width:
                yield _drawn(size, starts[group], starts[group + 1], random)
            else:
                yield iter(torch.arange(taken[group], taken[group] + 2 * size, 2, device=device).split(CHUNK))
                taken[group] += 2 * size


def _drawn(size: int, low: int, high: int, random: torch.Generator) -> Iterator[Tensor]:
    for done in range(0, size, CHUNK):
        yield torch.randint(low, high, (min(CHUNK, size - done),), generator=random, device=random.device)
