"""Universal parts of speech."""

from collections.abc import Sequence

import pytest

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.reading import Reading
from detente.tasks.upos import UPOS, as_upos


def convert(*sentences: Sequence[str], **options: object) -> Reading:
    examples = tuple(TaggedSentence(tuple("w" * len(tags)), tuple(tags)) for tags in sentences)
    return as_upos(Reading(examples, "FILE"), **options)


def test_there_are_17_and_all_pass() -> None:
    assert len(UPOS) == 17
    reading = convert(sorted(UPOS), strict=True)
    assert reading.examples[0].tags == tuple(sorted(UPOS))
    assert reading.notes == ()


def test_mapping_comes_first() -> None:
    reading = convert(["CONJ", "SCONJ", "NOUN"], tags={"CONJ": "CCONJ", "NOT": "THERE"})
    assert reading.examples[0].tags == ("CCONJ", "SCONJ", "NOUN")


def test_unknown_tags_are_named_with_the_mapping() -> None:
    with pytest.raises(DataError) as caught:
        convert(["NST", "CONJ", "noun"], ["CONJ", "QQQ", "."])
    assert str(caught.value) == (
        "FILE: `CONJ` (2x), `NST` (1x), `noun` (1x), `QQQ` (1x), `.` (1x) are not among the 17 universal parts of speech. "
        "If they are meant so, write `tags: {.: PUNCT, CONJ: CCONJ, NST: NOUN, QQQ: X, noun: NOUN}`."
    )


def test_many_unknown_tags_are_not_all_shown() -> None:
    with pytest.raises(DataError, match=r"`T0` .* and 12 more are not among") as caught:
        convert([f"T{number}" for number in range(20)])
    assert len(str(caught.value)) < 600


def test_file_of_another_task() -> None:
    with pytest.raises(DataError, match=r"They look like named entities: is this the file of another task\?"):
        convert(["O", "B-PER"])


def test_sentences_tagged_in_part_are_left_out() -> None:
    reading = convert(["NOUN", "_"], ["VERB"], ["_"])
    assert [sentence.tags for sentence in reading.examples] == [("VERB",)]
    assert reading.notes == ("2 of 3 sentences of FILE had words tagged `_` and were left out.",)


def test_strict_refuses_sentences_tagged_in_part() -> None:
    with pytest.raises(DataError, match="1 of 2 sentences of FILE have words tagged `_`"):
        convert(["NOUN", "_"], ["VERB"], strict=True)


def test_no_sentence_is_tagged() -> None:
    with pytest.raises(DataError, match="FILE has no labels"):
        convert(["_", "_"], ["_"])
