"""Theta in groups, one for each layer and kind: inner products are kept for these, and add up to those of any union."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from detente.diagnose.places import Place, place_of
from detente.diagnose.projection import CHUNK


@dataclass(frozen=True)
class Groups:
    """Which group each parameter is in.

    Attributes:
        places: of the groups.
        numbers: of each parameter's group.
        sizes: coordinates of each parameter.
    """

    places: tuple[Place, ...]
    numbers: tuple[int, ...]
    sizes: tuple[int, ...]

    @torch.no_grad()
    def products(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, " groups"]:
        """Inner products in float64: signals are small differences of large squares."""
        found = torch.zeros(len(self.places), dtype=torch.float64, device=first[0].device)
        for number, one, two in zip(self.numbers, first, second, strict=True):
            for x, y in zip(one.flatten().split(CHUNK), two.flatten().split(CHUNK), strict=True):
                found[number] += torch.dot(x.double(), y.double())
        return found


def groups_of(parameters: Mapping[str, Tensor]) -> Groups:
    """By the parameters' names, groups in the order of their first parameter."""
    places = [place_of(name) for name in parameters]
    distinct = tuple(dict.fromkeys(places))
    return Groups(distinct, tuple(map(distinct.index, places)), tuple(p.numel() for p in parameters.values()))
