"""Pairs of sentences: their labels, how they are cut, and what is saved."""

from typing import Any

import numpy as np
import pytest

from detente.tasks.examples import SentencePair
from detente.tasks.features import IGNORED, Frame
from detente.tasks.inference import Inference

PAIRS = [
    SentencePair("The quick brown fox jumps over the lazy dog.", "The dog is done.", "neutral"),
    SentencePair(
        "\u0627\u0644\u0642\u0637\u064f\u0651 \u064a\u062c\u0644\u0633\u064f", "\u4eca\u65e5\u306f", "contradiction"
    ),
    SentencePair("a", "b", "entailment"),
]
LABELS = ("contradiction", "entailment", "neutral")
inference = Inference()
every_tokenizer = pytest.mark.parametrize("kind", ["byte-level", "word-piece", "metaspace"])


def test_labels_are_sorted() -> None:
    assert inference.labels(PAIRS) == LABELS


@every_tokenizer
def test_pairs_stand_as_the_model_frames_them(kind: str, tokenizers: dict[str, Any]) -> None:
    encoded = inference.encode(PAIRS, Frame(tokenizers[kind], 64), LABELS)
    assert [feature["labels"] for feature in encoded.features] == [2, 0, 1]
    for pair, feature in zip(PAIRS, encoded.features, strict=True):
        assert feature["input_ids"] == tokenizers[kind](pair.premise, pair.hypothesis)["input_ids"]
        assert ("token_type_ids" in feature) == (kind == "word-piece")
    assert encoded.notes == ()


@every_tokenizer
def test_the_longer_sentence_is_cut(kind: str, tokenizers: dict[str, Any]) -> None:
    long = "the lazy dog jumps over " * 20
    pairs = [SentencePair(long, "the dog", "neutral"), SentencePair("the dog", long, "neutral"), PAIRS[2]]
    encoded = inference.encode(pairs, Frame(tokenizers[kind], 24), LABELS)
    assert [len(feature["input_ids"]) for feature in encoded.features[:2]] == [24, 24]
    short = tokenizers[kind]("the dog", add_special_tokens=False)["input_ids"]
    for feature in encoded.features[:2]:
        ids = feature["input_ids"]
        assert any(ids[n : n + len(short)] == short for n in (1, 24 - len(short) - 1)), "the shorter is whole"
    assert encoded.notes == ("2 of 3 pairs fill 24 tokens, and may be cut",)


def test_a_label_that_training_did_not_have_is_left_out_of_the_loss(tokenizers: dict[str, Any]) -> None:
    encoded = inference.encode(PAIRS, Frame(tokenizers["metaspace"], 64), ("entailment", "neutral"))
    assert [feature["labels"] for feature in encoded.features] == [1, IGNORED, 0]


def test_predictions_have_their_pairs(tokenizers: dict[str, Any]) -> None:
    frame = Frame(tokenizers["metaspace"], 64)
    encoded = inference.encode(PAIRS, frame, LABELS)
    outputs = inference.reduce(np.array([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0], [0.0, 0.5, 1.0]]))
    assert inference.rows(PAIRS, encoded, outputs, LABELS, frame) == [
        {"premise": pair.premise, "hypothesis": pair.hypothesis, "gold": pair.label, "predicted": predicted}
        for pair, predicted in zip(PAIRS, ("entailment", "contradiction", "neutral"), strict=True)
    ]


def test_nothing_gives_nothing(tokenizers: dict[str, Any]) -> None:
    frame = Frame(tokenizers["metaspace"], 64)
    encoded = inference.encode([], frame, LABELS)
    assert (encoded.features, encoded.places, encoded.notes) == ([], [], ())
    assert inference.rows([], encoded, np.zeros(0, int), LABELS, frame) == []
