"""Tags at first subwords: every word of every sentence has one label, under every kind of tokenizer, however long the sentence."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detente.tasks.examples import TaggedSentence
from detente.tasks.features import IGNORED, Encoded, Frame
from detente.tasks.tagging import Tagging

KINDS = ("byte-level", "word-piece", "metaspace")
# Latin with accents, right to left, combining marks and joiners, no blanks, an emoji of several code points, punctuation.
SENTENCES = (
    ("The", "quick", "caf\u00e9", "na\u00efve", ",", "done", "."),
    ("\u0627\u0644\u0642\u0637\u064f\u0651", "\u064a\u062c\u0644\u0633\u064f", "\u0639\u0644\u0649", "\u061f"),
    ("\u0c24\u0c46\u0c32\u0c41\u0c17\u0c41", "\u0915\u094d\u200d\u092f\u093e", "\u0939\u0948\u0902", "?"),
    ("\u4eca\u65e5\u306f", "\u3068\u3066\u3082", "\u3002"),
    ("Emoji", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f", "x\u0301y"),
)
tagging = Tagging()
every_tokenizer = pytest.mark.parametrize("kind", KINDS)


def sentences_of(words: Sequence[Sequence[str]]) -> list[TaggedSentence]:
    """With a tag of its own for every word, so that no two can be confused."""
    return [
        TaggedSentence(tuple(some), tuple(f"T{number}-{place}" for place in range(len(some))))
        for number, some in enumerate(words)
    ]


def encode(examples: Sequence[TaggedSentence], tokenizer: Any, max_length: int = 512) -> tuple[Encoded, Frame]:
    frame = Frame(tokenizer, max_length)
    return tagging.encode(examples, frame, tagging.labels(examples)), frame


def own_labels(encoded: Encoded) -> np.ndarray:
    """What a model gives that is right wherever it is asked, and says the last label elsewhere, padded as the Trainer pads."""
    longest = max(len(feature["labels"]) for feature in encoded.features)
    rows = [feature["labels"] + [IGNORED] * (longest - len(feature["labels"])) for feature in encoded.features]
    largest = max(label for row in rows for label in row)
    return np.array([[largest if label == IGNORED else label for label in row] for row in rows])


def decode(examples: Sequence[TaggedSentence], encoded: Encoded, frame: Frame) -> list[list[str]]:
    rows = tagging.rows(examples, encoded, own_labels(encoded), tagging.labels(examples), frame)
    assert [(row["words"], row["gold"]) for row in rows] == [(list(e.words), list(e.tags)) for e in examples]
    return [row["predicted"] for row in rows]


def is_empty(word: str) -> bool:
    """Whether a tokenizer may well leave nothing of it."""
    return all(unicodedata.category(character) in ("Zs", "Cc", "Cf", "Mn") for character in word)


def assert_each_word_once(examples: Sequence[TaggedSentence], encoded: Encoded, frame: Frame) -> None:
    labels = tagging.labels(examples)
    asked = Counter(labels[n] for feature in encoded.features for n in feature["labels"] if n != IGNORED)
    assert set(asked.values()) <= {1}
    for example, found in zip(examples, decode(examples, encoded, frame), strict=True):
        for word, gold, predicted in zip(example.words, example.tags, found, strict=True):
            assert predicted == gold if gold in asked else predicted == "X"
            assert gold in asked or is_empty(word), f"{word!r} is not scored"


@every_tokenizer
def test_the_label_stands_at_the_first_subword(kind: str, tokenizers: dict[str, Any]) -> None:
    tokenizer, examples = tokenizers[kind], sentences_of(SENTENCES)
    encoded, _ = encode(examples, tokenizer)
    assert len(encoded.features) == len(examples)
    split = 0
    for example, feature in zip(examples, encoded.features, strict=True):
        ids, firsts = reference(kind, tokenizer, example.words)
        assert feature["input_ids"] == ids
        assert [place for place, label in enumerate(feature["labels"]) if label != IGNORED] == firsts
        split += len(ids) - 2 - len(firsts)
    assert split > len(examples), "words of several subwords are what is tested"


def reference(kind: str, tokenizer: Any, words: Sequence[str]) -> tuple[list[int], list[int]]:
    """Ids of a sentence, and the place of each word's first, found word by word."""
    if kind != "byte-level":
        encoded = tokenizer(list(words), is_split_into_words=True)
        numbers = encoded.word_ids()
        return encoded["input_ids"], [numbers.index(number) for number in range(len(words))]
    parts = [tokenizer(" " * bool(n) + word, add_special_tokens=False)["input_ids"] for n, word in enumerate(words)]
    firsts = np.cumsum([1, *map(len, parts)])[:-1].tolist()
    end = tokenizer.eos_token_id
    return [end, *(number for part in parts for number in part), end], firsts


@every_tokenizer
def test_what_is_right_at_first_subwords_gives_the_tags_back(kind: str, tokenizers: dict[str, Any]) -> None:
    examples = sentences_of(SENTENCES)
    encoded, frame = encode(examples, tokenizers[kind])
    assert decode(examples, encoded, frame) == [list(example.tags) for example in examples]
    assert encoded.notes == ()


@every_tokenizer
def test_a_word_may_hold_blanks(kind: str, tokenizers: dict[str, Any]) -> None:
    examples = sentences_of([("1 000 000", "quick fox", "brown"), ("a", "New  York ", "b")])
    encoded, frame = encode(examples, tokenizers[kind])
    assert decode(examples, encoded, frame) == [list(example.tags) for example in examples]
    assert sum(label != IGNORED for label in encoded.features[0]["labels"]) == 3


def test_a_word_without_subwords_is_outside_of_all(tokenizers: dict[str, Any]) -> None:
    """BERT's normalizer drops control characters; both neighbours keep their own tags."""
    words, tags = ("\u200e", "quick", "\u200e", "\u200f", "brown", "\u200e"), ("O", "B-A", "I-A", "B-B", "I-B", "B-A")
    example = TaggedSentence(words, tags)
    encoded, frame = encode([example], tokenizers["word-piece"])
    assert encoded.places[0].positions[0] is None
    assert decode([example], encoded, frame) == [["O", "B-A", "O", "O", "I-B", "O"]]
    examples = [TaggedSentence(words, ("NOUN",) * 6)]
    assert decode(examples, *encode(examples, tokenizers["word-piece"])) == [["X", "NOUN", "X", "X", "NOUN", "X"]]


def test_a_tag_that_training_did_not_have_is_left_out_of_the_loss(tokenizers: dict[str, Any]) -> None:
    example = TaggedSentence(("The", "quick", "fox"), ("DET", "ADJ", "NOUN"))
    encoded = tagging.encode([example], Frame(tokenizers["word-piece"], 64), ("DET", "NOUN"))
    labels = [encoded.features[0]["labels"][place] for place in encoded.places[0].positions]
    assert labels == [0, IGNORED, 1]


@every_tokenizer
def test_a_long_sentence_is_cut_between_words(kind: str, tokenizers: dict[str, Any]) -> None:
    words = [word for sentence in SENTENCES * 4 for word in sentence]
    examples = sentences_of([words, SENTENCES[0][:3]])
    encoded, frame = encode(examples, tokenizers[kind], 24)
    pieces = len(encoded.features) - 1
    assert pieces > 4
    assert encoded.notes == (f"{pieces - 1} times a sentence of more than 24 tokens was cut between words",)
    assert max(len(feature["input_ids"]) for feature in encoded.features) <= 24
    assert_each_word_once(examples, encoded, frame)
    whole, _ = reference(kind, tokenizers[kind], words)
    assert [n for feature in encoded.features[:-1] for n in feature["input_ids"][1:-1]] == whole[1:-1]
    # A piece ends because the next word would not have fitted.
    firsts = [feature["labels"][1:-1] for feature in encoded.features[1:-1]]
    for feature, following in zip(encoded.features, firsts, strict=False):
        first_word = next((n for n, label in enumerate(following[1:], 1) if label != IGNORED), len(following))
        assert len(feature["input_ids"]) + first_word > 24


@every_tokenizer
def test_a_word_longer_than_the_sequence_is_tagged_at_its_beginning(kind: str, tokenizers: dict[str, Any]) -> None:
    long = "over" * 20
    examples = sentences_of([("The", long, "fox"), (long,), (long, long)])
    encoded, frame = encode(examples, tokenizers[kind], 16)
    assert max(len(feature["input_ids"]) for feature in encoded.features) == 16
    assert_each_word_once(examples, encoded, frame)
    assert {tuple(f["input_ids"][:1] + f["input_ids"][-1:]) for f in encoded.features} == {
        tuple(map(tokenizers[kind]("a")["input_ids"].__getitem__, (0, -1)))
    }
    assert len(encoded.features) == 6


ALPHABET = "abcquick\u00e9\u00df\u0627\u0644\u064f\u0c24\u0c46\u0c4d\u0939\u4eca\u306f\u3002\U0001f468\u200d\u200c\u200e\u0301\ufe0f,.'-1\u00a0\uff21 "
words = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=9)


@settings(deadline=None, max_examples=120)
@given(
    kind=st.sampled_from(KINDS),
    sentences=st.lists(st.lists(words, min_size=1, max_size=14), min_size=1, max_size=4),
    max_length=st.integers(8, 40),
)
def test_every_word_of_every_sentence_is_scored_once(
    tokenizers: dict[str, Any], kind: str, sentences: list[list[str]], max_length: int
) -> None:
    examples = sentences_of(sentences)
    encoded, frame = encode(examples, tokenizers[kind], max_length)
    assert all(len(feature["input_ids"]) == len(feature["labels"]) <= max_length for feature in encoded.features)
    assert_each_word_once(examples, encoded, frame)


@every_tokenizer
def test_a_special_token_as_a_word_has_its_tag(kind: str, tokenizers: dict[str, Any]) -> None:
    examples = sentences_of([("a", "</s>", "[SEP]", "<mask>", "b", "[MASK]")])
    encoded, frame = encode(examples, tokenizers[kind])
    assert decode(examples, encoded, frame) == [list(examples[0].tags)]


def test_nothing_gives_nothing(tokenizers: dict[str, Any]) -> None:
    encoded, frame = encode([], tokenizers["metaspace"])
    assert (encoded.features, encoded.places, encoded.notes) == ([], [], ())
    assert tagging.rows([], encoded, np.zeros((0, 0)), (), frame) == []


def test_labels_are_sorted_and_the_likeliest_is_kept() -> None:
    assert tagging.labels([*sentences_of([("b", "a")]), TaggedSentence(("x",), ("A",))]) == ("A", "T0-0", "T0-1")
    logits = np.array([[[0.1, 0.3, 0.2], [2.0, -1.0, 0.0]]])
    assert tagging.reduce(logits).tolist() == [[1, 0]]
