"""Padding, and what is said of a row's language."""

from typing import Any

import pytest
import torch

from detente.tasks.features import IGNORED, Collator, Encoded, Features, Frame

SHORT = {"input_ids": [5, 6], "labels": [IGNORED, 1]}
LONG = {"input_ids": [5, 7, 8, 9], "labels": [IGNORED, 0, 2, IGNORED]}


def batch_of(*features: dict[str, Any], pad_id: int = 3, **extra: int) -> dict[str, list[Any]]:
    some = Features(Encoded(list(features), [None] * len(features)), extra)
    return {name: column.tolist() for name, column in Collator(pad_id)([some[n] for n in range(len(some))]).items()}


def test_rows_are_padded_to_the_longest() -> None:
    assert batch_of(SHORT, LONG) == {
        "input_ids": [[5, 6, 3, 3], [5, 7, 8, 9]],
        "attention_mask": [[1, 1, 0, 0], [1, 1, 1, 1]],
        "labels": [[IGNORED, 1, IGNORED, IGNORED], [IGNORED, 0, 2, IGNORED]],
    }
    assert batch_of(SHORT)["input_ids"] == [[5, 6]]


def test_token_types_are_padded_by_zero() -> None:
    rows = [{**SHORT, "token_type_ids": [0, 1]}, {**LONG, "token_type_ids": [0, 0, 1, 1]}]
    assert batch_of(*rows)["token_type_ids"] == [[0, 1, 0, 0], [0, 0, 1, 1]]


def test_numbers_of_a_row_are_stacked() -> None:
    batch = Collator(0)(
        [{"input_ids": [5], "labels": 2, "start_positions": 0}, {"input_ids": [6], "labels": 0, "start_positions": 4}]
    )
    assert batch["labels"].tolist() == [2, 0]
    assert batch["start_positions"].tolist() == [0, 4]
    assert {column.dtype for column in batch.values()} == {torch.int64}


def test_every_row_has_its_language() -> None:
    assert batch_of(SHORT, LONG, language_ids=1)["language_ids"] == [1, 1]
    assert "language_ids" not in batch_of(SHORT, LONG)


def test_xlm_has_the_language_at_every_token() -> None:
    assert batch_of(SHORT, LONG, langs=7)["langs"] == [[7] * 4, [7] * 4]


def test_length_and_number() -> None:
    features = Features(Encoded([SHORT, LONG], [None, None]))
    assert (len(features), features.length(0), features.length(1)) == (2, 2, 4)


def test_what_has_no_label_is_not_trained_on() -> None:
    empty = {"input_ids": [5, 6], "labels": [IGNORED, IGNORED]}
    kept = Encoded([empty, SHORT, empty, LONG], [0, 1, 2, 3], ("a note",)).labelled()
    assert (kept.features, kept.places, kept.notes) == ([SHORT, LONG], [1, 3], ("a note",))
    pairs, spans = (
        Encoded([{"input_ids": [5], "labels": 0}], [0]),
        Encoded([{"input_ids": [5], "start_positions": 0}], [0]),
    )
    assert pairs.labelled() == pairs
    assert spans.labelled() == spans


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [("byte-level", ["</s>"], ["</s>"]), ("word-piece", ["[CLS]"], ["[SEP]"]), ("metaspace", ["<s>"], ["</s>"])],
)
def test_what_stands_around_a_text(kind: str, before: list[str], after: list[str], tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[kind]
    assert Frame(tokenizer, 16).around() == tuple(map(tokenizer.convert_tokens_to_ids, (before, after)))
