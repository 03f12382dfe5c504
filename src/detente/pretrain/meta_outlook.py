"""Whether the second-order term of a meta step can matter, before anything is trained: a look at initialisation."""

import math
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from detente.batches import HeldOutBatches, SpecialTokens, Tokens, TrainBatches, rows_in
from detente.pretrain.data import RunData
from detente.pretrain.inner_rule import adam_rule, sgd_rule
from detente.pretrain.meta_gradient import inner_pass, meta_gradient
from detente.pretrain.optimizer import build_optimizer
from detente.pretrain.parallel import ALONE
from detente.pretrain.run import build_model
from detente.settings import RunSettings

MOST_TOKENS = 4096
"""In a batch of the look: seconds on two cores at the paper's size."""
LOOKS = 3
SPECIAL = 5
"""Ids that random tokens leave out, the mask's among them."""


@dataclass(frozen=True)
class Outlook:
    """The two terms of a meta-gradient at initialisation and the peak rate, means over a few batches.

    Attributes:
        ratio: norm of the second-order over the direct term; None when either is left out.
        noise: standard deviation of the direct term from one held-out batch of the run's size to the next, over its norm.
        difference_error: of one-sided differences, relative.
    """

    ratio: float | None
    noise: float | None
    difference_error: float | None

    @property
    def is_below_noise(self) -> bool:
        """Whether another held-out batch changes the meta-gradient by more than the second-order term does."""
        return self.ratio is not None and self.noise is not None and self.ratio < self.noise


def meta_outlook(settings: RunSettings, data: RunData | None, vocabulary_size: int) -> Outlook:
    """Look at a `meta-adapter` run, on its data or, where there is none yet, on random tokens.

    Raises:
        DataError: a language has too little text.
        NoDirectionError: the held-out gradient is zero or not finite.
    """
    blocks = settings.batches.blocks
    used = max(1, min(blocks, MOST_TOKENS // settings.batches.block_length))
    settings = settings.model_copy(update={"batches": settings.batches.model_copy(update={"blocks": used})})
    treated = build_model(settings, vocabulary_size)
    meta, special = settings.meta, _special(data, vocabulary_size)
    rule = sgd_rule if meta.inner_rule == "sgd" else adam_rule(treated, build_optimizer(treated, settings.training))
    train = TrainBatches(_tokens(settings, data, "train", vocabulary_size), settings.batches, special, seed=1)
    held_out_tokens = _tokens(settings, data, meta.meta_split, vocabulary_size)
    held_out = HeldOutBatches(held_out_tokens, meta, settings.batches, special, seed=1)
    rows = rows_in(meta.inner_fraction, settings.batches, ALONE.share, setting="meta.inner_fraction")
    lines = []
    for step in range(LOOKS):
        batch = next(train.train(step))
        validating = held_out.validating(step, batch.language)
        validates = any(each.batch.language == batch.language for each in validating)
        found = meta_gradient(
            treated,
            inner_pass(treated, batch.split(rows)[0], with_phi=True),
            validating,
            beta=meta.beta or meta.beta_multiple * settings.training.learning_rate,
            settings=meta,
            precondition=rule,
            measure=True,
            other=held_out.of(step + 1, batch.language) if validates else None,
        )
        lines.append(found.terms)
    noise = _mean([_share(line, "direct_noise") for line in lines])
    return Outlook(
        ratio=_mean([line.get("ratio") for line in lines]),
        # Noise falls with the root of the batch.
        noise=None if noise is None else noise * math.sqrt(used / blocks),
        difference_error=_mean([line.get("difference_error") for line in lines]),
    )


def _tokens(settings: RunSettings, data: RunData | None, split: str, vocabulary_size: int) -> dict[str, Tokens]:
    if data is not None:
        return {label: data.store.tokens(label, split) for label in settings.mixture}
    length = 4 * settings.batches.blocks * settings.batches.block_length
    return {
        label: np.random.default_rng(seed).integers(SPECIAL, vocabulary_size, length, dtype=np.uint32)
        for seed, label in enumerate(settings.mixture)
    }


def _special(data: RunData | None, vocabulary_size: int) -> SpecialTokens:
    return SpecialTokens(vocabulary_size, SPECIAL - 1, frozenset(range(SPECIAL))) if data is None else data.special


def _share(line: dict[str, float], name: str) -> float | None:
    return line[name] / line["direct_norm"] if name in line and line["direct_norm"] else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
