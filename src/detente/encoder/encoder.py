"""Embeddings, blocks and the tied masked-LM head.

Legend: B blocks of text, T tokens, M positions asked for (T when none are named), D width, V vocabulary.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from detente.encoder.blocks import Block, PostNormBlock, PreNormBlock
from detente.encoder.dropout import Dropout
from detente.settings import EncoderSettings

Mask = Bool[Tensor, "B T"] | Int[Tensor, "B T"]
BLOCKS: dict[str, Callable[[EncoderSettings, int], Block]] = {"xlm": PostNormBlock, "modern": PreNormBlock}


class Encoder(nn.Module):
    """A bidirectional Transformer encoder for masked language modelling (method 3).

    It knows neither treatments nor languages' parameters: a treatment fills its adapter slots and says which of its
    parameters each language owns (`detente.treatment`).

    Args:
        settings: its shape.
        vocabulary_size: entries of the vocabulary; embedding and output projection are tied.
        block_length: the longest input, in tokens.
        num_languages: rows of the language embedding, where the settings ask for one.
        seed: of the initial weights; all but the language embedding's are the same whatever `num_languages`.
    """

    def __init__(
        self,
        settings: EncoderSettings,
        vocabulary_size: int,
        *,
        block_length: int,
        num_languages: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        is_xlm = settings.variant == "xlm"
        self.settings = settings
        self.block_length = block_length
        self.token_embedding = nn.Embedding(vocabulary_size, settings.width)
        self.position_embedding = nn.Embedding(block_length, settings.width) if is_xlm else None
        self.language_embedding = nn.Embedding(num_languages, settings.width) if settings.language_embedding else None
        self.embedding_norm = nn.LayerNorm(settings.width, eps=1e-12) if is_xlm else nn.Identity()
        self.dropout = Dropout(settings.dropout)
        make_block = BLOCKS[settings.variant]
        self.blocks = nn.ModuleList(make_block(settings, block_length) for _ in range(settings.layers))
        self.final_norm = nn.Identity() if is_xlm else nn.LayerNorm(settings.width, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary_size))
        self._initialise(torch.Generator().manual_seed(seed))

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        language: int | Int[Tensor, ""] = 0,
        positions: Int[Tensor, "B M"] | None = None,
        mask: Mask | None = None,
    ) -> Float[Tensor, "B M V"]:
        """Logits over the vocabulary, at `positions` or everywhere.

        Args:
            language: index of the language, for the language embedding.
            positions: where predictions are wanted; the rest of the last block and of the head is not computed.
            mask: True or 1 where a token is real, False or 0 where it is padding; every row needs a real one. What comes
                out at a real token does not depend on the padding.
        """
        x_BMD = self.encode(tokens, language, positions, mask)
        return F.linear(x_BMD, self.token_embedding.weight, self.output_bias)

    def encode(
        self,
        tokens: Int[Tensor, "B T"],
        language: int | Int[Tensor, ""] = 0,
        positions: Int[Tensor, "B M"] | None = None,
        mask: Mask | None = None,
    ) -> Float[Tensor, "B M D"]:
        """Hidden states after the last block, as `forward` before the output projection."""
        x_BTD, mask_BT = self._embed(tokens, language), None if mask is None else mask.bool()
        *lower, last = self.blocks
        for block in lower:
            x_BTD = block(x_BTD, None, mask_BT)
        return self.final_norm(last(x_BTD, positions, mask_BT))

    def hidden_states(
        self, tokens: Int[Tensor, "B T"], language: int | Int[Tensor, ""] = 0, mask: Mask | None = None
    ) -> list[Float[Tensor, "B T D"]]:
        """The embeddings, then the output of every block (`encode` gives the last after the final norm)."""
        states, mask_BT = [self._embed(tokens, language)], None if mask is None else mask.bool()
        for block in self.blocks:
            states.append(block(states[-1], None, mask_BT))
        return states

    def _embed(self, tokens: Tensor, language: int | Tensor) -> Tensor:
        x_BTD = self.token_embedding(tokens)
        if self.position_embedding is not None:
            x_BTD = x_BTD + self.position_embedding.weight[: tokens.shape[1]]
        if self.language_embedding is not None:
            # A row by number is a view; a row by tensor, which a compiled graph needs, must not wait for the device.
            row = self.language_embedding
            x_BTD = x_BTD + (row(language) if isinstance(language, Tensor) else row.weight[language])
        return self.dropout(self.embedding_norm(x_BTD))

    def _initialise(self, generator: torch.Generator) -> None:
        """Normal weights of deviation 0.02, zero biases; what writes to the residual path is scaled down with depth.

        The language embedding comes last, so that all other weights are the same for mono and joint encoders of a seed.
        """
        named = sorted(self.named_parameters(), key=lambda item: item[0].startswith("language_embedding"))
        for name, parameter in named:
            if parameter.dim() == 2:
                writes_residual = name.endswith("output.weight")
                scale = 1 / math.sqrt(2 * len(self.blocks)) if writes_residual else 1.0
                nn.init.normal_(parameter, std=0.02 * scale, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)


class HiddenStates(nn.Module):
    """What `functional_call` calls for hidden states, where the encoder itself would give logits; its parameters begin with `encoder.`."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, tokens: Int[Tensor, "B T"], language: int, mask: Mask | None = None
    ) -> tuple[Float[Tensor, "B T D"], ...]:
        """The embeddings and the output of every block, the last after the final norm."""
        *lower, last = self.encoder.hidden_states(tokens, language, mask)
        return (*lower, self.encoder.final_norm(last))
