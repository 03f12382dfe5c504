"""Files with a token and its tag a line."""

from collections.abc import Callable

import pytest

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.reading import Reading

Read = Callable[..., Reading]

SENTENCES = (
    TaggedSentence(("Anna", "de", "Wit", "lives", "."), ("B-PER", "I-PER", "I-PER", "O", "O")),
    TaggedSentence(("\u0645\u0635\u0631", "#", ":"), ("B-LOC", "O", "O")),
)


def lines(form: str, between: str = "") -> str:
    """The two sentences, each word put into `form`."""
    return f"{between}\n".join(
        "".join(
            form.format(number=number, word=word, tag=tag)
            for number, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True), 1)
        )
        for sentence in SENTENCES
    )


TAB, BLANK = lines("{word}\t{tag}\n"), lines("{word} {tag}\n")

FORMATS = {
    "tab": TAB,
    "blank": BLANK,
    "no end of line": TAB.rstrip("\n"),
    "carriage returns": TAB.replace("\n", "\r\n"),
    "old line ends": TAB.replace("\n", "\r"),
    "byte order mark": "\ufeff" + TAB,
    "blanks at line ends": BLANK.replace("\n", "  \n"),
    "blank lines": "\n\n" + lines("{word}\t{tag}\n", between="\n \n\t\n") + "\n\n\n",
    "docstart": "-DOCSTART- O\n\n" + lines("{word} {tag}\n", between="\n-DOCSTART- O\n"),
    "docstart with columns": "-DOCSTART- -X- -X- O\n\n" + lines("{word} NN I-NP {tag}\n"),
    "conll 2003": lines("{word} NN I-NP {tag}\n"),
    "multiconer": "# id 1\tdomain=en\n" + lines("{word} _ _ {tag}\n", between="\n# id 2\tdomain=en"),
    "language": lines("xx:{word}\t{tag}\n"),
    "language with variant": lines("be-x-old:{word}\t{tag}\n"),
    "three tabs": lines("{word}\tNN\t{tag}\n"),
    "comments before tabs": "# sent_id = 1\n" + TAB,
    "universal ner": "# text = a\tb\tc\td\te\n" + lines("{number}\t{word}\t{tag}\t-\t-\n", between="\n# newdoc"),
}


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
def test_formats_give_the_same_sentences(read: Read, text: str) -> None:
    assert read("ner", text) == Reading(SENTENCES, read("ner", text).source)


def test_sentences_by_number(read: Read) -> None:
    reading = read(
        "ner",
        "words\tlabels\tsentence_id\n\u092e\u0941\u0902\u092c\u0908\tBNEL\t1.0\n\u0935\tO\t1.0\nx y\tBED\t2.0\n\nz\tIED\t2.0\n",
    )
    assert reading.examples == (
        TaggedSentence(("\u092e\u0941\u0902\u092c\u0908", "\u0935"), ("B-LOC", "O")),
        TaggedSentence(("x y", "z"), ("B-DESIGNATION", "I-DESIGNATION")),
    )


def test_columns_of_sentence_numbers_in_another_order(read: Read) -> None:
    reading = read("ner", "sentence_id\twords\tlabels\n1\ta\tO\n2\tb\tBNEP\n")
    assert [sentence.words for sentence in reading.examples] == [("a",), ("b",)]


@pytest.mark.parametrize(
    "text", ["10 000 NUM\nfrancs NOUN\n", "francs NOUN\n10 000 NUM\n. PUNCT\n", "10 000\tNUM\nfrancs\tNOUN\n"]
)
def test_words_hold_blanks(read: Read, text: str) -> None:
    assert "10 000" in read("pos", text).examples[0].words


@pytest.mark.parametrize("separator", ["\t", " "])
def test_words_with_hash(read: Read, separator: str) -> None:
    text = f"#jazz{separator}X\n#{separator}SYM\n# {separator}SYM\n"
    assert read("pos", text).examples == (TaggedSentence(("#jazz", "#", "#"), ("X", "SYM", "SYM")),)


def test_whatever_is_no_blank_is_a_word(read: Read) -> None:
    words = ("\u200b", "a\u00a0b", "\u2028", '"', "\\")
    assert read("pos", "".join(f"{word} X\n" for word in words)).examples[0].words == words


def test_language_that_not_all_words_have_stays(read: Read) -> None:
    reading = read("ner", "fr:\tO\nfr:a\tO\nfr:b\tB-PER\n")
    assert reading.examples[0].words == ("fr:", "fr:a", "fr:b")
    assert "2 of 3 words" in reading.notes[0]
    assert "begin with `fr:`, not all: it was kept" in reading.notes[0]


def test_word_that_looks_like_a_language(read: Read) -> None:
    reading = read("ner", "fr:x\tO\na\tB-PER\nb:c\tO\n")
    assert reading.examples[0].words == ("fr:x", "a", "b:c")
    assert reading.notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tO\nb\tNN\tO\n", r"snippet, line 2: expected 2 columns as in the first line, found 'b\\tNN\\tO'"),
        ("a\tO\n\nb\n", r"snippet, line 3: expected a word, a tab and its tag, found 'b' \(and so 1 of 2 lines\)"),
        ("a O\nb\nc\n", r"snippet, line 2: expected a word, a blank and its tag, found 'b' \(and so 2 of 3 lines\)"),
        ("a\tO\n\tO\n", r"line 2: expected a word, a tab and its tag"),
        ("a\tNN\tO\n\tNN\tO\n", r"line 2: the word is missing"),
        ("1\ta\tO\t-\t-\n2\tb\t\t-\t-\n", r"line 2: the tag is missing"),
        ("1\ta\tO\t-\t-\n2\tb\tO\n", r"line 2: expected 5 columns as in the first line"),
        ("a NN O\nb NN O\nc O\n", r"line 3: most lines have 3 columns parted by blanks, found 'c O'"),
        ("words\tlabels\tsentence_id\na\tO\n", r"line 2: expected 3 columns"),
        ("words\tlabels\tsentence_id\n", r"snippet holds no sentences"),
        ("\n \n\t\n", r"snippet holds no sentences"),
        ("a\nb\n\nc\n", r"snippet has no labels\. Test files are often published without them"),
        ("a\t\nb\t\n", r"snippet has no labels"),
    ],
)
def test_bad_lines(read: Read, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read("ner", text)
    assert "\n" not in str(caught.value)
