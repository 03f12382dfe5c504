"""Dropout whose masks cost little on a CPU.

There torch draws a float for every element, an eighth of a step (docs/performance.md). Sixteen random bits an element are enough: they are drawn as whole
words, and an element is dropped when its bits, as a number, are below p * 2^16.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LANES = 2**16


class Dropout(nn.Dropout):
    """Zeroes elements with probability `p`, to 1 / 2^17, and scales the rest up, in training."""

    def forward(self, input: Tensor) -> Tensor:
        return drop(input, self.p if self.training else 0.0)


def drop(x: Tensor, p: float) -> Tensor:
    """`x` with elements zeroed with probability `p`; draws from torch's global generator."""
    if p == 0.0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, p)
    # In float32 at least: the scale rounded to bf16 would be a bias.
    return (x * keep_mask(x, p)).to(x.dtype)


def keep_mask(like: Tensor, p: float) -> Tensor:
    """0 where an element is dropped, else 1 over the share that is kept, so that means are kept exactly."""
    dropped = min(round(p * LANES), LANES - 1)
    words = torch.empty((like.numel() + 3) // 4, dtype=torch.int64)
    # Without bounds only 63 bits are drawn, and one lane in four would be biased.
    lanes = words.random_(-(2**63), None).view(torch.int16)[: like.numel()].view(like.shape)
    dtype = torch.promote_types(like.dtype, torch.float32)
    return (lanes >= dropped - LANES // 2).to(dtype).mul_(LANES / (LANES - dropped))
