"""Questions about passages."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from detente.errors import DataError
from detente.tasks.examples import Answer, Question
from detente.tasks.reading import Reading

Read = Callable[..., Reading]

CONTEXT = "\u0410\u043d\u043d\u0430 \u0436\u0438\u0432\u0451\u0442 \u0432 \u041a\u0430\u0437\u0430\u043d\u0438. Anna lives. \U0001f600 Anna works in Oslo."
OSLO = CONTEXT.index("Oslo")


def qa(key: str, *answers: tuple[str, int], question: str = "Where?", **more: Any) -> dict[str, Any]:
    return {
        "id": key,
        "question": question,
        "answers": [{"text": text, "answer_start": start} for text, start in answers],
        **more,
    }


def squad(*questions: dict[str, Any], context: str = CONTEXT) -> str:
    return json.dumps(
        {"version": "1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": questions}]}]}
    )


def test_squad(read: Read) -> None:
    anna = CONTEXT.index("Anna")
    reading = read("qa", squad(qa("a", ("Oslo", OSLO)), qa("b", ("Anna", anna), ("Anna", anna + 14))))
    assert reading.examples == (
        Question("a", "Where?", CONTEXT, (Answer("Oslo", OSLO),)),
        Question("b", "Where?", CONTEXT, (Answer("Anna", anna), Answer("Anna", anna + 14))),
    )


def test_rows_in_other_shapes(read: Read) -> None:
    flat = {"id": "a", "question": "Where?", "context": CONTEXT, "answers": {"text": ["Oslo"], "answer_start": [OSLO]}}
    other = {**flat, "id": "b"}
    expected = tuple(Question(key, "Where?", CONTEXT, (Answer("Oslo", OSLO),)) for key in "ab")
    for text in (
        json.dumps([flat, other]),
        json.dumps({"data": [flat, other]}),
        f"{json.dumps(flat)}\n{json.dumps(other)}\n",
    ):
        assert read("qa", text).examples == expected
    assert read("qa", json.dumps(flat)).examples == expected[:1]


def test_answers_are_moved_or_left_out(read: Read) -> None:
    text = squad(
        qa("moved", ("Oslo", OSLO + 3), question="1"),
        qa("negative", ("Oslo", OSLO - len(CONTEXT)), question="2"),
        qa("twice", ("Anna", 0), question="3"),
        qa("nowhere", ("Paris", 0), ("Oslo", OSLO), question="4"),
    )
    reading = read("qa", text)
    assert [(question.key, question.answers) for question in reading.examples] == [
        (key, (Answer("Oslo", OSLO),)) for key in ("moved", "negative", "nowhere")
    ]
    first, second = reading.notes
    assert first.startswith("Answers of ")
    assert first.endswith(
        "that do not stand where `answer_start` says: 4; of these, 2 stand elsewhere in the context, once. "
        "Those were moved, the others left out."
    )
    assert second.startswith("1 of 4 questions of ")
    with pytest.raises(DataError, match=r"says: 4; of these, 2 stand elsewhere .* Leave `strict` out"):
        read("qa", text, strict=True)


def test_answers_of_other_passages(read: Read) -> None:
    with pytest.raises(DataError, match=r"No question is left\. Are these answers of other passages\?"):
        read("qa", squad(qa("a", ("Paris", 0))))


def test_impossible_questions_are_left_out(read: Read) -> None:
    text = squad(
        qa("a", ("Oslo", OSLO), is_impossible=False),
        qa("b", is_impossible=True, plausible_answers=[{"text": "Oslo", "answer_start": OSLO}]),
        qa("c"),
        qa("d", ("", 0)),
    )
    reading = read("qa", text, strict=True)
    assert [question.key for question in reading.examples] == ["a"]
    assert len(reading.notes) == 1
    assert reading.notes[0].startswith("3 of 4 questions of ")
    assert reading.notes[0].endswith(" have no answer and were left out.")


@pytest.mark.parametrize("answers", [[], [("", 0)]])
def test_file_without_answers(read: Read, answers: list[tuple[str, int]]) -> None:
    with pytest.raises(DataError, match="snippet has no labels"):
        read("qa", squad(qa("a", *answers), qa("b", *answers)))


def test_repeated_ids_are_renamed(read: Read) -> None:
    questions = [
        qa(key, ("Oslo", OSLO), question=str(number)) for number, key in enumerate(["0", "0#2", "0", "0", "1"])
    ]
    reading = read("qa", squad(*questions))
    assert [question.key for question in reading.examples] == ["0", "0#2", "0#3", "0#4", "1"]
    assert [question.question for question in reading.examples] == list("01234")
    assert "2 of 5 questions of " in reading.notes[0]
    assert reading.notes[0].endswith("have the id of an earlier one and were renamed (ID#2).")


def test_questions_without_ids_have_numbers(read: Read) -> None:
    questions = [qa("", ("Oslo", OSLO), question=str(number)) for number in range(2)]
    for question in questions:
        del question["id"]
    assert [question.key for question in read("qa", squad(*questions)).examples] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", r"snippet, line 1: not valid JSON"),
        ('{"data": [\n', r"snippet, line 2: not valid JSON"),
        ('{"version": 1}', r"snippet is not the JSON of SQuAD\. It looks like"),
        ("[1]", r"snippet is not the JSON of SQuAD"),
        ("null", r"snippet is not the JSON of SQuAD"),
        ('["question"]', r"snippet is not the JSON of SQuAD"),
        ('{"data": [{"paragraphs": [{"qas": [{}]}]}]}', r"snippet is not the JSON of SQuAD"),
        ("[" * 100_000, r"snippet"),
        (squad(), r"snippet holds no questions"),
        (squad({"id": "a", "answers": []}), r"question 1: `question` must hold text, found None"),
        (
            squad(qa("a", ("Oslo", OSLO)), {**qa("b"), "answers": [{"text": "x"}]}),
            r"question 2: an answer has `text` and",
        ),
        (
            squad({**qa("b"), "answers": {"text": ["x", "y"], "answer_start": [1]}}),
            r"question 1: an answer has `text` and",
        ),
        (
            squad({**qa("b"), "answers": [{"text": "x", "answer_start": "1"}]}),
            r"an answer is text and a number of char",
        ),
        ('{"question": "a", "context": "b"}\n{"question": \n', r"line 2: not readable as JSON"),
    ],
)
def test_bad_files(read: Read, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read("qa", text)
    assert "\n" not in str(caught.value)
