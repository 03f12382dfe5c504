"""The blocks of a language in an endless order, and which language comes next."""

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from jaxtyping import Int, Integer

from detente.batches.masking import Blocks
from detente.errors import DataError
from detente.seeds import generator

Tokens = Integer[np.ndarray, " _"]
"""Unsigned ids of a stream, as the store maps them."""

DRAWS_AT_ONCE = 4096

MORE_TEXT = {"meta": "raise `splits.meta`, set `meta.meta_split: train`"}
"""What helps a split that is too short, beside more text and shorter blocks."""


class BlockStream:
    """The blocks of one language in an endless order: epoch after epoch, each shuffled and cut at a new offset."""

    def __init__(self, tokens: Tokens, block_length: int, label: str, split: str, seed: int) -> None:
        self.tokens = tokens
        self.block_length = block_length
        # One block is given up to make room for the epoch's offset.
        self.blocks_in_epoch = len(tokens) // block_length - 1
        self._purpose = (seed, "blocks", label, split)
        if self.blocks_in_epoch < 1:
            remedy = MORE_TEXT.get(split, "raise its share in `splits`")
            raise DataError(
                f"{label}: the {split} split has {len(tokens)} tokens, fewer than two blocks of {block_length}. Add text, "
                f"{remedy}, or lower `batches.block_length`."
            )
        self._epoch = lru_cache(maxsize=2)(self._shuffle_epoch)

    def blocks(self, first: int, count: int) -> Blocks:
        """Blocks `first` to `first + count` of the endless order."""
        starts = [self._start(number) for number in range(first, first + count)]
        return np.stack([self.tokens[s : s + self.block_length] for s in starts]).astype(np.int64)

    def _start(self, number: int) -> int:
        epoch, place = divmod(number, self.blocks_in_epoch)
        offset, order = self._epoch(epoch)
        return offset + int(order[place]) * self.block_length

    def _shuffle_epoch(self, epoch: int) -> tuple[int, Int[np.ndarray, " blocks"]]:
        random = generator(*self._purpose, epoch)
        return int(random.integers(self.block_length)), random.permutation(self.blocks_in_epoch)


class LanguageDraws:
    """Which language each microbatch holds, and how many of that language came before it.

    Args:
        probabilities: one a language; None draws evenly: each round holds every language once, in a shuffled order.
    """

    def __init__(self, languages: tuple[str, ...], probabilities: tuple[float, ...] | None, seed: int) -> None:
        self.languages = languages
        self.probabilities = probabilities
        self._seed = seed
        self._chunk = lru_cache(maxsize=2)(self._draw_chunk)
        self._counts_before: list[Int[np.ndarray, " languages"]] = [np.zeros(len(languages), dtype=np.int64)]

    def __getitem__(self, microbatch: int) -> tuple[str, int]:
        """Language of a microbatch and the number of its earlier microbatches."""
        chunk, place = divmod(microbatch, DRAWS_AT_ONCE)
        draws = self._chunk(chunk)
        index = int(draws[place])
        earlier = self._count_before(chunk)[index] + np.count_nonzero(draws[:place] == index)
        return self.languages[index], int(earlier)

    def counts(self, microbatches: int) -> dict[str, int]:
        """How often each language is drawn in the first so many microbatches."""
        chunk, place = divmod(microbatches, DRAWS_AT_ONCE)
        last = np.bincount(self._chunk(chunk)[:place], minlength=len(self.languages))
        return dict(zip(self.languages, (self._count_before(chunk) + last).tolist(), strict=True))

    def _count_before(self, chunk: int) -> Int[np.ndarray, " languages"]:
        while len(self._counts_before) <= chunk:
            draws = self._draw_chunk(len(self._counts_before) - 1)
            counts = np.bincount(draws, minlength=len(self.languages))
            self._counts_before.append(self._counts_before[-1] + counts)
        return self._counts_before[chunk]

    def _draw_chunk(self, chunk: int) -> Int[np.ndarray, " draws"]:
        random = generator(self._seed, "languages", chunk)
        number = len(self.languages)
        if self.probabilities is not None:
            return random.choice(number, size=DRAWS_AT_ONCE, p=self.probabilities)
        return self._even_rounds(chunk * DRAWS_AT_ONCE, number)

    def _even_rounds(self, first: int, number: int) -> Int[np.ndarray, " draws"]:
        """Rounds cross the borders of chunks, so each is drawn by its own number."""
        rounds = range(first // number, (first + DRAWS_AT_ONCE) // number + 1)
        drawn = np.concatenate([generator(self._seed, "round", r).permutation(number) for r in rounds])
        skip = first - rounds.start * number
        return drawn[skip : skip + DRAWS_AT_ONCE]


def sampling_probabilities(tokens: Mapping[str, Tokens], temperature: float) -> tuple[float, ...]:
    """P_i = (n_i / sum_j n_j)^(1/T), renormalised (Wang et al. 2020, section 3.2), n_i in tokens."""
    logs = [math.log(len(stream)) / temperature for stream in tokens.values()]
    largest = max(logs)
    weights = [math.exp(log - largest) for log in logs]
    return tuple(weight / sum(weights) for weight in weights)
