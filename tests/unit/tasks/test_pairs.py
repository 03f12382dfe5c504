"""Pairs of sentences for inference."""

import json
from collections.abc import Callable

import pytest

from detente.errors import DataError
from detente.tasks.examples import SentencePair
from detente.tasks.reading import Reading

Read = Callable[..., Reading]

PAIRS = (
    SentencePair('He said: "go', "He \u0915\u0939\u093e\u0964", "entailment"),
    SentencePair('O\'Brien, "x"', '"', "contradiction"),
    SentencePair("a", "b", "neutral"),
)


def table(header: str, form: str) -> str:
    return header + "".join(
        form.format(premise=pair.premise, hypothesis=pair.hypothesis, label=pair.label) for pair in PAIRS
    )


def as_json(premise: str, hypothesis: str, label: str) -> str:
    rows = ({premise: pair.premise, hypothesis: pair.hypothesis, label: pair.label} for pair in PAIRS)
    return "".join(json.dumps(row) + "\n" for row in rows)


FORMATS = {
    "no header": table("", "{premise}\t{hypothesis}\t{label}\n"),
    "carriage returns": table("", "{premise}\t{hypothesis}\t{label}\r\n"),
    "xnli": table(
        "language\tgold_label\tparse\tsentence1\tsentence2\tlabel1\n", "sw\t{label}\t(\t{premise}\t{hypothesis}\tx\n"
    ),
    "machine translated": table("premise\thypo\tlabel\n", "{premise}\t{hypothesis}\t{label}\n").replace(
        "contradiction", "contradictory"
    ),
    "json": as_json("premise", "hypothesis", "label"),
    "multinli": as_json("sentence1", "sentence2", "gold_label"),
    "numbers": table("", "{premise}\t{hypothesis}\t{label}\n")
    .replace("entailment", "0")
    .replace("neutral", "1")
    .replace("contradiction", "2"),
    "capitals": table("", "{premise}\t{hypothesis}\t{label}\n").replace("neutral", "Neutral "),
}


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
def test_formats_give_the_same_pairs(read: Read, text: str) -> None:
    reading = read("nli", text)
    assert reading.examples == PAIRS
    assert reading.notes == ()


def test_numbers_in_json(read: Read) -> None:
    rows = [{"premise": "a", "hypothesis": str(label), "label": label} for label in (2, 0, 1, -1)]
    reading = read("nli", "\n".join(map(json.dumps, rows)))
    assert [pair.label for pair in reading.examples] == ["contradiction", "entailment", "neutral"]


def test_pairs_without_label_or_sentence_are_left_out(read: Read) -> None:
    reading = read("nli", "a\tb\t-\na\tc\tneutral\na\td\n\tb\tneutral\n")
    assert reading.examples == (SentencePair("a", "c", "neutral"),)
    no_label, no_sentence = reading.notes
    assert no_label.startswith("2 of 4 pairs of ")
    assert no_label.endswith(" have no label and were left out.")
    assert no_sentence.startswith("1 of 4 pairs of ")


MANY = "language\tsentence1\tsentence2\tgold_label\nsw\ta\tb\tneutral\nur\tc\td\tentailment\nsw\te\tf\tneutral\n"


@pytest.mark.parametrize("language", ["sw", "SW", "swa"])
def test_one_language_of_several(read: Read, language: str) -> None:
    assert [pair.premise for pair in read("nli", MANY, language=language).examples] == ["a", "e"]


def test_language_has_to_be_said(read: Read) -> None:
    with pytest.raises(DataError, match="holds the languages sw, ur, and which one is meant is not said"):
        read("nli", MANY)
    with pytest.raises(DataError, match="has no pairs in `fr`, only in sw, ur"):
        read("nli", MANY, language="fr")


def test_language_does_not_matter_where_no_column_tells(read: Read) -> None:
    assert read("nli", FORMATS["no header"], language="fr").examples == PAIRS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\tneutral\na\tb\tneutral\tc\n", r"snippet, line 2: expected 3 columns parted by tabs, found 4"),
        ("a\n", r"line 1: expected 3 columns parted by tabs, found 1: 'a'"),
        ("a\tb\tnuetral\n", r"line 1: a label is one of .*, found 'nuetral'\. Did you mean `neutral`\?"),
        ("neutral\ta\tb\n", r"a label is one of entailment, neutral, contradiction \(or 0, 1, 2\), found 'b'"),
        ("a\tb\nc\td\n", r"snippet has no labels"),
        ("a\tb\t-\n", r"snippet has no labels"),
        ("premise\thypothesis\tlabel\n", r"snippet holds no pairs"),
        ("\n\n", r"snippet holds no pairs"),
        ("\tb\tneutral\n", r"each labelled pair lacks a sentence"),
        ('{"premise": "a"}\n', r"line 1: there is no `hypothesis` or `hypo` or `sentence2`; found premise"),
        ('{"premise": {"en": "a"}, "hypothesis": "b", "label": 1}', r"`premise` must hold text, found dict"),
        ('{"premise": "a"}\n[1]\n', r"line 2: must be a JSON object, found '\[1\]'"),
    ],
)
def test_bad_files(read: Read, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read("nli", text)
    assert "\n" not in str(caught.value)
