"""The batches that a score is computed on: the same, masked the same way, for every model and seed."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from detente.batches.batch import MaskedBatch
from detente.batches.masking import IGNORED, SpecialTokens, mask_at, nth_targets, num_targets, target_order
from detente.batches.streams import Tokens
from detente.errors import DataError
from detente.seeds import generator
from detente.settings import BatchSettings

EVALUATED_AT_ONCE = 32
"""Blocks; a constant, so that the masks of an evaluation do not depend on the training batch."""


def evaluation_batches(
    tokens: Tokens,
    language: str,
    split: str,
    settings: BatchSettings,
    special: SpecialTokens,
    *,
    max_blocks: int,
    every_token: bool = False,
) -> Iterator[MaskedBatch]:
    """The first `max_blocks` blocks of a split, in order, masked the same way for every model and seed.

    Args:
        every_token: give each block several times, with disjoint targets, until every ordinary token has been one: a score
            with less noise, at round(1 / mask rate) times the cost.
    """
    length = settings.block_length
    count = min(len(tokens) // length, max_blocks)
    if count == 0:
        raise DataError(
            f"{language}: the {split} split has {len(tokens)} tokens, fewer than one block of {length}. Add text, raise "
            f"`splits.{split}`, or lower `batches.block_length`."
        )
    passes = math.ceil(length / num_targets(length, settings.mask_rate)) if every_token else 1
    for first in range(0, count, EVALUATED_AT_ONCE):
        rows = min(EVALUATED_AT_ONCE, count - first)
        blocks = tokens[first * length : (first + rows) * length].reshape(rows, length).astype(np.int64)
        random = generator("evaluation", language, split, first)
        order = target_order(blocks, special, random)
        for number in range(passes):
            arrays = mask_at(blocks, nth_targets(order, number, settings.mask_rate), special, random)
            masked, positions, targets = (torch.from_numpy(array) for array in arrays)
            row_targets = tuple(np.count_nonzero(arrays[2] != IGNORED, axis=1).tolist())
            yield MaskedBatch(language, masked, positions, targets, 0, row_targets)
