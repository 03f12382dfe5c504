"""One Transformer block, post-norm (XLM) or pre-norm (modern), with two empty slots for adapters.

Legend: B blocks of text, T tokens, M positions asked for (T when none are named), D width, H heads, K head width.

Each block can be asked for some positions only: then only these ask (queries), while all tokens answer (keys, values).
The last block of a masked-LM step needs nothing else, which saves about a fifth of the step and changes no loss.

Where `mask_BT` is False stands padding: it answers nobody, and what comes out there means nothing.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from detente.encoder.dropout import Dropout, drop
from detente.settings import EncoderSettings


class Attention(nn.Module):
    """Bidirectional multi-head self-attention (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, settings: EncoderSettings, *, bias: bool, rotary_length: int | None = None) -> None:
        super().__init__()
        width = settings.width
        self.heads = settings.heads
        self.dropout = settings.attention_dropout
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)
        self.rotary = Rotary(width // settings.heads, rotary_length) if rotary_length else NoRotation()

    def forward(
        self,
        x_BTD: Float[Tensor, "B T D"],
        positions_BM: Int[Tensor, "B M"] | None = None,
        mask_BT: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B M D"]:
        q_BHMK = self.rotary(self._split(self.query(take(x_BTD, positions_BM))), positions_BM)
        k_BHTK = self.rotary(self._split(self.key(x_BTD)), None)
        v_BHTK = self._split(self.value(x_BTD))
        dropout = self.dropout if self.training else 0.0
        mask_B11T = None if mask_BT is None else mask_BT[:, None, None]
        attend = attend_with_cheap_masks if dropout and x_BTD.device.type == "cpu" else F.scaled_dot_product_attention
        mixed_BHMK = attend(q_BHMK, k_BHTK, v_BHTK, attn_mask=mask_B11T, dropout_p=dropout)
        return self.output(mixed_BHMK.transpose(1, 2).flatten(2))

    def _split(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def attend_with_cheap_masks(
    q_BHMK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, *, attn_mask: Tensor | None, dropout_p: float
) -> Tensor:
    """What torch does on a CPU, where fused attention has no dropout, with masks that cost less."""
    scores_BHMT = (q_BHMK * q_BHMK.shape[-1] ** -0.5) @ k_BHTK.transpose(-1, -2)
    if attn_mask is not None:
        scores_BHMT = scores_BHMT.masked_fill(~attn_mask, float("-inf"))
    return drop(scores_BHMT.softmax(dim=-1), dropout_p) @ v_BHTK


class Rotary(nn.Module):
    """Rotary positions (Su et al. 2021, equation 34): each pair of channels turns by an angle proportional to its position."""

    cosine_TK: Tensor
    sine_TK: Tensor

    def __init__(self, head_width: int, length: int) -> None:
        super().__init__()
        frequency = 10_000.0 ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
        angle_TK = torch.outer(torch.arange(length, dtype=torch.float64), frequency).repeat(1, 2)
        self.register_buffer("cosine_TK", angle_TK.cos().to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("sine_TK", angle_TK.sin().to(torch.get_default_dtype()), persistent=False)

    def forward(self, x_BHMK: Tensor, positions_BM: Tensor | None) -> Tensor:
        if positions_BM is None:
            cosine, sine = self.cosine_TK[: x_BHMK.shape[2]], self.sine_TK[: x_BHMK.shape[2]]
        else:
            cosine, sine = self.cosine_TK[positions_BM].unsqueeze(1), self.sine_TK[positions_BM].unsqueeze(1)
        first, second = x_BHMK.chunk(2, dim=-1)
        return x_BHMK * cosine + torch.cat((-second, first), dim=-1) * sine


class NoRotation(nn.Module):
    """Stands in for `Rotary` where positions are embedded."""

    def forward(self, x_BHMK: Tensor, positions_BM: Tensor | None) -> Tensor:  # noqa: ARG002 - Rotary's signature
        return x_BHMK


class FeedForward(nn.Module):
    """Two linear maps with GELU between (XLM)."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.inner = nn.Linear(settings.width, settings.feed_forward_width)
        self.output = nn.Linear(settings.feed_forward_width, settings.width)

    def forward(self, x: Float[Tensor, "B M D"]) -> Float[Tensor, "B M D"]:
        return self.output(F.gelu(self.inner(x)))


class GatedFeedForward(nn.Module):
    """GEGLU (Shazeer 2020, equation 6), without biases."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.gate = nn.Linear(settings.width, settings.feed_forward_width, bias=False)
        self.inner = nn.Linear(settings.width, settings.feed_forward_width, bias=False)
        self.output = nn.Linear(settings.feed_forward_width, settings.width, bias=False)

    def forward(self, x: Float[Tensor, "B M D"]) -> Float[Tensor, "B M D"]:
        return self.output(F.gelu(self.gate(x)) * self.inner(x))


class Block(nn.Module):
    """Attention, then feed-forward, each followed by an adapter slot that is empty unless a treatment fills it.

    `forward(x_BTD, positions_BM=None, mask_BT=None)` gives the hidden states after the block, at the positions asked for or everywhere.
    """

    attention: Attention
    feed_forward: nn.Module

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.attention_adapter: nn.Module = nn.Identity()
        self.feed_forward_adapter: nn.Module = nn.Identity()
        self.dropout = Dropout(dropout)


class PostNormBlock(Block):
    """XLM's block: the norm comes after each residual sum."""

    def __init__(self, settings: EncoderSettings, length: int) -> None:  # noqa: ARG002 - PreNormBlock's signature
        super().__init__(settings.dropout)
        self.attention = Attention(settings, bias=True)
        self.attention_norm = nn.LayerNorm(settings.width, eps=1e-12)
        self.feed_forward = FeedForward(settings)
        self.feed_forward_norm = nn.LayerNorm(settings.width, eps=1e-12)

    def forward(self, x_BTD: Tensor, positions_BM: Tensor | None = None, mask_BT: Tensor | None = None) -> Tensor:
        mixed = self.dropout(self.attention_adapter(self.attention(x_BTD, positions_BM, mask_BT)))
        x_BMD = self.attention_norm(take(x_BTD, positions_BM) + mixed)
        return self.feed_forward_norm(x_BMD + self.dropout(self.feed_forward_adapter(self.feed_forward(x_BMD))))


class PreNormBlock(Block):
    """Modern block: the norm comes before each sublayer, the residual path stays clean."""

    def __init__(self, settings: EncoderSettings, length: int) -> None:
        super().__init__(settings.dropout)
        self.attention_norm = nn.LayerNorm(settings.width, bias=False)
        self.attention = Attention(settings, bias=False, rotary_length=length)
        self.feed_forward_norm = nn.LayerNorm(settings.width, bias=False)
        self.feed_forward = GatedFeedForward(settings)

    def forward(self, x_BTD: Tensor, positions_BM: Tensor | None = None, mask_BT: Tensor | None = None) -> Tensor:
        mixed = self.attention(self.attention_norm(x_BTD), positions_BM, mask_BT)
        x_BMD = take(x_BTD, positions_BM) + self.dropout(self.attention_adapter(mixed))
        changed = self.feed_forward(self.feed_forward_norm(x_BMD))
        return x_BMD + self.dropout(self.feed_forward_adapter(changed))


def take(x_BTD: Float[Tensor, "B T D"], positions_BM: Int[Tensor, "B M"] | None) -> Float[Tensor, "B M D"]:
    """The hidden states at the positions asked for; all of them when none are named."""
    if positions_BM is None:
        return x_BTD
    return x_BTD.gather(1, positions_BM.unsqueeze(-1).expand(-1, -1, x_BTD.shape[-1]))
