"""QA: the answer is a span of the passage. Passages are read in overlapping windows; the best span of all windows is the answer.

Devlin et al. 2019, section 4.2: the score of a span is its start logit plus its end logit. A window without the answer points at
its first position in training.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from detente.tasks.examples import Answer, Question
from detente.tasks.features import Encoded, Feature, Frame, inputs

CANDIDATES = 20
"""Starts, and ends, that are tried in a window."""


class Window(NamedTuple):
    """A part of a passage: where each token stands in it, in characters; none for the question and special tokens."""

    question: int
    offsets: tuple[tuple[int, int] | None, ...]


class Answering:
    """For an answer."""

    model_class = "AutoModelForQuestionAnswering"

    def labels(self, examples: Sequence[Question]) -> tuple[str, ...]:
        """None: a span has no kind."""
        del examples
        return ()

    def encode(self, examples: Sequence[Question], frame: Frame, labels: Sequence[str]) -> Encoded:
        """Windows. A question of more than half a sequence is cut."""
        del labels
        if not examples:
            return Encoded([], [])
        questions, cut = _short_questions([example.question for example in examples], frame)
        encoded = frame.tokenizer(
            questions,
            [example.context for example in examples],
            truncation="only_second",
            max_length=frame.max_length,
            stride=_stride(frame),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )
        features, windows = [], []
        for row, question in enumerate(encoded["overflow_to_sample_mapping"]):
            window = Window(question, _in_passage(encoded, row))
            features.append({**inputs(encoded, row), **_target(examples[question], window)})
            windows.append(window)
        notes = (f"{cut:,} of {len(examples):,} questions were cut to half a sequence",) if cut else ()
        return Encoded(features, windows, notes)

    def reduce(self, logits: Any) -> Any:
        """Start and end logits."""
        return logits

    def rows(
        self,
        examples: Sequence[Question],
        encoded: Encoded,
        outputs: tuple[np.ndarray, np.ndarray],
        labels: Sequence[str],
        frame: Frame,
    ) -> list[dict[str, Any]]:
        """Predictions as they are saved; an answer is empty where no window has a span."""
        del labels
        best: dict[int, tuple[float, int, int]] = {}
        for window, starts, ends in zip(encoded.places, *outputs, strict=True):
            for span in _spans(window, starts, ends, frame.max_answer_length):
                best[window.question] = max(best.get(window.question, span), span, key=_rank)
        return [_row(example, best.get(number)) for number, example in enumerate(examples)]


def _rank(span: tuple[float, int, int]) -> tuple[float, int, int]:
    """By the score; of equals the first and shortest."""
    score, start, end = span
    return score, -start, -end


def _row(example: Question, span: tuple[float, int, int] | None) -> dict[str, Any]:
    score, start, end = span or (0.0, 0, 0)
    return {
        "id": example.key,
        "gold": [answer.text for answer in example.answers],
        # Tokens may take along the blank before them.
        "predicted": example.context[start:end].strip(),
        "score": score,
    }


def _spans(window: Window, starts: np.ndarray, ends: np.ndarray, longest: int) -> Iterator[tuple[float, int, int]]:
    """Score and characters of the likeliest spans."""
    size = len(window.offsets)
    inside = np.array([place is not None for place in window.offsets])
    first, last = (_likeliest(np.where(inside, each[:size], -np.inf)) for each in (starts, ends))
    for start in first:
        for end in last:
            if start <= end < start + longest:
                begin, finish = window.offsets[start], window.offsets[end]
                assert begin is not None
                assert finish is not None
                yield float(starts[start] + ends[end]), begin[0], finish[1]


def _likeliest(logits: np.ndarray) -> list[int]:
    order = np.argsort(-logits, kind="stable")[:CANDIDATES]
    return [int(place) for place in order if np.isfinite(logits[place])]


def _in_passage(encoded: Any, row: int) -> tuple[tuple[int, int] | None, ...]:
    offsets, sequences = encoded["offset_mapping"][row], encoded.sequence_ids(row)
    return tuple(tuple(place) if sequence == 1 else None for place, sequence in zip(offsets, sequences, strict=True))


def _target(example: Question, window: Window) -> Feature:
    """Positions of the first answer's first and last token, or of the first token where the window does not hold it all."""
    if not example.answers:
        return {"start_positions": 0, "end_positions": 0}
    begin, finish = _bounds(example.answers[0])
    touched = [
        number
        for number, place in enumerate(window.offsets)
        if place is not None and place[0] < finish and place[1] > begin
    ]
    first, last = (touched[0], touched[-1]) if touched else (0, 0)
    held = touched and _begins_by(window, begin) and _ends_after(window, finish)
    return {"start_positions": first, "end_positions": last} if held else {"start_positions": 0, "end_positions": 0}


def _bounds(answer: Answer) -> tuple[int, int]:
    """In characters, without the blanks around it: no token need hold those."""
    blanks = len(answer.text) - len(answer.text.lstrip())
    return answer.start + blanks, answer.start + len(answer.text.rstrip())


def _begins_by(window: Window, character: int) -> bool:
    return min(place[0] for place in window.offsets if place is not None) <= character


def _ends_after(window: Window, character: int) -> bool:
    return max(place[1] for place in window.offsets if place is not None) >= character


def _short_questions(questions: list[str], frame: Frame) -> tuple[list[str], int]:
    """Cut to half a sequence, and how many were."""
    offsets = frame.tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    room = frame.max_length // 2
    ends = [_last_end(places, room) if len(places) > room else None for places in offsets["offset_mapping"]]
    return [question[:end] for question, end in zip(questions, ends, strict=True)], sum(e is not None for e in ends)


def _last_end(places: list[tuple[int, int]], room: int) -> int:
    """Where `room` tokens end, or fewer: tokens of bytes can share a character, and it is not cut."""
    ends = (places[number - 1][1] for number in range(1, room + 1) if places[number][0] >= places[number - 1][1])
    return max(ends, default=0)


def _stride(frame: Frame) -> int:
    """Less than the longest question leaves of a sequence."""
    left = frame.max_length - frame.max_length // 2 - frame.tokenizer.num_special_tokens_to_add(pair=True)
    return min(frame.stride, frame.max_length // 4, left - 1)
