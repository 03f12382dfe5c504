"""NER and POS: a tag for each word, predicted at its first subword.

A word without a subword (a control character, say) gets no prediction but `O` or `X`. A sentence that is too long is tagged in
pieces of whole words, in training as in testing, so that no word goes unscored.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from detente.tasks.examples import TaggedSentence
from detente.tasks.features import IGNORED, Encoded, Feature, Frame

Row = dict[str, Any]


class Place(NamedTuple):
    """A piece of a sentence: for each of its words from `first` on, the position of its first subword, or none."""

    sentence: int
    first: int
    positions: tuple[int | None, ...]


class Tagging:
    """Of words."""

    model_class = "AutoModelForTokenClassification"

    def labels(self, examples: Sequence[TaggedSentence]) -> tuple[str, ...]:
        """Tags, sorted."""
        return tuple(sorted({tag for example in examples for tag in example.tags}))

    def encode(self, examples: Sequence[TaggedSentence], frame: Frame, labels: Sequence[str]) -> Encoded:
        """Sentences as pieces that fit; a tag that is none of `labels` is left out of the loss."""
        before, after = frame.around()
        room = frame.max_length - len(before) - len(after)
        number_of = {tag: number for number, tag in enumerate(labels)}
        features, places = [], []
        for sentence, (example, words) in enumerate(zip(examples, _subwords(examples, frame), strict=True)):
            for piece in _pieces(words, room):
                tags = [number_of.get(example.tags[word], IGNORED) for word in piece]
                feature, positions = _feature([words[word] for word in piece], tags, before, after, room)
                features.append(feature)
                places.append(Place(sentence, piece.start, positions))
        cut = len(places) - len(examples)
        notes = (
            (f"{cut:,} times a sentence of more than {frame.max_length} tokens was cut between words",) if cut else ()
        )
        return Encoded(features, places, notes)

    def reduce(self, logits: Any) -> Any:
        """The most likely label at each token."""
        return logits.argmax(-1)

    def rows(
        self,
        examples: Sequence[TaggedSentence],
        encoded: Encoded,
        outputs: np.ndarray,
        labels: Sequence[str],
        frame: Frame,
    ) -> list[Row]:
        """Predictions as they are saved."""
        del frame
        nothing = "O" if "O" in labels else "X"
        tags = [[nothing] * len(example.words) for example in examples]
        for place, output in zip(encoded.places, outputs, strict=True):
            for word, position in enumerate(place.positions, place.first):
                if position is not None:
                    tags[place.sentence][word] = labels[output[position]]
        return [
            {"words": list(example.words), "gold": list(example.tags), "predicted": found}
            for example, found in zip(examples, tags, strict=True)
        ]


def _subwords(examples: Sequence[TaggedSentence], frame: Frame) -> Iterator[list[list[int]]]:
    """Of each sentence, the token ids of each word. The words are joined by blanks, as they stand in pretraining's text."""
    if not examples:
        return
    texts = [" ".join(example.words) for example in examples]
    encoded = frame.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    for example, ids, offsets in zip(examples, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        yield _by_word(example.words, ids, offsets)


def _by_word(words: Sequence[str], ids: list[int], offsets: list[tuple[int, int]]) -> list[list[int]]:
    """A token belongs to the word in which it ends: some tokens begin with the blank before it."""
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    found: list[list[int]] = [[] for _ in words]
    word = 0
    for number, (_, end) in zip(ids, offsets, strict=True):
        while word < len(words) - 1 and end > ends[word]:
            word += 1
        found[word].append(number)
    return found


def _pieces(words: list[list[int]], room: int) -> Iterator[range]:
    """Ranges of words whose tokens fit."""
    first, used = 0, 0
    for word, ids in enumerate(words):
        if used and used + len(ids) > room:
            yield range(first, word)
            first, used = word, 0
        used += len(ids)
    yield range(first, len(words))


def _feature(
    words: list[list[int]], tags: list[int], before: list[int], after: list[int], room: int
) -> tuple[Feature, tuple[int | None, ...]]:
    ids, labels, positions = list(before), [IGNORED] * len(before), list[int | None]()
    for word, tag in zip(words, tags, strict=True):
        positions.append(len(ids) if word else None)
        ids += word
        labels += [tag, *[IGNORED] * (len(word) - 1)] if word else []
    # One word can be longer than a sequence; its tag stands at its beginning.
    del ids[len(before) + room :], labels[len(before) + room :]
    return {"input_ids": [*ids, *after], "labels": [*labels, *[IGNORED] * len(after)]}, tuple(positions)
