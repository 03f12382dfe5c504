"""Bottleneck adapters after attention and after feed-forward, owned by each language or shared by all."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from detente.encoder import Encoder
from detente.settings import AdapterSettings

SLOTS = ("attention_adapter", "feed_forward_adapter")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}


class Adapter(nn.Module):
    """o = W_up g(W_down z + b) + b' + z (method 4; Houlsby et al. 2019).

    W_up starts at zero, so that an adapter begins as the identity.
    """

    def __init__(self, width: int, bottleneck: int, activation: str, generator: torch.Generator) -> None:
        super().__init__()
        self.down = nn.Linear(width, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        self.activation = ACTIVATIONS[activation]
        nn.init.normal_(self.down.weight, std=width**-0.5, generator=generator)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, z: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        return z + self.up(self.activation(self.down(z)))


class SharedAdapters:
    """`shared-adapter`: adapters in every slot, owned by no language: the ablation for plain extra capacity."""

    def install(self, encoder: Encoder, settings: AdapterSettings, generator: torch.Generator) -> None:
        """Fill both slots of every block."""
        width = encoder.settings.width
        bottleneck = settings.width or width // 4
        for block in encoder.blocks:
            for slot in SLOTS:
                adapter = Adapter(width, bottleneck, settings.activation, generator)
                setattr(block, slot, adapter.to(encoder.output_bias))

    def owned_modules(self, encoder: Encoder) -> Iterator[str]:
        """No module."""
        del encoder
        yield from ()


class LanguageAdapters(SharedAdapters):
    """`adapter`: adapters in every slot, a set for each language."""

    def owned_modules(self, encoder: Encoder) -> Iterator[str]:
        """Every adapter."""
        yield from (f"blocks.{i}.{slot}" for i in range(len(encoder.blocks)) for slot in SLOTS)
