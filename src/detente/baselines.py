"""What counting reaches on held-out tokens: with no context (unigram) and with the token before (bigram).

A masked model that has not left these has learned nothing about the language. In: token streams of a store. Out: nats
per token.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from detente.results import Baseline

Tokens = NDArray[np.unsignedinteger]

# More counts no longer move the figures; this many keep the memory at about 1 GB.
COUNTED_TOKENS = 32_000_000
_SLICE = 1_000_000


def count_baseline(
    train: Tokens, test: Tokens, *, vocabulary_size: int, special_ids: Collection[int], end_id: int
) -> Baseline:
    """Cross-entropy of `test` under unigram and bigram counts of `train` (interpolated, Witten and Bell 1991).

    With N(h) the count of a context, D(h) how many different tokens were seen after it and P' the next shorter model:
    P(w | h) = (count(h, w) + D(h) P'(w)) / (N(h) + D(h)); the shortest is uniform. Special tokens, the end
    of a record among them, are contexts but never targets, as in masking. Of streams above 32 million tokens (test: 8 million)
    evenly spread slices are taken.

    Raises:
        ValueError: `test` has no target.
    """
    train, test = _spread(train, COUNTED_TOKENS), _spread(test, COUNTED_TOKENS // 4)
    is_ordinary = np.ones(vocabulary_size, dtype=bool)
    is_ordinary[list(special_ids)] = False
    if not is_ordinary[test].any():
        raise ValueError("there are no test tokens to score")
    unigram = _unigram(train, is_ordinary)
    bigram = _bigram(train, test, unigram, is_ordinary, end_id)
    return Baseline(unigram=_nats(unigram[test[is_ordinary[test]]]), bigram=_nats(bigram))


def _spread(tokens: Tokens, limit: int) -> Tokens:
    """At most `limit` tokens, in slices over the whole stream: corpora may be grouped by source."""
    if len(tokens) <= limit:
        return np.asarray(tokens)
    starts = np.linspace(0, len(tokens) - _SLICE, limit // _SLICE).astype(np.int64)
    return np.concatenate([tokens[start : start + _SLICE] for start in starts])


def _nats(probabilities: NDArray[np.float64]) -> float:
    return float(-np.log(probabilities).mean())


def _unigram(train: Tokens, is_ordinary: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Probability of every id; 0 for special ones."""
    counts = np.where(is_ordinary, np.bincount(train, minlength=len(is_ordinary)), 0)
    # Without any training token the uniform distribution is all there is.
    different = max(int(np.count_nonzero(counts)), 1)
    uniform = is_ordinary / is_ordinary.sum()
    probabilities: NDArray[np.float64] = (counts + different * uniform) / (counts.sum() + different)
    return probabilities


def _bigram(
    train: Tokens, test: Tokens, unigram: NDArray[np.float64], is_ordinary: NDArray[np.bool_], end_id: int
) -> NDArray[np.float64]:
    """Probability of each test target after the token before it."""
    size = len(unigram)
    seen, counts = _count(_pairs(train, size, end_id)[is_ordinary[train]])
    contexts = (seen // size).astype(np.int64)
    total = np.bincount(contexts, weights=counts, minlength=size)
    # A context never seen leaves the unigram alone.
    different = np.maximum(np.bincount(contexts, minlength=size), 1)
    wanted = _pairs(test, size, end_id)[is_ordinary[test]]
    probabilities = np.empty(len(wanted))
    for start in range(0, len(wanted), _SLICE):
        part = wanted[start : start + _SLICE]
        before, target = np.divmod(part.astype(np.int64), size)
        found = _look_up(seen, counts, part) + different[before] * unigram[target]
        probabilities[start : start + _SLICE] = found / (total[before] + different[before])
    return probabilities


def _pairs(tokens: Tokens, size: int, end_id: int) -> NDArray[np.uint64]:
    """before * size + token; a stream begins as if a record had just ended."""
    pairs = np.empty(len(tokens), dtype=np.uint64)
    pairs[:1] = end_id
    pairs[1:] = tokens[:-1]
    pairs *= np.uint64(size)
    pairs += tokens
    return pairs


def _count(pairs: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    pairs.sort()
    starts = np.flatnonzero(np.concatenate([[len(pairs) > 0], pairs[1:] != pairs[:-1]])[: len(pairs)])
    return pairs[starts], np.diff(starts, append=len(pairs))


def _look_up(seen: NDArray[np.uint64], counts: NDArray[np.int64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The count of each wanted pair, 0 where it was not seen."""
    if not len(seen):
        return np.zeros(len(wanted), dtype=np.int64)
    places = np.minimum(np.searchsorted(seen, wanted), len(seen) - 1)
    return np.where(seen[places] == wanted, counts[places], 0)
