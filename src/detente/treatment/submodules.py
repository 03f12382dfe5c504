"""Treatments that add no module: every language owns a copy of part of each block, or of nothing."""

from collections.abc import Iterator

import torch

from detente.encoder import Encoder
from detente.settings import AdapterSettings


class Untreated:
    """`none`: everything is shared."""

    def install(self, encoder: Encoder, settings: AdapterSettings, generator: torch.Generator) -> None:
        """Nothing to add."""

    def owned_modules(self, encoder: Encoder) -> Iterator[str]:
        """No module."""
        del encoder
        yield from ()


class OwnFeedForward(Untreated):
    """`ffn`: a copy of every feed-forward block."""

    def owned_modules(self, encoder: Encoder) -> Iterator[str]:
        """The feed-forward of each block."""
        yield from (f"blocks.{i}.feed_forward" for i in range(len(encoder.blocks)))


class OwnAttention(Untreated):
    """`attention`: a copy of every self-attention block."""

    def owned_modules(self, encoder: Encoder) -> Iterator[str]:
        """The self-attention of each block."""
        yield from (f"blocks.{i}.attention" for i in range(len(encoder.blocks)))
