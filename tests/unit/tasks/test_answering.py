"""Windows over passages: no character is lost, and what points at an answer gives its text back."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from detente.tasks.answering import CANDIDATES, Answering
from detente.tasks.examples import Answer, Question
from detente.tasks.features import Encoded, Frame

KINDS = ("byte-level", "word-piece", "metaspace")
PADDING = -100.0
answering = Answering()
every_tokenizer = pytest.mark.parametrize("kind", KINDS)

PASSAGE = (
    "The quick brown fox jumps over the lazy dog, 42 times. O\u00f9 est l'\u00e9t\u00e9? \u0627\u0644\u0642\u0637\u064f\u0651 "
    "\u064a\u062c\u0644\u0633\u064f \u0639\u0644\u0649 \u0627\u0644\u0633\u062c\u0627\u062f\u0629\u060c the lazy fox. "
    "\u4eca\u65e5\u306f\u3068\u3066\u3082\u826f\u3044\u5929\u6c17\u3067\u3059\u306d\u3002 \u0c24\u0c46\u0c32\u0c41\u0c17\u0c41 end"
)


def ask(context: str, answer: str, *, question: str = "over the dog?", start: int | None = None) -> Question:
    place = context.index(answer) if start is None else start
    return Question("1", question, context, (Answer(answer, place),))


def encode(examples: Sequence[Question], tokenizer: Any, max_length: int = 32, **others: int) -> tuple[Encoded, Frame]:
    frame = Frame(tokenizer, max_length, **others)
    return answering.encode(examples, frame, ()), frame


def logits_for(encoded: Encoded, ends: Sequence[tuple[int, int]], *, high: float = 9.0) -> tuple[np.ndarray, ...]:
    """One-hot starts and ends of each window, padded as the Trainer pads; nothing at the first position, the model's "not here"."""
    longest = max(len(window.offsets) for window in encoded.places) + 2
    found = tuple(np.full((len(encoded.places), longest), PADDING, np.float32) for _ in "se")
    for row, (window, places) in enumerate(zip(encoded.places, ends, strict=True)):
        for part, place in zip(found, places, strict=True):
            part[row, : len(window.offsets)] = 0
            part[row, place] = high if place else 0
    return found


def targets(encoded: Encoded) -> list[tuple[int, int]]:
    return [(feature["start_positions"], feature["end_positions"]) for feature in encoded.features]


def predict(examples: Sequence[Question], encoded: Encoded, outputs: tuple[np.ndarray, ...], frame: Frame) -> list[str]:
    rows = answering.rows(examples, encoded, outputs, (), frame)
    assert [row["id"] for row in rows] == [example.key for example in examples]
    assert [row["gold"] for row in rows] == [[answer.text for answer in example.answers] for example in examples]
    return [row["predicted"] for row in rows]


def is_held(context: str, start: int, end: int, window: Any) -> bool:
    """Whether tokens of the window touch every character of the answer that is not blank."""
    seen = {c for place in window.offsets if place for c in range(*place)}
    return {c for c in range(start, end) if not context[c].isspace()} <= seen


@every_tokenizer
@pytest.mark.parametrize("max_length", [16, 24, 40, 512])
def test_every_character_is_in_some_window(kind: str, max_length: int, tokenizers: dict[str, Any]) -> None:
    examples = [ask(PASSAGE, "fox"), ask(PASSAGE * 2, "end", question="the")]
    encoded, _ = encode(examples, tokenizers[kind], max_length, stride=4)
    assert max(len(feature["input_ids"]) for feature in encoded.features) <= max_length
    assert len(encoded.places) == 2 or max_length < 512
    for number, example in enumerate(examples):
        windows = [window for window in encoded.places if window.question == number]
        seen = {c for window in windows for place in window.offsets if place for c in range(*place)}
        assert {c for c, character in enumerate(example.context) if not character.isspace()} <= seen
        # Neighbours share so many tokens.
        for before, after in pairwise(windows):
            shared = [place for place in after.offsets if place and place in before.offsets]
            assert len(shared) >= min(4, max_length // 4 - 1)


@every_tokenizer
def test_windows_hold_the_question_and_their_part_of_the_passage(kind: str, tokenizers: dict[str, Any]) -> None:
    tokenizer, example = tokenizers[kind], ask(PASSAGE, "fox")
    encoded, _ = encode([example], tokenizer)
    bare = tokenizer(example.context, add_special_tokens=False)["input_ids"]
    first, parts = 0, []
    for feature, window in zip(encoded.features, encoded.places, strict=True):
        inside = [place is not None for place in window.offsets]
        parts = [number for number, is_passage in zip(feature["input_ids"], inside, strict=True) if is_passage]
        question = feature["input_ids"][: inside.index(True)]
        assert question == tokenizer(example.question, "x")["input_ids"][: len(question)]
        first = next(n for n in range(first, len(bare)) if bare[n : n + len(parts)] == parts)
    assert bare[-len(parts) :] == parts
    assert len(encoded.features) > 2


def test_a_model_with_token_types_is_told_them(tokenizers: dict[str, Any]) -> None:
    encoded, _ = encode([ask(PASSAGE, "fox")], tokenizers["word-piece"])
    for feature, window in zip(encoded.features, encoded.places, strict=True):
        types = [int(place is not None) for place in window.offsets]
        # The separator behind the passage is of its type.
        assert feature["token_type_ids"] == [*types[:-1], 1]
    assert set(encode([ask(PASSAGE, "fox")], tokenizers["metaspace"])[0].features[0]) == {
        "input_ids",
        "start_positions",
        "end_positions",
    }


spans = st.tuples(st.integers(0, len(PASSAGE) - 1), st.integers(1, 40))


@settings(deadline=None, max_examples=150)
@given(kind=st.sampled_from(KINDS), span=spans, max_length=st.integers(24, 90), stride=st.integers(0, 30))
def test_pointing_at_the_answer_gives_it_back(
    tokenizers: dict[str, Any], kind: str, span: tuple[int, int], max_length: int, stride: int
) -> None:
    """And no more than the tokens that it touches: an answer may begin inside one."""
    answer = PASSAGE[span[0] : sum(span)].rstrip()
    start, end = span[0] + len(answer) - len(answer.lstrip()), span[0] + len(answer)
    examples = [ask(PASSAGE, PASSAGE[slice(span[0], sum(span))], question="dog?", start=span[0])]
    encoded, frame = encode(examples, tokenizers[kind], max_length, stride=stride, max_answer_length=max_length)
    held = [is_held(PASSAGE, start, end, window) for window in encoded.places]
    pointed = [target != (0, 0) for target in targets(encoded)]
    assume(answer)
    assert pointed == held
    if any(held):
        (found,) = predict(examples, encoded, logits_for(encoded, targets(encoded)), frame)
        # A window may begin inside a character of several tokens, so less than all of them is possible.
        assert PASSAGE[start:end] in found
        assert found in cover(tokenizers[kind], start, end)


def cover(tokenizer: Any, start: int, end: int) -> str:
    """The text of all tokens of the passage that touch a span."""
    places = tokenizer(PASSAGE, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    touched = [place for place in places if place[0] < end and place[1] > start]
    return PASSAGE[touched[0][0] : touched[-1][1]].strip()


WORDS = PASSAGE.split(" ")


@settings(deadline=None, max_examples=60)
@given(first=st.integers(0, len(WORDS) - 1), more=st.integers(0, 3), max_length=st.integers(80, 120))
def test_answers_of_whole_words_come_back_to_the_letter(
    tokenizers: dict[str, Any], first: int, more: int, max_length: int
) -> None:
    answer = " ".join(WORDS[first : first + 1 + more])
    start = len(" ".join(WORDS[:first])) + (1 if first else 0)
    examples = [ask(PASSAGE, answer, start=start)]
    encoded, frame = encode(examples, tokenizers["byte-level"], max_length, max_answer_length=max_length)
    if any(target != (0, 0) for target in targets(encoded)):
        assert predict(examples, encoded, logits_for(encoded, targets(encoded)), frame) == [answer]


@every_tokenizer
@pytest.mark.parametrize("answer", ["The", "end", "The quick brown", PASSAGE[-10:]])
def test_answers_at_the_very_start_and_end(kind: str, answer: str, tokenizers: dict[str, Any]) -> None:
    examples = [ask(PASSAGE, answer, start=0 if PASSAGE.startswith(answer) else len(PASSAGE) - len(answer))]
    encoded, frame = encode(examples, tokenizers[kind], 64, max_answer_length=64)
    assert sum(target != (0, 0) for target in targets(encoded)) == 1
    (found,) = predict(examples, encoded, logits_for(encoded, targets(encoded)), frame)
    assert answer in found
    assert (PASSAGE.startswith if answer.startswith("The") else PASSAGE.endswith)(found)


@pytest.mark.parametrize(("context", "answer"), [(" fox and dog", " fox"), ("the lazy dog ", "dog ")])
def test_a_blank_at_the_end_of_an_answer_has_no_token(context: str, answer: str, tokenizers: dict[str, Any]) -> None:
    encoded, frame = encode([ask(context, answer)], tokenizers["byte-level"])
    assert targets(encoded) != [(0, 0)]
    assert predict([ask(context, answer)], encoded, logits_for(encoded, targets(encoded)), frame) == [answer.strip()]


@every_tokenizer
def test_an_answer_in_two_windows_is_pointed_at_in_both(kind: str, tokenizers: dict[str, Any]) -> None:
    examples = [ask(PASSAGE, "lazy dog")]
    encoded, frame = encode(examples, tokenizers[kind], 48, stride=12)
    start = PASSAGE.index("lazy dog")
    held = [is_held(PASSAGE, start, start + 8, window) for window in encoded.places]
    while sum(held) < 2:
        # Where windows end depends on the tokenizer: move the answer into an overlap.
        start = PASSAGE.index(" ", start) + 1
        answer = PASSAGE[start : PASSAGE.index(" ", start)]
        examples = [ask(PASSAGE, answer, start=start)]
        encoded, frame = encode(examples, tokenizers[kind], 48, stride=12)
        held = [is_held(PASSAGE, start, start + len(answer), window) for window in encoded.places]
    assert [target != (0, 0) for target in targets(encoded)] == held
    texts = set()
    for window, (first, last) in zip(encoded.places, targets(encoded), strict=True):
        if first:
            texts.add(PASSAGE[window.offsets[first][0] : window.offsets[last][1]].strip())
    assert texts == set(predict(examples, encoded, logits_for(encoded, targets(encoded)), frame))


@every_tokenizer
def test_the_best_of_all_windows_wins(kind: str, tokenizers: dict[str, Any]) -> None:
    examples = [ask(PASSAGE, "fox")]
    encoded, frame = encode(examples, tokenizers[kind])
    ends = [(window.offsets.index(next(p for p in window.offsets if p)),) * 2 for window in encoded.places]
    for chosen in range(len(ends)):
        outputs = logits_for(encoded, ends)
        for part in outputs:
            part[chosen] *= 2
        begin, end = encoded.places[chosen].offsets[ends[chosen][0]]
        (row,) = answering.rows(examples, encoded, outputs, (), frame)
        assert (row["predicted"], row["score"]) == (PASSAGE[begin:end].strip(), 36.0)


def test_without_a_gold_answer_windows_point_nowhere(tokenizers: dict[str, Any]) -> None:
    encoded, _ = encode([Question("1", "dog?", PASSAGE, ())], tokenizers["word-piece"])
    assert set(targets(encoded)) == {(0, 0)}


def test_an_answer_that_no_window_holds_is_pointed_at_in_none(tokenizers: dict[str, Any]) -> None:
    encoded, _ = encode([ask(PASSAGE, PASSAGE)], tokenizers["word-piece"])
    assert len(encoded.places) > 1
    assert set(targets(encoded)) == {(0, 0)}


def of_words(scores: dict[str, tuple[float, float]], longest: int = 30) -> dict[str, Any]:
    """The row predicted for the passage of these words, a token each, given the logits of each as a start and as an end."""
    from detente.tasks.answering import Window

    context = " ".join(scores)
    places = [(context.index(word), context.index(word) + len(word)) for word in scores]
    window = Window(0, (None, None, *places, None))
    starts, ends = (
        np.array([[50.0, 50.0, *(pair[side] for pair in scores.values()), 50.0, PADDING]], np.float32)
        for side in (0, 1)
    )
    frame = Frame(None, 64, max_answer_length=longest)
    example = Question("1", "?", context, (Answer("one", 0),))
    (row,) = answering.rows([example], Encoded([{}], [window]), (starts, ends), (), frame)
    return row


@pytest.mark.parametrize(
    ("longest", "expected", "score"), [(30, "one two three four", 9.0), (3, "two three four", 8.5), (1, "four", 6.0)]
)
def test_an_answer_has_so_many_tokens_at_most(longest: int, expected: str, score: float) -> None:
    scores = {"one": (4.0, 0.0), "two": (3.5, 0.0), "three": (0.0, 1.0), "four": (1.0, 5.0), "five": (2.0, 2.5)}
    row = of_words(scores, longest)
    assert (row["predicted"], row["score"]) == (expected, score)


def test_an_end_does_not_stand_before_its_start() -> None:
    assert of_words({"one": (0.0, 9.0), "two": (1.0, 1.5), "three": (9.0, 0.0)})["predicted"] == "one"
    assert of_words({"one": (-9.0, 9.0), "two": (1.0, 1.5), "three": (9.0, -9.0)})["predicted"] == "two"


def test_of_equal_spans_the_first_and_shortest_is_taken() -> None:
    assert of_words(dict.fromkeys(("one", "two", "three"), (0.0, 0.0)))["predicted"] == "one"
    row = of_words({"one": (1.0, 0.0), "two": (2.0, 1.0), "three": (0.0, 2.0), "four": (2.0, 2.0)})
    assert (row["predicted"], row["score"]) == ("two three", 4.0)


logits = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=CANDIDATES)


@given(logits, st.integers(1, 6))
def test_the_answer_is_the_best_of_all_spans(pairs: list[tuple[int, int]], longest: int) -> None:
    """Found by trying every span, where no more starts and ends than are tried exist."""
    words = [f"w{number}" for number in range(len(pairs))]
    scores = {
        (start, end): pairs[start][0] + pairs[end][1]
        for start in range(len(pairs))
        for end in range(start, min(start + longest, len(pairs)))
    }
    start, end = max(scores, key=lambda span: (scores[span], -span[0], -span[1]))
    row = of_words({word: (float(a), float(b)) for word, (a, b) in zip(words, pairs, strict=True)}, longest)
    assert (row["predicted"], row["score"]) == (" ".join(words[start : end + 1]), scores[start, end])


def test_logits_that_are_not_finite_are_passed_over() -> None:
    assert of_words({"one": (np.nan, np.inf), "two": (1.0, 1.0), "three": (-np.inf, 0.0)})["predicted"] == "two"
    row = of_words({"one": (np.nan, np.nan)})
    assert (row["predicted"], row["score"]) == ("", 0.0)


@every_tokenizer
@pytest.mark.parametrize("max_length", [16, 17, 23, 32])
def test_a_question_of_more_than_half_a_sequence_is_cut(kind: str, max_length: int, tokenizers: dict[str, Any]) -> None:
    for text in (
        "the lazy dog jumps over " * 9,
        "\u0c24\u0c46\u0c32\u0c41\u0c17\u0c41 \u0915\u094d\u200d" * 20,
        "\U0001f468" * 60,
    ):
        examples = [ask(PASSAGE, "fox", question=text), ask(PASSAGE, "fox", question="the")]
        encoded, _ = encode(examples, tokenizers[kind], max_length)
        rows = [f for f, w in zip(encoded.features, encoded.places, strict=True) if w.question == 0]
        tokens = tokenizers[kind](text, add_special_tokens=False)["input_ids"]
        cut = len(tokens) > max_length // 2
        assert encoded.notes == (("1 of 2 questions were cut to half a sequence",) if cut else ())
        inside = encoded.places[0].offsets.index(next(p for p in encoded.places[0].offsets if p))
        beside = inside - tokenizers[kind].num_special_tokens_to_add(pair=True) + 1
        assert max_length // 4 < beside <= max_length // 2 if cut else beside == len(tokens)
        assert rows[0]["input_ids"][1 : 1 + beside] == tokens[:beside]
        assert max(map(len, (row["input_ids"] for row in rows))) <= max_length
        seen = {c for w in encoded.places if w.question == 0 for p in w.offsets if p for c in range(*p)}
        assert {c for c, character in enumerate(PASSAGE) if not character.isspace()} <= seen


def test_nothing_gives_nothing(tokenizers: dict[str, Any]) -> None:
    encoded, frame = encode([], tokenizers["metaspace"])
    assert (encoded.features, encoded.places, encoded.notes) == ([], [], ())
    assert answering.rows([], encoded, (np.zeros((0, 0)),) * 2, (), frame) == []
