"""What is usual in the world: who does what to what, where, how and in which topic. The same for every language."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from detente.corpus.constructed.chance import Item, Weighted, favourites, stable_random, zipfian
from detente.corpus.constructed.inventory import NOUN_KINDS, entities, members

_TOPICS = 8
_ADPOSITIONS = ("in", "on", "at", "near")


@dataclass(frozen=True)
class Frame:
    """A verb and what usually goes with it.

    Attributes:
        agents: common nouns.
        patients: common nouns; None for an intransitive verb.
        adposition: the one that the verb takes for its place.
    """

    verb: str
    agents: Weighted[str]
    patients: Weighted[str] | None
    adposition: str
    places: Weighted[str]
    tools: Weighted[str]
    manners: Weighted[str]


@dataclass(frozen=True)
class Topic:
    """A theme of conversation."""

    frames: Weighted[Frame]
    people: Weighted[str]
    organisations: Weighted[str]
    places: Weighted[str]


@dataclass(frozen=True)
class World:
    """Everything that meanings are drawn from.

    Attributes:
        adjectives: by noun.
        homes: place, by person or organisation.
        times: adverbs by tense.
    """

    topics: Weighted[Topic]
    adjectives: dict[str, Weighted[str]]
    homes: dict[str, str]
    times: dict[str, Weighted[str]]
    numerals: Weighted[str]


def build_world(meaning_seed: int) -> World:
    """The world of a meaning seed."""
    rng = stable_random("world", meaning_seed)
    frames = [_frame(rng, verb) for verb in _verbs()]
    return World(
        topics=zipfian([_topic(rng, frames) for _ in range(_TOPICS)], shift=1),
        adjectives={noun: _few(rng, members("adjective"), 3) for kind in NOUN_KINDS for noun in members(kind)},
        homes={entity: _few(rng, entities("LOC"), 1).items[0] for entity in entities("PER") + entities("ORG")},
        times={tense: zipfian(members(tense)) for tense in ("past", "present", "future")},
        numerals=zipfian(members("numeral")),
    )


def _verbs() -> list[str]:
    # Both kinds spread evenly over the ranks.
    transitive, intransitive = members("transitive"), members("intransitive")
    step = len(transitive) / len(intransitive)
    ranks = [(float(rank), verb) for rank, verb in enumerate(transitive)]
    ranks += [(rank * step + 0.5, verb) for rank, verb in enumerate(intransitive)]
    return [verb for _, verb in sorted(ranks)]


def _frame(rng: random.Random, verb: str) -> Frame:
    is_transitive = verb.startswith("transitive")
    agent_kind = "animal" if rng.random() < (0.1 if is_transitive else 0.4) else "role"
    patient_kind = _one(rng, ("goods", "food", "writing", "animal", "plant", "tool", "role"))
    place_kind = "building" if rng.random() < 0.6 else "land"
    return Frame(
        verb=verb,
        agents=_few(rng, members(agent_kind), 4),
        patients=_few(rng, members(patient_kind), 4) if is_transitive else None,
        adposition=_one(rng, _ADPOSITIONS),
        places=_few(rng, members(place_kind), 3),
        tools=_few(rng, members("tool"), 2),
        manners=_few(rng, members("manner"), 2),
    )


def _topic(rng: random.Random, frames: list[Frame]) -> Topic:
    return Topic(
        frames=_few(rng, frames, 18),
        people=_few(rng, entities("PER"), 8),
        organisations=_few(rng, entities("ORG"), 3),
        places=_few(rng, entities("LOC"), 4),
    )


def _few(rng: random.Random, items: Sequence[Item], num_items: int) -> Weighted[Item]:
    return zipfian(favourites(rng, items, num_items))


def _one(rng: random.Random, items: Sequence[Item]) -> Item:
    return items[int(rng.random() * len(items))]
