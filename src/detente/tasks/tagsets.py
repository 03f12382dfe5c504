"""Whether the files of a tagging task mean the same by their tags: training and test data, one language and another."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from detente.errors import DataError
from detente.settings.tasks import TaskName
from detente.tasks.examples import TaggedSentence
from detente.tasks.reading import Reading
from detente.tasks.unknown_tags import count_tags, listed, mapping

_NAMES = {
    "PERS": "PER",
    "PERSON": "PER",
    "LOCATION": "LOC",
    "ORGANIZATION": "ORG",
    "ORGANISATION": "ORG",
    "MISCELLANEOUS": "MISC",
    "TIM": "TIME",
}
"""Other names of entity types, in capitals."""

_Sentences = Reading[TaggedSentence]


def compare_tags(task: TaskName, train: Sequence[_Sentences], test: Sequence[_Sentences]) -> tuple[str, ...]:
    """Doubts about tags (entity types) that only some of the files have, a sentence each with what to do.

    Args:
        train: what one model is fine-tuned on, a reading a language.
        test: what it is tested on.

    Raises:
        DataError: an entity type has two names (PERS, PER).
    """
    if task == "ner":
        _refuse_two_names([*train, *test])
    known = set().union(*(_kinds(task, reading) for reading in train))
    doubts = [doubt for reading in test for doubt in _unseen(task, reading, known, train)]
    if task == "ner":
        doubts += [doubt for reading in train for doubt in _absent(reading, known, train, "such entities are O in it")]
        doubts += [
            doubt for reading in test for doubt in _absent(reading, known, train, "all that are found count as wrong")
        ]
    return tuple(doubts)


def _kinds(task: TaskName, reading: _Sentences) -> Counter[str]:
    """Entity type -> entities, or part of speech -> words."""
    counts = count_tags(reading.examples)
    if task != "ner":
        return counts
    return Counter({tag[2:]: number for tag, number in counts.items() if tag.startswith("B-")})


def _refuse_two_names(readings: Iterable[_Sentences]) -> None:
    where: dict[str, str] = {}
    for reading in readings:
        for kind in _kinds("ner", reading):
            where.setdefault(kind, reading.source)
    usual = {kind: _NAMES.get(kind.upper(), kind.upper()) for kind in where}
    times = Counter(usual.values())
    doubled = {kind: name for kind, name in usual.items() if times[name] > 1}
    if doubled:
        found = ", ".join(f"`{kind}` in {where[kind]}" for kind in doubled)
        renamed = {kind: name for kind, name in doubled.items() if kind != name}
        raise DataError(f"entity types have two names: {found}. Write `tags: {mapping(renamed)}`.")


def _unseen(task: TaskName, reading: _Sentences, known: set[str], train: Sequence[_Sentences]) -> Iterator[str]:
    counts = {kind: number for kind, number in _kinds(task, reading).items() if kind not in known}
    if not counts:
        return
    doubt = f"{reading.source} has {listed(counts)}, which {_sources(train)} has not: no model gets them right."
    yield f"{doubt} Write `tags: {mapping(dict.fromkeys(counts, 'O'))}` to leave them out." if task == "ner" else doubt


def _absent(reading: _Sentences, known: set[str], train: Sequence[_Sentences], effect: str) -> Iterator[str]:
    absent = sorted(known - set(_kinds("ner", reading)))
    if absent:
        kinds = ", ".join(f"`{kind}`" for kind in absent)
        advice = f"Write `tags: {mapping(dict.fromkeys(absent, 'O'))}` to leave that out everywhere."
        yield f"{reading.source} has no {kinds}, which {_sources(train)} has: {effect}. {advice}"


def _sources(readings: Sequence[_Sentences]) -> str:
    return ", ".join(reading.source for reading in readings)
