"""A score is the mean over every target of every batch, however many targets a batch has."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from detente.batches import IGNORED, MaskedBatch, SpecialTokens, evaluation_batches
from detente.pretrain.evaluate import evaluate
from detente.settings import BatchSettings

Make = Callable[..., Any]
LANGUAGE = "da"


def batches() -> Iterator[MaskedBatch]:
    """40 blocks in two batches; half of the tokens are special, so that many blocks have too few targets."""
    random = np.random.default_rng(1)
    tokens = np.where(random.random(320) < 0.5, 2, random.integers(5, 40, size=320))
    special = SpecialTokens(40, 4, frozenset(range(5)))
    settings = BatchSettings(block_length=8, mask_rate=0.3)
    return evaluation_batches(tokens, LANGUAGE, "test", settings, special, max_blocks=40, every_token=True)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_a_score_is_the_mean_over_targets_in_float64(make_parts: Make, dtype: torch.dtype, tolerance: float) -> None:
    score = evaluate(make_parts(dtype=dtype).treated, batches(), tokens_per_character=0.3)
    reference = make_parts(dtype=torch.float64).treated
    losses = []
    for batch in batches():
        rows = reference.logits(LANGUAGE, batch.tokens, batch.positions).log_softmax(-1)
        for row, targets in zip(rows, batch.targets.tolist(), strict=True):
            losses += [-row[place, target].item() for place, target in enumerate(targets) if target != IGNORED]
    mean = math.fsum(losses) / len(losses)
    assert score.targets == len(losses)
    assert score.loss == pytest.approx(mean, rel=tolerance)
    assert score.perplexity == pytest.approx(math.exp(mean), rel=10 * tolerance)
    assert score.bits_per_character == pytest.approx(0.3 * mean / math.log(2), rel=tolerance)


def test_dropout_is_off_while_scoring_and_on_after_it(make_parts: Make) -> None:
    treated = make_parts(dropout=0.5).treated
    treated.encoder.train()
    once, again = (evaluate(treated, batches(), tokens_per_character=0.3) for _ in range(2))
    assert once == again
    assert treated.encoder.training
