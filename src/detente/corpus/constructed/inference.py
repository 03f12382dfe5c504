"""Premises and hypotheses whose relation follows from their meanings.

    entailment     one or two circumstances or modifiers of the premise are left out
    contradiction  a participant, the place or the time becomes another of its kind, or the event is negated
    neutral        a circumstance or modifier that the premise does not mention is added

Half of the contradictions and neutral pairs leave something out too, so that length alone does not betray the label.
"""

import random
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from detente.corpus.constructed.chance import zipfian
from detente.corpus.constructed.inventory import ENTITY_WORDS, entities, members
from detente.corpus.constructed.meaning import Event, Narrator, Phrase
from detente.corpus.constructed.world import World

Label = Literal["entailment", "neutral", "contradiction"]
LABELS: tuple[Label, ...] = ("entailment", "neutral", "contradiction")

Slot = tuple[str, ...]
"""Where something stands in an event, as `("agent", "adjective")`."""

_EXTRAS: tuple[Slot, ...] = (
    ("place",),
    ("tool",),
    ("time",),
    ("manner",),
    *((role, modifier) for role in ("agent", "patient", "place") for modifier in ("adjective", "numeral")),
    ("place", "owner"),
)
"""What can be left out or added."""


class Inference(NamedTuple):
    """Two events and how the second follows from the first."""

    premise: Event
    hypothesis: Event
    label: Label


def inferences(narrator: Narrator, world: World, rng: random.Random) -> Iterator[list[Inference]]:
    """For one premise after another, a hypothesis of each label, in turn."""
    for premise in narrator.events():
        if sum(_has(premise, slot) for slot in _EXTRAS) >= 2 and _addable(premise):
            yield [Inference(premise, hypothesis(premise, label, world, rng), label) for label in LABELS]


def hypothesis(premise: Event, label: Label, world: World, rng: random.Random) -> Event:
    """An event that stands in this relation to the premise."""
    leaves_out = rng.random() < 0.5
    if label == "neutral":
        return _add(premise, world, rng, leaves_out=leaves_out)
    shorter = _leave_out(premise, rng) if leaves_out or label == "entailment" else premise
    if label == "contradiction":
        return _contradict(shorter, rng)
    return _leave_out(shorter, rng) if leaves_out else shorter


def _leave_out(event: Event, rng: random.Random, keep: Slot | None = None) -> Event:
    present = [slot for slot in _EXTRAS if _has(event, slot) and slot != keep]
    return _put(event, _one(rng, present), None) if present else event


def _add(premise: Event, world: World, rng: random.Random, *, leaves_out: bool) -> Event:
    slot = _one(rng, _addable(premise))
    # An added modifier of the place goes with the place, which must then stay.
    shorter = _leave_out(premise, rng, keep=slot[:1]) if leaves_out else premise
    return _put(shorter, slot, _addition(premise, slot, world, rng))


def _contradict(event: Event, rng: random.Random) -> Event:
    changes = [
        slot for slot in (("agent", "head"), ("patient", "head"), ("place", "head"), ("time",)) if _has(event, slot)
    ]
    chosen = int(rng.random() * (len(changes) + 1))
    if chosen == len(changes):
        return event._replace(is_negated=True)
    return _put(event, changes[chosen], _another(_value(event, changes[chosen]), rng))


def _another(concept: str, rng: random.Random) -> str:
    kind = concept.rpartition("-")[0]
    others = entities(kind) if concept in ENTITY_WORDS else members(kind)
    return zipfian([other for other in others if other != concept]).draw(rng)


def _addable(event: Event) -> list[Slot]:
    return [slot for slot in _EXTRAS if not _has(event, slot) and _has_room(event, slot)]


def _has_room(event: Event, slot: Slot) -> bool:
    if len(slot) == 1:
        return slot != ("tool",) or event.patient is not None
    phrase: Phrase | None = _value(event, slot[:1])
    if phrase is None or phrase.head in ENTITY_WORDS:
        return False
    return slot[1] != "numeral" or phrase.is_plural


def _addition(event: Event, slot: Slot, world: World, rng: random.Random) -> Phrase | str:
    if slot[-1] == "adjective":
        return world.adjectives[_value(event, (slot[0], "head"))].draw(rng)
    if slot == ("place",):
        return Phrase(zipfian(entities("LOC") if rng.random() < 0.4 else members("building")).draw(rng))
    if slot == ("tool",):
        return Phrase(zipfian(members("tool")).draw(rng))
    kinds = {
        "owner": entities("PER"),
        "numeral": members("numeral"),
        "manner": members("manner"),
        "time": members(event.tense),
    }
    return zipfian(kinds[slot[-1]]).draw(rng)


def _has(event: Event, slot: Slot) -> bool:
    return _value(event, slot) is not None


def _value(event: Event, slot: Slot) -> Any:
    value: Any = event
    for step in slot:
        value = None if value is None else getattr(value, step)
    return value


def _put(event: Event, slot: Slot, value: Any) -> Event:
    changes: dict[str, Any] = {slot[-1]: value}
    if len(slot) == 2:
        changes = {slot[0]: getattr(event, slot[0])._replace(**changes)}
    return event._replace(**changes)


def _one(rng: random.Random, slots: list[Slot]) -> Slot:
    return slots[int(rng.random() * len(slots))]
