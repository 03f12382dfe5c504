"""The text of a run as the diagnoses read it, and the loss that they take."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from detente.batches import WHOLE, MaskedBatch, MaskedStream, evaluation_batches
from detente.diagnose.places import Loss
from detente.pretrain.data import RunData
from detente.pretrain.objective import masked_lm_loss
from detente.settings import RunSettings
from detente.treatment import TreatedEncoder

PURPOSE = "diagnosis"
"""Names the order of the text: another one than training's, so that no batch is the one just trained on, but by chance."""
AT_ONCE = 32
"""Blocks of a validation batch."""
SMALL = 1024
"""Tokens of a step that learns masks: hundreds of small steps tell more than tens of large ones."""


def theta_loss(treated: TreatedEncoder, precision: str) -> Loss:
    """The masked-LM loss as a function of theta, with the batch's language's own phi inside."""

    def loss(parameters: Mapping[str, Tensor], batch: MaskedBatch) -> Tensor:
        return masked_lm_loss(treated, batch, shared=parameters, precision=precision)

    return loss


class RunText:
    """Batches of a run's languages."""

    def __init__(self, settings: RunSettings, data: RunData, device: torch.device) -> None:
        self._settings, self._data, self._device = settings, data, device
        # A stream shuffles its epoch once.
        self._stream = cache(self._open_stream)

    def batches_of(self, blocks: int) -> int:
        """Training batches with so many blocks or a few more."""
        return -(-blocks // self._settings.batches.blocks)

    def blocks_in(self, batches: int) -> int:
        """Of so many training batches."""
        return batches * self._settings.batches.blocks

    def batch(self, language: str, number: int) -> MaskedBatch:
        """Of the training split."""
        return self._stream(language)[number].to(self._device)

    def one_pass(self, language: str, blocks: int) -> list[MaskedBatch]:
        """So many blocks of the training split, at most all: the same text twice would pass for signal."""
        stream = self._stream(language)
        count = min(self.batches_of(blocks), stream.epoch_blocks // self._settings.batches.blocks)
        return [stream[number].to(self._device) for number in range(count)]

    def small_batch(self, language: str, number: int) -> MaskedBatch:
        """The first `SMALL` tokens or so of a training batch."""
        rows = max(1, SMALL // self._settings.batches.block_length)
        return self.batch(language, number).split(rows)[0]

    def validation(self, language: str, batches: int) -> list[MaskedBatch]:
        """So many batches of the validation split at most, the same for every model."""
        tokens = self._data.store.tokens(language, "validation")
        settings, special = self._settings.batches, self._data.special
        found = evaluation_batches(tokens, language, "validation", settings, special, max_blocks=AT_ONCE * batches)
        return [batch.to(self._device) for batch in found]

    def _open_stream(self, language: str) -> MaskedStream:
        settings = self._settings
        tokens, special = self._data.store.tokens(language, "train"), self._data.special
        return MaskedStream(
            tokens,
            language,
            PURPOSE,
            rows=settings.batches.blocks,
            settings=settings.batches,
            special=special,
            seed=settings.seed,
            share=WHOLE,
        )
