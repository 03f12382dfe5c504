"""A model's score on held-out text, with the same masks for every model and seed."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F

from detente.batches import MaskedBatch
from detente.pretrain.objective import at_least_float32, autocast
from detente.results import Score
from detente.treatment import TreatedEncoder


@torch.no_grad()
def evaluate(
    treated: TreatedEncoder,
    batches: Iterable[MaskedBatch],
    *,
    tokens_per_character: float,
    precision: str = "float32",
) -> Score:
    """Loss, perplexity and bits per character over the batches of one language, dropout off.

    Args:
        tokens_per_character: of the split the batches come from, end-of-sentence tokens not counted: they are never targets.
    """
    was_training = treated.encoder.training
    treated.encoder.eval()
    device = treated.encoder.output_bias.device
    # Added up on the device: a GPU is waited for once.
    total, targets = torch.zeros((), dtype=torch.float64, device=device), 0
    try:
        for batch in batches:
            batch = batch.pinned_for(device).to(device)
            with autocast(precision, device):
                logits = treated.logits(batch.language, batch.tokens, batch.positions)
            # Thousands of float32 losses are summed in float64; their own softmax in float64 would cost a tenth of the pass.
            losses = F.cross_entropy(at_least_float32(logits).flatten(0, 1), batch.targets.flatten(), reduction="none")
            total += losses.sum(dtype=torch.float64)
            targets += sum(batch.row_targets)
    finally:
        treated.encoder.train(was_training)
    loss = total.item() / targets
    return Score(
        loss=loss,
        perplexity=math.exp(min(loss, 700.0)),
        bits_per_character=loss / math.log(2) * tokens_per_character,
        targets=targets,
    )
