"""Where in a network a parameter stands, read from its name: the layer, and the kind of module."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

Loss = Callable[[Mapping[str, Tensor], Any], Tensor]
"""Mean loss of a batch of one language at these parameters: a scalar, a pure function of both.

What draws random numbers (dropout) must draw the same for the same batch, or be switched off."""

INDEPENDENT = "does not depend on the parameters it is given. Compute it with `torch.func.functional_call(model, parameters, ...)`."
"""What is said of a loss that has no gradient."""

LAYER = re.compile(r"(?:^|\.)(\d+)(?:\.|$)")
# The first that occurs decides: Hugging Face's BERT has `attention.output.dense` beside `output.dense`.
KINDS = {
    "adapter": ("adapter",),
    "embedding": ("embed", "wte", "wpe"),
    "attention": ("attn", "attention", "query", "key", "value"),
    "ffn": ("feed_forward", "ffn", "mlp", "intermediate", "output.dense", "lin1", "lin2", "fc1", "fc2"),
}


class Place(NamedTuple):
    """Of a parameter."""

    layer: int | None
    """Counted from 0; None outside the layers."""
    kind: str
    """adapter, embedding, attention, ffn or other."""


def place_of(name: str) -> Place:
    """By the first number and the first known word in a parameter's name."""
    found = LAYER.search(name)
    kind = next((kind for kind, words in KINDS.items() if any(word in name.lower() for word in words)), "other")
    return Place(int(found[1]) if found else None, kind)
