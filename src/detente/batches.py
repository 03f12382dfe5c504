"""Token streams become masked batches: each batch is a pure function of (seed, step, rank, world size).

So resuming is starting at a step: there is no sampler state. The k-th batch of a language, its masks included, is the same in
every mixture of a study that has the same seed, so that mono and joint runs are compared on the same text.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Int, Integer
from torch import Tensor

from detente.errors import ConfigError, DataError
from detente.seeds import derive_seed, generator
from detente.settings import BatchSettings

Tokens = Integer[np.ndarray, " _"]
"""Unsigned ids of a stream, as the store maps them."""
Blocks = Int[np.ndarray, "blocks block_length"]
Positions = Int[np.ndarray, "blocks targets"]

IGNORED = -100
"""Target of a position that was picked only to keep the shape: cross-entropy's default `ignore_index`."""

DRAWS_AT_ONCE = 4096
EVALUATED_AT_ONCE = 32
"""Blocks; a constant, so that the masks of an evaluation do not depend on the training batch."""


@dataclass(frozen=True)
class SpecialTokens:
    """What masking must know of a vocabulary."""

    size: int
    mask_id: int
    special_ids: frozenset[int]

    @cached_property
    def ordinary_ids(self) -> Int[np.ndarray, " ordinary"]:
        """What a random replacement is drawn from."""
        return np.setdiff1d(np.arange(self.size), list(self.special_ids))


@dataclass(frozen=True)
class MaskedBatch:
    """Blocks of one language with the positions to predict.

    Attributes:
        positions: indices into each block, ascending, the same number in each.
        targets: the tokens that stood there; `IGNORED` where a block has too few ordinary tokens.
        seed: of the dropout masks, so that a loss is a pure function of parameters and batch.
    """

    language: str
    tokens: Int[Tensor, "blocks block_length"]
    positions: Int[Tensor, "blocks targets"]
    targets: Int[Tensor, "blocks targets"]
    seed: int

    def to(self, device: torch.device) -> "MaskedBatch":
        """The same batch on another device."""
        return replace(
            self,
            tokens=self.tokens.to(device, non_blocking=True),
            positions=self.positions.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
        )


class BlockStream:
    """The blocks of one language in an endless order: epoch after epoch, each shuffled and cut at a new offset."""

    def __init__(self, tokens: Tokens, block_length: int, label: str, split: str, seed: int) -> None:
        self.tokens = tokens
        self.block_length = block_length
        # One block is given up to make room for the epoch's offset.
        self.blocks_in_epoch = len(tokens) // block_length - 1
        self._purpose = (seed, "blocks", label, split)
        if self.blocks_in_epoch < 1:
            raise DataError(
                f"{label}: the {split} split has {len(tokens)} tokens, fewer than two blocks of {block_length}. Add text, "
                "raise its share in `splits`, or lower `batches.block_length`."
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


class TrainBatches:
    """The masked batches of a run.

    Args:
        train: training tokens of each language of the mixture.
        meta: held-out tokens of each language for the meta step's L_val; may be empty when no meta batches are asked for.
        accumulation: microbatches in a step.
        rank, world_size: this process takes its share of the rows of every batch; the global batch is the same whatever they are.
        drawn_evenly: draw languages evenly, whatever the temperature.

    Raises:
        DataError: a language has too little text.
        ConfigError: the world size does not divide the blocks of a batch.
    """

    def __init__(
        self,
        train: Mapping[str, Tokens],
        settings: BatchSettings,
        special: SpecialTokens,
        *,
        seed: int,
        meta: Mapping[str, Tokens] | None = None,
        accumulation: int = 1,
        rank: int = 0,
        world_size: int = 1,
        drawn_evenly: bool = False,
    ) -> None:
        if settings.blocks % world_size:
            raise ConfigError(
                f"`batches.blocks` {settings.blocks} is not a multiple of the {world_size} processes. Use a multiple."
            )
        self.settings, self.special, self.accumulation = settings, special, accumulation
        self._seed = seed
        share = settings.blocks // world_size
        self._rows = slice(rank * share, (rank + 1) * share)
        self._rank = rank
        self._train = self._streams(train, "train")
        self._meta = self._streams(meta or {}, "meta")
        probabilities = None if drawn_evenly else sampling_probabilities(train, settings.temperature)
        self.draws = LanguageDraws(tuple(train), probabilities, seed)

    def train(self, step: int) -> Iterator[MaskedBatch]:
        """The microbatches of a step (counted from 0)."""
        for microbatch in range(step * self.accumulation, (step + 1) * self.accumulation):
            language, earlier = self.draws[microbatch]
            yield self._batch(self._train[language], language, "train", earlier)

    def meta(self, step: int, language: str) -> MaskedBatch:
        """A held-out batch of `language`, another one each step."""
        return self._batch(self._meta[language], language, "meta", step)

    def epochs(self, steps: int) -> dict[str, float]:
        """How often each language's training text is seen in so many steps."""
        drawn = self.draws.counts(steps * self.accumulation)
        return {label: n * self.settings.blocks / self._train[label].blocks_in_epoch for label, n in drawn.items()}

    def _streams(self, tokens: Mapping[str, Tokens], split: str) -> dict[str, BlockStream]:
        length = self.settings.block_length
        return {label: BlockStream(tokens[label], length, label, split, self._seed) for label in tokens}

    def _batch(self, stream: BlockStream, language: str, split: str, number: int) -> MaskedBatch:
        blocks = stream.blocks(number * self.settings.blocks, self.settings.blocks)
        random = generator(self._seed, "mask", language, split, number)
        arrays = mask_blocks(blocks, self.special, self.settings.mask_rate, random)
        tokens, positions, targets = (torch.from_numpy(array[self._rows]) for array in arrays)
        seed = derive_seed(self._seed, "dropout", language, split, number, self._rank)
        return MaskedBatch(language, tokens, positions, targets, seed=seed)


def evaluation_batches(
    tokens: Tokens,
    language: str,
    split: str,
    settings: BatchSettings,
    special: SpecialTokens,
    *,
    max_blocks: int,
    every_token: bool = False,
) -> Iterator[MaskedBatch]:
    """The first `max_blocks` blocks of a split, in order, masked the same way for every model and seed.

    Args:
        every_token: give each block several times, with disjoint targets, until every ordinary token has been one: a score
            with less noise, at round(1 / mask rate) times the cost.
    """
    length = settings.block_length
    count = min(len(tokens) // length, max_blocks)
    if count == 0:
        raise DataError(
            f"{language}: the {split} split has {len(tokens)} tokens, fewer than one block of {length}. Add text, raise "
            f"`splits.{split}`, or lower `batches.block_length`."
        )
    passes = math.ceil(length / num_targets(length, settings.mask_rate)) if every_token else 1
    for first in range(0, count, EVALUATED_AT_ONCE):
        rows = min(EVALUATED_AT_ONCE, count - first)
        blocks = tokens[first * length : (first + rows) * length].reshape(rows, length).astype(np.int64)
        random = generator("evaluation", language, split, first)
        order = _target_order(blocks, special, random)
        for number in range(passes):
            arrays = _mask_at(blocks, _nth_targets(order, number, settings.mask_rate), special, random)
            masked, positions, targets = (torch.from_numpy(array) for array in arrays)
            yield MaskedBatch(language, masked, positions, targets, seed=0)


def mask_blocks(
    blocks: Blocks, special: SpecialTokens, rate: float, random: np.random.Generator
) -> tuple[Blocks, Positions, Positions]:
    """Masked tokens, positions and targets (Devlin et al. 2019, section 3.1: 80 / 10 / 10).

    The same number of positions, round(rate * block length), is picked in every block; special tokens are never targets.
    """
    order = _target_order(blocks, special, random)
    return _mask_at(blocks, _nth_targets(order, 0, rate), special, random)


def num_targets(block_length: int, rate: float) -> int:
    """Positions predicted in a block."""
    return max(1, round(rate * block_length))


def _target_order(blocks: Blocks, special: SpecialTokens, random: np.random.Generator) -> Blocks:
    """Positions of each block in random order, special tokens last."""
    is_special = np.isin(blocks, list(special.special_ids))
    return np.argsort(random.random(blocks.shape, dtype=np.float32) + is_special, axis=1)


def _nth_targets(order: Blocks, number: int, rate: float) -> Positions:
    count = num_targets(order.shape[1], rate)
    return np.sort(order[:, number * count : (number + 1) * count], axis=1)


def _mask_at(
    blocks: Blocks, positions: Positions, special: SpecialTokens, random: np.random.Generator
) -> tuple[Blocks, Positions, Positions]:
    originals = np.take_along_axis(blocks, positions, axis=1)
    is_ordinary = ~np.isin(originals, list(special.special_ids))
    replaced = _corrupt(originals, special, random)
    masked = blocks.copy()
    np.put_along_axis(masked, positions, np.where(is_ordinary, replaced, originals), axis=1)
    return masked, positions, np.where(is_ordinary, originals, IGNORED)


def _corrupt(originals: np.ndarray, special: SpecialTokens, random: np.random.Generator) -> np.ndarray:
    fate = random.random(originals.shape)
    at_random = random.choice(special.ordinary_ids, size=originals.shape)
    return np.where(fate < 0.8, special.mask_id, np.where(fate < 0.9, at_random, originals))


def sampling_probabilities(tokens: Mapping[str, Tokens], temperature: float) -> tuple[float, ...]:
    """P_i = (n_i / sum_j n_j)^(1/T), renormalised (Wang et al. 2020, section 3.2), n_i in tokens."""
    logs = [math.log(len(stream)) / temperature for stream in tokens.values()]
    largest = max(logs)
    weights = [math.exp(log - largest) for log in logs]
    return tuple(weight / sum(weights) for weight in weights)
