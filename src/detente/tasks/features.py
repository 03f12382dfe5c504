"""What a model is given: sequences of token ids with their labels, and how they are padded into batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

IGNORED = -100
"""A label that no loss counts."""

PER_TOKEN = "langs"
"""XLM's name for the language, a number for the row that the model takes at every token."""
Feature = dict[str, Any]
"""Name of a model's argument -> ids, one a token, or one number for the row."""


@dataclass(frozen=True)
class Frame:
    """How texts become sequences.

    Attributes:
        tokenizer: a fast one of transformers.
        max_length: tokens of a sequence, special ones included.
        stride: tokens that two windows of a passage share.
        max_answer_length: tokens.
    """

    tokenizer: Any
    max_length: int
    stride: int = 64
    max_answer_length: int = 30

    def around(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after a single text."""
        framed = self.tokenizer("a")["input_ids"]
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        starts = [i for i in range(len(framed)) if framed[i : i + len(bare)] == bare]
        return framed[: starts[0]], framed[starts[0] + len(bare) :]


def inputs(encoded: Any, row: int) -> Feature:
    """A row of what a tokenizer gives, with token types where the model has them, as BERT does."""
    names = [name for name in ("input_ids", "token_type_ids") if name in encoded]
    return {name: encoded[name][row] for name in names}


@dataclass(frozen=True)
class Encoded:
    """Examples as features.

    Attributes:
        features: what the model takes, without the language.
        places: for each feature, where in which example it stands; the task's own.
        notes: what had to be cut, in sentences.
    """

    features: list[Feature]
    places: list[Any]
    notes: tuple[str, ...] = ()

    def labelled(self) -> "Encoded":
        """To train on, without what has no label at all: a batch of nothing else has no loss."""
        kept = [pair for pair in zip(self.features, self.places, strict=True) if _has_label(pair[0])]
        return replace(self, features=[feature for feature, _ in kept], places=[place for _, place in kept])


def _has_label(feature: Feature) -> bool:
    labels = feature.get("labels")
    return not isinstance(labels, list) or any(label != IGNORED for label in labels)


class Features(Dataset[Feature]):
    """Features of one language; `extra` goes into each (the language, say)."""

    def __init__(self, encoded: Encoded, extra: Feature | None = None) -> None:
        self._features = encoded.features
        self._extra = extra or {}

    def __len__(self) -> int:
        return len(self._features)

    def length(self, index: int) -> int:
        """Tokens of a feature."""
        return len(self._features[index]["input_ids"])

    def __getitem__(self, index: int) -> Feature:
        feature = self._features[index]
        mask = [1] * len(feature["input_ids"])
        return {**feature, "attention_mask": mask, **self._extra}


@dataclass(frozen=True)
class Collator:
    """Features -> a batch, padded to its longest sequence."""

    pad_id: int

    def __call__(self, features: Sequence[Feature]) -> dict[str, Tensor]:
        """Lists of ids are padded, numbers stacked."""
        longest = max(len(feature["input_ids"]) for feature in features)
        batch = {name: self._column(name, [f[name] for f in features], longest) for name in features[0]}
        if PER_TOKEN in batch:
            batch[PER_TOKEN] = batch[PER_TOKEN][:, None].expand(-1, longest).contiguous()
        return batch

    def _column(self, name: str, values: list[Any], longest: int) -> Tensor:
        if isinstance(values[0], int):
            return torch.tensor(values)
        filler = {"input_ids": self.pad_id, "labels": IGNORED}.get(name, 0)
        return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in values])
