"""Treebanks."""

import sys
from collections.abc import Callable

import pytest

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.reading import Reading

Read = Callable[..., Reading]


def row(number: str, form: str, upos: str) -> str:
    return "\t".join([number, form, "_", upos, "NN", "Case=Nom|Number=Sing", "0", "root", "_", "SpaceAfter=No"]) + "\n"


SENTENCE = row("1", "Il", "PRON") + row("2", "a", "AUX")


def test_words_of_a_treebank(read: Read) -> None:
    reading = read(
        "pos",
        "# newdoc\n# sent_id = 1\n# text = ...\n"
        + row("1", "10 000", "NUM")
        + row("2-3", "du", "_")
        + row("2", "de", "ADP")
        + row("3", "le", "DET")
        + row("3.1", "unsaid", "VERB")
        + row("4", "#", "SYM")
        + row("5", "a  b ", "X")
        + "\n\n# a comment alone\n\n"
        + row("1", "\u0938\u0924\u094d\u092f", "NOUN"),
    )
    assert reading.examples == (
        TaggedSentence(("10 000", "de", "le", "#", "a b"), ("NUM", "ADP", "DET", "SYM", "X")),
        TaggedSentence(("\u0938\u0924\u094d\u092f",), ("NOUN",)),
    )
    assert reading.notes == ()


@pytest.mark.parametrize("text", [SENTENCE.replace("\n", "\r\n"), "\ufeff# c\n" + SENTENCE, SENTENCE.rstrip("\n")])
def test_line_ends_and_marks(read: Read, text: str) -> None:
    assert read("pos", text).examples == (TaggedSentence(("Il", "a"), ("PRON", "AUX")),)


@pytest.mark.parametrize(
    "line",
    ["2\ta\t_\tAUX\n", "two\ta" + "\t_" * 8 + "\n", "2\t \t_\tX" + "\t_" * 6 + "\n", "2\ta\t_\t" + "\t_" * 6 + "\n"],
)
def test_bad_rows(read: Read, line: str) -> None:
    with pytest.raises(DataError, match=r"snippet, line 3: a row of CoNLL-U has 10 columns parted by tabs"):
        read("pos", "# c\n" + row("1", "Il", "PRON") + line)


def test_bad_number(read: Read) -> None:
    with pytest.raises(DataError, match=r"snippet, sentence that begins in line 4: .*'3-2' is not a valid ID"):
        read("pos", SENTENCE + "\n" + row("3-2", "du", "_") + row("3", "x", "X"))


def test_sentences_tagged_in_part(read: Read) -> None:
    reading = read("pos", SENTENCE + "\n" + row("1", "a", "_"))
    assert len(reading.examples) == 1
    assert "1 of 2 sentences" in reading.notes[0]


def test_nothing_but_multiword_tokens(read: Read) -> None:
    with pytest.raises(DataError, match="snippet holds no sentences"):
        read("pos", row("1-2", "du", "_"))


def test_treebanks_have_no_entities(read: Read) -> None:
    with pytest.raises(DataError, match="snippet is CoNLL-U, which has no entities"):
        read("ner", SENTENCE)


def test_without_the_library(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "conllu", None)
    with pytest.raises(DataError, match=r"snippet needs conllu: pip install 'detente\[tasks\]'"):
        read("pos", SENTENCE)
