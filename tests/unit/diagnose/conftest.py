"""A model of Hugging Face's, small."""

from collections.abc import Callable
from typing import Any

import pytest
import torch


@pytest.fixture
def make_bert() -> Callable[..., Any]:
    """Gives a masked language model of two layers, random but the same each time; skips where transformers is not installed."""

    def make(vocabulary: int, length: int, *, width: int = 16, heads: int = 2, inner: int = 24, **more: Any) -> Any:
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=heads,
            intermediate_size=inner,
            max_position_embeddings=length,
            **more,
        )
        return transformers.BertForMaskedLM(config).eval()

    return make
