"""Targets are masked 80/10/10, and are never special tokens."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from detente.batches import IGNORED, SpecialTokens, mask_blocks


def test_masking_is_80_10_10_on_100000_targets(special: SpecialTokens) -> None:
    blocks = np.random.default_rng(0).integers(5, 100, size=(6700, 100))
    masked, positions, targets = mask_blocks(blocks, special, 0.15, np.random.default_rng(1))
    chosen = np.take_along_axis(masked, positions, axis=1)
    assert targets.size == 100_500
    assert (chosen == special.mask_id).mean() == pytest.approx(0.8, abs=0.01)
    # A random token is the old one once in 95 times.
    assert (chosen == targets).mean() == pytest.approx(0.1 + 0.1 / 95, abs=0.01)
    untouched = np.ones(blocks.shape, dtype=bool)
    np.put_along_axis(untouched, positions, False, axis=1)
    assert np.array_equal(masked[untouched], blocks[untouched])
    assert np.array_equal(targets, np.take_along_axis(blocks, positions, axis=1))
    counts = np.bincount(positions.ravel(), minlength=100)
    assert counts.min() > 0.85 * counts.mean(), "every position is picked equally often"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.floats(0.01, 0.99), st.floats(0, 1))
def test_special_tokens_are_never_targets(special: SpecialTokens, seed: int, rate: float, special_share: float) -> None:
    random = np.random.default_rng(seed)
    blocks = random.integers(5, 100, size=(3, 16))
    blocks[random.random(blocks.shape) < special_share] = 2
    masked, positions, targets = mask_blocks(blocks, special, rate, random)
    assert np.array_equal(masked[blocks == 2], blocks[blocks == 2])
    assert not np.isin(targets, list(special.special_ids)).any()
    is_target = targets != IGNORED
    assert is_target.sum(axis=1).tolist() == np.minimum(positions.shape[1], (blocks != 2).sum(axis=1)).tolist()
