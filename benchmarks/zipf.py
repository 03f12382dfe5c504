"""Text for the benchmarks: random tokens, as often as words are. Apart from the scripts, so that none imports what another needs."""

import numpy as np


def zipf_tokens(vocabulary: int, seed: int = 0, size: int = 300_000) -> np.ndarray:
    """A stream in which the k-th token has a share of about 1 / k."""
    ranks = np.arange(1, vocabulary - 4)
    weights = 1 / ranks
    return np.random.default_rng(seed).choice(ranks + 4, size=size, p=weights / weights.sum()).astype(np.uint16)
