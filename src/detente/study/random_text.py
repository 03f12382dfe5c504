"""Random tokens, to try a study's steps on before there is any text."""

from collections.abc import Iterable

import numpy as np

from detente.batches import SpecialTokens, Tokens

SPECIAL_TOKENS = 5


def special_tokens(vocabulary_size: int) -> SpecialTokens:
    """As many as our vocabularies have."""
    return SpecialTokens(vocabulary_size, SPECIAL_TOKENS - 1, frozenset(range(SPECIAL_TOKENS)))


def random_streams(labels: Iterable[str], vocabulary_size: int, length: int) -> dict[str, Tokens]:
    """Label -> so many ordinary tokens, the same at each call."""
    random = np.random.default_rng(0)
    return {label: random.integers(SPECIAL_TOKENS, vocabulary_size, size=length, dtype=np.uint32) for label in labels}
