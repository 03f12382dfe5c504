"""Gates in [0, 1] with mass at both ends: the Hard Concrete distribution (Louizos, Welling and Kingma 2018, section 2.3).

A gate's logit pi is their log alpha. The constants are those of their experiments.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

LOW, HIGH = -0.1, 1.1
"""gamma and zeta: the interval that the concrete variable is stretched to before it is cut to [0, 1]."""
TEMPERATURE = 2 / 3
"""beta"""


def sample(logits: Float[Tensor, " groups"], uniform: Float[Tensor, " groups"]) -> Float[Tensor, " groups"]:
    """Random gates, differentiable in the logits (equations 10 and 11); `uniform` is drawn from [0, 1)."""
    return _stretched(torch.sigmoid((torch.logit(uniform) + logits) / TEMPERATURE))


def fixed_gates(logits: Float[Tensor, " groups"]) -> Float[Tensor, " groups"]:
    """Gates without chance, to test a mask with (equation 13): closed below pi = -2.4, half open at 0, open above 2.4."""
    return _stretched(torch.sigmoid(logits))


def expected_open(logits: Float[Tensor, " groups"]) -> Float[Tensor, " groups"]:
    """The probability that a sampled gate is not 0: what the L0 norm of a gate comes to (equation 12). 0.83 at pi = 0."""
    return torch.sigmoid(logits - TEMPERATURE * math.log(-LOW / HIGH))


def _stretched(concrete: Tensor) -> Tensor:
    return (concrete * (HIGH - LOW) + LOW).clamp(0, 1)
