"""Examples that stand in test and training data."""

import pytest

from detente.errors import DataError
from detente.tasks.examples import Answer, Question, SentencePair, TaggedSentence
from detente.tasks.overlap import count_repeats, count_shared, keep_shared, leave_out_shared
from detente.tasks.reading import Reading


def sentence(text: str, tag: str = "O") -> TaggedSentence:
    words = tuple(text.split())
    return TaggedSentence(words, (tag,) * len(words))


def question(key: str, asked: str, context: str) -> Question:
    return Question(key, asked, context, (Answer(context[:1], 0),))


TRAIN = Reading((sentence("a b"), sentence("c"), sentence("a b", "X")), "TRAIN")
TEST = Reading(
    (sentence("a b", "X"), sentence("A b"), sentence("a"), sentence("c"), sentence("c")), "TEST", ("before",)
)


def test_sentences_are_compared_by_their_words() -> None:
    assert count_shared(TEST.examples, TRAIN.examples) == 3
    assert count_shared([TaggedSentence(("a b",), ("O",))], TRAIN.examples) == 0
    assert count_repeats(TRAIN.examples) == 1


def test_shared_sentences_are_left_out() -> None:
    reading = leave_out_shared(TEST, TRAIN)
    assert reading.examples == (sentence("A b"), sentence("a"))
    assert reading.notes == ("before", "3 of 5 sentences of TEST stand in TRAIN too and were left out.")
    assert leave_out_shared(reading, TRAIN) == reading


def test_shared_sentences_are_kept() -> None:
    reading = keep_shared(TEST, TRAIN)
    assert reading.examples == TEST.examples
    assert reading.notes == ("before", "3 of 5 sentences of TEST stand in TRAIN too and were kept.")


def test_nothing_shared_says_nothing() -> None:
    other = Reading((sentence("d"),), "OTHER")
    assert leave_out_shared(TEST, other) == keep_shared(TEST, other) == TEST


def test_nothing_is_left() -> None:
    with pytest.raises(DataError, match="all of TRAIN stands in TRAIN too"):
        leave_out_shared(TRAIN, TRAIN)


def test_pairs_are_the_same_by_both_sentences() -> None:
    train = Reading((SentencePair("a", "b", "neutral"), SentencePair("c", "d", "neutral")), "TRAIN")
    test = Reading((SentencePair("a", "b", "entailment"), SentencePair("a", "d", "neutral")), "TEST")
    assert leave_out_shared(test, train).examples == test.examples[1:]


def test_passages_are_reported() -> None:
    train = Reading((question("1", "Who?", "P"), question("2", "Who?", "Q")), "TRAIN")
    test = Reading((question("3", "Who?", "P"), question("4", "When?", "P"), question("1", "Who?", "R")), "TEST")
    reading = leave_out_shared(test, train)
    assert reading.examples == test.examples[1:]
    assert reading.notes == (
        "1 of 3 questions of TEST stand in TRAIN too and were left out.",
        "The passages of 2 of 3 questions of TEST stand in TRAIN too; other questions were kept.",
    )


def test_passages_of_the_same_questions_are_not_reported_again() -> None:
    data = Reading((question("1", "Who?", "P"),), "A")
    assert keep_shared(data, data).notes == ("1 of 1 questions of A stand in A too and were kept.",)
