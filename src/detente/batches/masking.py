"""Which positions of a block are predicted, and what stands there instead (method 3)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

Blocks = Int[np.ndarray, "blocks block_length"]
Positions = Int[np.ndarray, "blocks targets"]

IGNORED = -100
"""Target of a position that was picked only to keep the shape: cross-entropy's default `ignore_index`."""


@dataclass(frozen=True)
class SpecialTokens:
    """What masking must know of a vocabulary."""

    size: int
    mask_id: int
    special_ids: frozenset[int]

    @cached_property
    def ordinary_ids(self) -> Int[np.ndarray, " ordinary"]:
        """What a random replacement is drawn from."""
        return np.flatnonzero(~self.is_special)

    @cached_property
    def is_special(self) -> Bool[np.ndarray, " size"]:
        """By id."""
        return np.isin(np.arange(self.size), list(self.special_ids))


def mask_blocks(
    blocks: Blocks, special: SpecialTokens, rate: float, random: np.random.Generator
) -> tuple[Blocks, Positions, Positions]:
    """Masked tokens, positions and targets (Devlin et al. 2019, section 3.1: 80 / 10 / 10).

    The same number of positions, round(rate * block length), is picked in every block; special tokens are never targets.
    """
    order = target_order(blocks, special, random)
    return mask_at(blocks, nth_targets(order, 0, rate), special, random)


def num_targets(block_length: int, rate: float) -> int:
    """Positions predicted in a block."""
    return max(1, round(rate * block_length))


def target_order(blocks: Blocks, special: SpecialTokens, random: np.random.Generator) -> Blocks:
    """Positions of each block in random order, special tokens last."""
    return np.argsort(random.random(blocks.shape, dtype=np.float32) + special.is_special[blocks], axis=1)


def nth_targets(order: Blocks, number: int, rate: float) -> Positions:
    """The `number`-th set of positions in an order; the sets of an order are disjoint."""
    count = num_targets(order.shape[1], rate)
    return np.sort(order[:, number * count : (number + 1) * count], axis=1)


def mask_at(
    blocks: Blocks, positions: Positions, special: SpecialTokens, random: np.random.Generator
) -> tuple[Blocks, Positions, Positions]:
    """Masked tokens, positions and targets, where the positions are chosen already."""
    originals = np.take_along_axis(blocks, positions, axis=1)
    is_ordinary = ~special.is_special[originals]
    replaced = _corrupt(originals, special, random)
    masked = blocks.copy()
    np.put_along_axis(masked, positions, np.where(is_ordinary, replaced, originals), axis=1)
    return masked, positions, np.where(is_ordinary, originals, IGNORED)


def _corrupt(originals: np.ndarray, special: SpecialTokens, random: np.random.Generator) -> np.ndarray:
    fate = random.random(originals.shape)
    at_random = random.choice(special.ordinary_ids, size=originals.shape)
    return np.where(fate < 0.8, special.mask_id, np.where(fate < 0.9, at_random, originals))
