"""Parts of speech: the 17 universal ones of UD v2."""

import difflib
from collections.abc import Mapping
from dataclasses import replace

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.reading import Reading, refuse_unlabelled, share
from detente.tasks.unknown_tags import count_tags, refuse_tags

_OPEN = ("ADJ", "ADV", "INTJ", "NOUN", "PROPN", "VERB")
_CLOSED = ("ADP", "AUX", "CCONJ", "DET", "NUM", "PART", "PRON", "SCONJ")
UPOS = frozenset((*_OPEN, *_CLOSED, "PUNCT", "SYM", "X"))

_MISSING = "_"

_MEANT = {
    "CONJ": "CCONJ",  # UD v1, and Petrov's universal tags
    "PRT": "PART",  # Petrov's
    ".": "PUNCT",  # Petrov's
    "NST": "NOUN",  # nouns of time and place in Indian treebanks; Hindi-PUD has them as nouns
}

_Sentences = Reading[TaggedSentence]


def as_upos(data: _Sentences, *, tags: Mapping[str, str] | None = None, strict: bool = False) -> _Sentences:
    """The sentences whose words all have a universal part of speech.

    Args:
        tags: tag -> the tag that is meant.
        strict: refuse sentences that are tagged in part (`_`) instead of leaving them out.

    Raises:
        DataError: a tag is none of the 17, or no sentence is tagged.
    """
    data = _mapped(data, tags or {})
    counts = count_tags(data.examples)
    unknown = {tag: number for tag, number in counts.items() if tag not in UPOS and tag != _MISSING}
    if unknown:
        raise _refuse(data.source, unknown)
    return _without_missing(data, strict) if counts[_MISSING] else data


def _mapped(data: _Sentences, tags: Mapping[str, str]) -> _Sentences:
    if not tags:
        return data
    sentences = (
        TaggedSentence(sentence.words, tuple(tags.get(tag, tag) for tag in sentence.tags)) for sentence in data.examples
    )
    return replace(data, examples=tuple(sentences))


def _refuse(source: str, unknown: Mapping[str, int]) -> DataError:
    are_entities = "O" in unknown or any(tag.startswith(("B-", "I-")) for tag in unknown)
    other_task = "named entities" if are_entities else None
    return refuse_tags(source, unknown, "among the 17 universal parts of speech", _meant, other_task=other_task)


def _meant(tag: str) -> str:
    nearest = difflib.get_close_matches(tag.upper(), sorted(UPOS), n=1)
    return _MEANT.get(tag) or (nearest[0] if nearest else "X")


def _without_missing(data: _Sentences, strict: bool) -> _Sentences:
    whole = tuple(sentence for sentence in data.examples if _MISSING not in sentence.tags)
    if not whole:
        raise refuse_unlabelled(data.source)
    left_out = share(len(data.examples) - len(whole), data.examples)
    if strict:
        raise DataError(f"{left_out} of {data.source} have words tagged `_`. Complete them, or leave `strict` out.")
    return replace(
        data,
        examples=whole,
        notes=(*data.notes, f"{left_out} of {data.source} had words tagged `_` and were left out."),
    )
