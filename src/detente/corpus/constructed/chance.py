"""Reproducible chance: the same on every machine, platform and Python version.

Only `random.Random.random` is used, whose sequence Python promises to keep; seeds come from BLAKE2b, never from `hash`.
"""

import hashlib
import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

Item = TypeVar("Item")


def stable_fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    return _stable_integer(*parts) / 2**64


def stable_random(*parts: object) -> random.Random:
    """A generator that depends on the parts alone."""
    return random.Random(_stable_integer(*parts))


def _stable_integer(*parts: object) -> int:
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Weighted(Generic[Item]):
    """Things to draw from, each with its weight."""

    def __init__(self, items: Sequence[Item], weights: Sequence[float]) -> None:
        total = sum(weights)
        self.items = tuple(items)
        # The last bound is left out, so that rounding never points past the end.
        self._bounds = tuple(accumulate(weight / total for weight in weights))[:-1]

    def draw(self, rng: random.Random) -> Item:
        return self.items[bisect_right(self._bounds, rng.random())]


def zipfian(items: Sequence[Item], *, shift: float = 1.0) -> Weighted[Item]:
    """The item of rank r, counted from 0, weighs 1 / (r + shift)."""
    return Weighted(items, [1 / (rank + shift) for rank in range(len(items))])


def favourites(rng: random.Random, items: Sequence[Item], num_items: int) -> list[Item]:
    """Some items in a random order in which early ones tend to come first.

    Weighted sampling without replacement (Efraimidis and Spirakis 2006) with Zipfian weights: what is common in one
    place is likely, not certain, to be common in another.
    """
    keys = [rng.random() ** (rank + 1) for rank in range(len(items))]
    order = sorted(range(len(items)), key=lambda rank: -keys[rank])
    return [items[rank] for rank in order[:num_items]]
