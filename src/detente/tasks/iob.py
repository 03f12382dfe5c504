"""Entity tags as IOB2: B-TYPE begins an entity, I-TYPE goes on with it, O is outside. Other notations are converted.

    IOB1                B- only between two neighbours of one type: the first I- of an entity becomes B-
    IOBES, BILOU, BMES  one word is S- or U-, the last is E- or L-, the middle M-
    MahaNER             BNEP, INEP: the table below

What is invalid then (I- after O or after another type) begins an entity, as conlleval counts it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.reading import Reading, share
from detente.tasks.unknown_tags import count_tags, refuse_tags
from detente.tasks.upos import UPOS

_IOB2 = {"B": "B", "I": "I", "E": "I", "L": "I", "M": "I", "S": "B", "U": "B"}
"""Prefix of any notation -> that of IOB2."""

_MAHANER = {
    "NEP": "PER",
    "NEL": "LOC",
    "NEO": "ORG",
    "NEM": "MEASURE",
    "NETI": "TIME",
    "NED": "DATE",
    # BED is no slip for BNED: its words are titles, as minister and captain.
    "ED": "DESIGNATION",
}

_Tags = tuple[str, ...]
_Sentences = Reading[TaggedSentence]


def as_iob2(data: _Sentences, *, tags: Mapping[str, str] | None = None, strict: bool = False) -> _Sentences:
    """The same sentences with valid IOB2 tags.

    Args:
        tags: entity type -> the type that is meant, or O; or a whole tag -> the tag that is meant.
        strict: refuse invalid sequences instead of repairing them.

    Raises:
        DataError: a tag is of no known notation; or, with `strict`, a sequence is invalid.
    """
    tags = tags or {}
    data = _retagged(data, lambda tag: tags.get(tag, tag))
    _refuse_unknown(data)
    data = _in_one_notation(data)
    data = _retagged(data, lambda tag: _renamed(tag, tags))
    data = _valid(data) if strict else _repaired(data, "had invalid IOB2 tags, which were repaired")
    if set(count_tags(data.examples)) == {"O"}:
        data = _noted(data, f"{data.source} has no entity: every tag is O. Is it a file without labels?")
    return data


def repair_iob2(tags: Iterable[str]) -> _Tags:
    """Valid IOB2: an I- that follows O, another type or nothing becomes B-; all others stay as they are."""
    repaired, before = [], "O"
    for tag in tags:
        repaired.append("B" + tag[1:] if _begins_with_i(before, tag) else tag)
        before = tag
    return tuple(repaired)


def _begins_with_i(before: str, tag: str) -> bool:
    return tag.startswith("I-") and before[1:] != tag[1:]


def _retagged(data: _Sentences, new: Callable[[str], str]) -> _Sentences:
    table = {tag: new(tag) for tag in count_tags(data.examples)}
    if all(tag == other for tag, other in table.items()):
        return data
    retagged = (TaggedSentence(each.words, tuple(map(table.__getitem__, each.tags))) for each in data.examples)
    return replace(data, examples=tuple(retagged))


def _noted(data: _Sentences, note: str) -> _Sentences:
    return replace(data, notes=(*data.notes, note))


def _refuse_unknown(data: _Sentences) -> None:
    counts = count_tags(data.examples)
    unknown = {tag: number for tag, number in counts.items() if _iob2_tag(tag) is None}
    if unknown:
        other_task = "parts of speech" if set(unknown) & UPOS else None
        raise refuse_tags(data.source, unknown, "IOB2 (O, B-TYPE, I-TYPE)", _meant, other_task=other_task)


def _iob2_tag(tag: str) -> str | None:
    """With the prefix of IOB2; None when the notation is not known."""
    if tag == "O":
        return tag
    if tag[:1] in ("B", "I") and tag[1:] in _MAHANER:
        return f"{tag[0]}-{_MAHANER[tag[1:]]}"
    prefix, _, kind = tag.partition("-")
    return f"{_IOB2[prefix]}-{kind}" if prefix in _IOB2 and kind else None


def _meant(tag: str) -> str:
    """B-PER for b-per or B_PER, O for o or 0; I-PER for PER alone, so that neighbours of one type are one entity."""
    parts = re.fullmatch(r"([BIbi])[-_](.+)", tag)
    if parts:
        return f"{parts[1].upper()}-{parts[2]}"
    return "O" if tag in ("o", "0", "_") else f"I-{tag}"


def _in_one_notation(data: _Sentences) -> _Sentences:
    converted = _retagged(data, lambda tag: _iob2_tag(tag) or tag)
    changed = sum(old.tags != new.tags for old, new in zip(data.examples, converted.examples, strict=True))
    if changed:
        where = f"{share(changed, data.examples)} of {data.source}"
        converted = _noted(converted, f"{where} were in another notation than IOB2 and were converted.")
    if _is_iob1(converted):
        return _repaired(converted, "were in the notation IOB1 and were converted")
    return converted


def _is_iob1(data: _Sentences) -> bool:
    """Some entity begins with I-, and B- only parts neighbours of one type."""
    starts = {
        (tag[0], before[1:] == tag[1:])
        for sentence in data.examples
        for before, tag in pairwise(("O", *sentence.tags))
        if tag != "O"
    }
    return ("I", False) in starts and ("B", False) not in starts


def _renamed(tag: str, tags: Mapping[str, str]) -> str:
    prefix, _, kind = tag.partition("-")
    meant = tags.get(kind, kind)
    if re.match("[BI]-", meant):
        raise DataError(
            f"`tags`: an entity type is mapped to a type; found `{kind}: {meant}`. Write `{kind}: {meant[2:]}`."
        )
    return "O" if "O" in (tag, meant) else f"{prefix}-{meant}"


def _valid(data: _Sentences) -> _Sentences:
    for number, sentence in enumerate(data.examples, 1):
        for before, tag in pairwise(("O", *sentence.tags)):
            if _begins_with_i(before, tag):
                raise DataError(
                    f"{data.source}, sentence {number}: `{tag}` after `{before}` is not valid IOB2. "
                    f"Write `B{tag[1:]}`, or leave `strict` out to have it read so."
                )
    return data


def _repaired(data: _Sentences, what: str) -> _Sentences:
    sentences = tuple(TaggedSentence(each.words, repair_iob2(each.tags)) for each in data.examples)
    changed = sum(old.tags != new.tags for old, new in zip(data.examples, sentences, strict=True))
    if not changed:
        return data
    return _noted(replace(data, examples=sentences), f"{share(changed, data.examples)} of {data.source} {what}.")
