"""A masked batch, and the numbered batches of one language's stream.

Several processes share the rows of a batch: process r of W takes rows r, r + W, r + 2W, ... So the first rows of a batch are the
first rows of every share, and a part of a batch is the same part whatever the number of processes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from detente.batches.masking import IGNORED, Blocks, SpecialTokens, mask_blocks
from detente.batches.streams import BlockStream, Tokens
from detente.errors import ConfigError
from detente.seeds import derive_seed, generator
from detente.settings import BatchSettings


@dataclass(frozen=True)
class MaskedBatch:
    """Blocks of one language with the positions to predict.

    Attributes:
        tokens, positions, targets: this process's rows. Positions are indices into each block, ascending, the same number in
            each; a target is the token that stood there, `IGNORED` where a block has too few ordinary tokens.
        seed: of the dropout masks, so that a loss is a pure function of parameters and batch.
        row_targets: targets in each row of the whole batch, those of other processes included.
        number: batches of this language and split that came before.
    """

    language: str
    tokens: Int[Tensor, "blocks block_length"]
    positions: Int[Tensor, "blocks targets"]
    targets: Int[Tensor, "blocks targets"]
    seed: int
    row_targets: tuple[int, ...]
    number: int = 0
    rank: int = 0
    world_size: int = 1

    @property
    def num_targets(self) -> int:
        """Of the whole batch: what the sum of losses is divided by, so that the processes' losses add up to its mean."""
        return max(sum(self.row_targets), 1)

    @property
    def num_tokens(self) -> int:
        """Of the whole batch."""
        return len(self.row_targets) * self.tokens.shape[1]

    def split(self, rows: int) -> "tuple[MaskedBatch, MaskedBatch | None]":
        """The first so many rows of the whole batch as a batch, and the rest; None when nothing is left."""
        if rows >= len(self.row_targets):
            return self, None
        own = len(range(self.rank, rows, self.world_size))
        rest = derive_seed(self.seed, "rest")
        return self._part(slice(own), slice(rows), self.seed), self._part(slice(own, None), slice(rows, None), rest)

    def to(self, device: torch.device) -> "MaskedBatch":
        """The same batch on another device; a pinned one does not wait for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned_for(self, device: torch.device) -> "MaskedBatch":
        """In memory that a GPU copies from by itself; as it is for a CPU."""
        return self._each(Tensor.pin_memory) if device.type == "cuda" else self

    def _each(self, change: Callable[[Tensor], Tensor]) -> "MaskedBatch":
        tokens, positions, targets = change(self.tokens), change(self.positions), change(self.targets)
        return replace(self, tokens=tokens, positions=positions, targets=targets)

    def _part(self, own: slice, of_all: slice, seed: int) -> "MaskedBatch":
        return replace(
            self,
            tokens=self.tokens[own],
            positions=self.positions[own],
            targets=self.targets[own],
            seed=seed,
            row_targets=self.row_targets[of_all],
        )


@dataclass(frozen=True)
class Share:
    """Which process this is, of how many that share every batch."""

    rank: int = 0
    world_size: int = 1


WHOLE = Share()
"""One process has every row."""


class MaskedStream:
    """The batches of one language and split by number, in an endless order.

    Args:
        purpose: names the order and the masks; the same text can be drawn from in two orders.
        rows: in a batch, over all processes.

    Raises:
        DataError: the text is too short.
    """

    def __init__(
        self,
        tokens: Tokens,
        label: str,
        purpose: str,
        *,
        rows: int,
        settings: BatchSettings,
        special: SpecialTokens,
        seed: int,
        share: Share,
    ) -> None:
        self._stream = BlockStream(tokens, settings.block_length, label, purpose, seed)
        self._label, self._rows, self._rate, self._special = label, rows, settings.mask_rate, special
        self._purpose, self._share = (seed, label, purpose), share

    @property
    def epoch_blocks(self) -> int:
        """Blocks in one pass over the text."""
        return self._stream.blocks_in_epoch

    def __getitem__(self, number: int) -> MaskedBatch:
        seed, label, purpose = self._purpose
        blocks = self._stream.blocks(number * self._rows, self._rows)
        random = generator(seed, "mask", label, purpose, number)
        tokens, positions, targets = mask_blocks(blocks, self._special, self._rate, random)
        row_targets = tuple(np.count_nonzero(targets != IGNORED, axis=1).tolist())
        rank, world_size = self._share.rank, self._share.world_size
        return MaskedBatch(
            language=label,
            tokens=_own_rows(tokens, self._share),
            positions=_own_rows(positions, self._share),
            targets=_own_rows(targets, self._share),
            seed=derive_seed(seed, "dropout", label, purpose, number, rank),
            row_targets=row_targets,
            number=number,
            rank=rank,
            world_size=world_size,
        )


def _own_rows(array: Blocks, share: Share) -> Int[Tensor, "own_blocks _"]:
    return torch.from_numpy(np.ascontiguousarray(array[share.rank :: share.world_size]))


def rows_in(fraction: float, settings: BatchSettings, share: Share, *, setting: str) -> int:
    """Rows in a share of a batch, at least one.

    Raises:
        ConfigError: fewer than there are processes.
    """
    rows = max(1, round(fraction * settings.blocks))
    if rows < share.world_size:
        raise ConfigError(
            f"`{setting}` of {settings.blocks} blocks is {rows}, fewer than the {share.world_size} processes. Raise it or "
            "`batches.blocks`."
        )
    return rows
