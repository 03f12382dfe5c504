"""Normalisation of answers, by hand, against torchmetrics' SQuAD score and against MLQA's rule written down a second time."""

import re
import string
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.text import squad

from detente.errors import ConfigError
from detente.tasks.answers import exact_match, normalise_mlqa, normalise_squad, normaliser, word_f1

MLQA_LANGUAGES = ("en", "es", "hi", "vi", "de", "ar", "zh")

# Articles of every language, punctuation of several scripts, words without blanks between them, marks, nothing at all.
PIECES = [
    piece
    for line in (
        "| |\u3000|\u00a0|\u200d|Paris|paris|theme|canal|1998|3,5|\u00df|\u0130|$|+|'|-|\u2019",
        "the|The|an|a|A.|los|una|der|Das|einem",
        "c\u00e1i|c\u1ee7a|l\u00e0|la\u0300|nh\u1eefng",
        "\u0627\u0644\u0642\u0637|\u0628\u0627\u0644\u0642\u0644\u0645|\u060c|\u061f",
        "\u0939\u093f\u0928\u094d\u0926\u0940|\u0964|\u0c24\u0c46\u0c32\u0c41\u0c17\u0c41",
        "\u4eca\u65e5|\u5929\u6c17|\u9fa6|\ub300|\u3002|\u300c",
    )
    for piece in line.split("|")
]
answers = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=6).flatmap(
    lambda pieces: st.sampled_from([" ", ""]).map(lambda blank: blank.join(pieces))
)
golds = st.lists(answers, min_size=1, max_size=4)


def mlqa_by_the_script(text: str, language: str) -> str:
    """The steps of `mlqa_evaluation_v1.py` in its order, its expression for Arabic and its segmentation included."""
    punctuation = set(string.punctuation)
    punctuation |= {
        c for c in set(text.lower()) if unicodedata.category(c) in ("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po")
    }
    text = "".join(c for c in text.lower() if c not in punctuation)
    words = {
        "en": "a an the",
        "es": "un una unos unas el la los las",
        "vi": "c\u1ee7a l\u00e0 c\u00e1i chi\u1ebfc nh\u1eefng",
        "de": "ein eine einen einem eines einer der die das den dem des",
    }
    if language in words:
        text = re.sub(r"\b(" + words[language].replace(" ", "|") + r")\b", " ", text)
    if language == "ar":
        text = re.sub("\\s\u0627\u0644^|\u0627\u0644", " ", text)
    if language != "zh":
        return " ".join(text.split())
    tokens: list[str] = []
    held = ""
    for character in text:
        if "\u4e00" <= character <= "\u9fa5" or character in punctuation:
            tokens += [*held.split(), character]
            held = ""
        else:
            held += character
    return " ".join(token for token in [*tokens, *held.split()] if token.strip())


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Eiffel Tower.", "eiffel tower"),
        ("an apple, a pear; the_end", "apple pear theend"),
        ("der Hund", "der hund"),
        ("\u00abParis\u00bb", "\u00abparis\u00bb"),
        ("a", ""),
        (" \t", ""),
    ],
)
def test_squad_by_hand(text: str, normal: str) -> None:
    assert normalise_squad(text) == normal


@pytest.mark.parametrize(
    ("language", "text", "normal"),
    [
        ("en", "The \u00abEiffel\u00bb Tower", "eiffel tower"),
        ("es", "los gatos de la casa", "gatos de casa"),
        ("de", "Der Hund des Nachbarn", "hund nachbarn"),
        ("vi", "nh\u1eefng con m\u00e8o c\u1ee7a t\u00f4i", "con m\u00e8o t\u00f4i"),
        ("hi", "\u0939\u093f\u0928\u094d\u0926\u0940\u0964", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        # The article goes, and so do the same letters inside the second word.
        (
            "ar",
            "\u0627\u0644\u0642\u0637 \u0628\u0627\u0644\u0642\u0644\u0645",
            "\u0642\u0637 \u0628 \u0642\u0644\u0645",
        ),
        ("zh", "\u4eca\u65e5is\u597d\u3002\u9fa6\u9fa6", "\u4eca \u65e5 is \u597d \u9fa6\u9fa6"),
    ],
)
def test_mlqa_by_hand(language: str, text: str, normal: str) -> None:
    assert normaliser("mlqa", language=language)(text) == normal


def test_all_punctuation_of_unicode_goes() -> None:
    every = [chr(code) for code in range(sys.maxunicode)]
    punctuation = [c for c in every if unicodedata.category(c)[0] == "P"] + list(string.punctuation)
    assert normalise_mlqa("".join(punctuation), language="en") == ""
    # Symbols stay, but for those of ASCII.
    assert normalise_mlqa("\u20ac5 $5", language="en") == "\u20ac5 5"


@given(text=answers, language=st.sampled_from(MLQA_LANGUAGES))
def test_mlqa_as_its_script(text: str, language: str) -> None:
    assert normalise_mlqa(text, language=language) == mlqa_by_the_script(text, language)


def test_mlqa_is_refused_for_other_languages() -> None:
    with pytest.raises(ConfigError, match=r"`mlqa` is for en, es, hi, vi, de, ar, zh, found `sw`. Use `squad`."):
        normaliser("mlqa", language="sw")
    assert normaliser("squad", language="sw") is normalise_squad


def test_f1_by_hand() -> None:
    # Shared: big, cat, twice each in neither; precision 2/3, recall 2/4.
    assert word_f1("the big big cat", ["a big cat, it sat"], normalise_squad) == pytest.approx(4 / 7)
    assert word_f1("big big", ["big big cat"], normalise_squad) == pytest.approx(4 / 5)


def test_the_nearest_gold_answer_counts() -> None:
    gold = ["1998", "in May 1998", "May 1998"]
    assert word_f1("May 1998", gold, normalise_squad) == 1
    assert exact_match("May, 1998", gold, normalise_squad) == 1
    # Two gold answers equally near.
    assert word_f1("May", ["May 1998", "May 1999"], normalise_squad) == pytest.approx(2 / 3)


@given(predicted=answers, gold=golds)
def test_squad_as_torchmetrics(predicted: str, gold: list[str]) -> None:
    reference = squad(
        {"prediction_text": predicted, "id": "1"},
        {"answers": {"text": gold, "answer_start": [0] * len(gold)}, "id": "1"},
    )
    assert 100 * exact_match(predicted, gold, normalise_squad) == pytest.approx(reference["exact_match"].item())
    # Torchmetrics gives two answers without words an F1 of 1, as SQuAD 2 does for questions without an answer; 1.1 gives 0.
    if normalise_squad(predicted):
        assert 100 * word_f1(predicted, gold, normalise_squad) == pytest.approx(reference["f1"].item(), rel=1e-6)


@pytest.mark.parametrize("predicted", ["", "the", "..."])
def test_answers_without_words(predicted: str) -> None:
    assert word_f1(predicted, ["a"], normalise_squad) == 0
    assert exact_match(predicted, ["a"], normalise_squad) == 1
    assert exact_match(predicted, ["cat"], normalise_squad) == 0
