"""The masked-LM loss as a pure function of theta, phi_i and a batch."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from detente.batches import MaskedBatch
from detente.treatment import TreatedEncoder
from detente.treatment.treated import Parameters


def masked_lm_loss(
    treated: TreatedEncoder,
    batch: MaskedBatch,
    *,
    shared: Parameters | None = None,
    specific: Parameters | None = None,
    precision: str = "float32",
) -> Float[Tensor, ""]:
    """Mean cross-entropy at the targets, in nats (method 3); of this process's rows, its share of the whole batch's mean.

    Dropout draws from the batch's own seed: calling it again, at other parameters, uses the same dropout masks. The finite
    differences of the meta step are noise without that. On a GPU, fused attention draws the masks of attention weights
    differently in bf16 and in float32; on a CPU they are the same.
    """
    device = batch.tokens.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), autocast(precision, device):
        torch.manual_seed(batch.seed)
        logits = treated.logits(batch.language, batch.tokens, batch.positions, shared=shared, specific=specific)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum") / batch.num_targets


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """bf16 autocast, or nothing."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
