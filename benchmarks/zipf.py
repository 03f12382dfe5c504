"""Text for the benchmarks: random tokens and words, as often as words are. Apart from the scripts, so that none imports what another needs."""

import numpy as np


def zipf_tokens(vocabulary: int, seed: int = 0, size: int = 300_000) -> np.ndarray:
    """A stream in which the k-th token has a share of about 1 / k."""
    ranks = np.arange(1, vocabulary - 4)
    weights = 1 / ranks
    return np.random.default_rng(seed).choice(ranks + 4, size=size, p=weights / weights.sum()).astype(np.uint16)


def zipf_text(size: int, seed: int = 0) -> bytes:
    """About so many bytes of ASCII: 50,000 words of 2 to 12 letters, the k-th with a share of about 1 / k, 5 to 40 in a line."""
    random, count = np.random.default_rng(seed), 50_000
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(random.choice(letters, size=random.integers(2, 13))) for _ in range(count)]
    weights = 1 / np.arange(1, count + 1)
    drawn = random.choice(count, size=size // 7, p=weights / weights.sum())
    ends = np.cumsum(random.integers(5, 41, size=len(drawn)))
    lines = np.split(drawn, ends[ends < len(drawn)])
    return "\n".join(" ".join(words[word] for word in line) for line in lines).encode()[:size] + b"\n"
