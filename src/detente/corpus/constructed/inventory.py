"""What there is to talk about: concepts, names and grammatical words, the same for every language.

A concept is a string such as `animal-3`: its kind and its rank of frequency within the kind. Frequent ones get short
words. The world (`world.py`) decides which concepts go together, the lexicon (`lexicon.py`) how they are called.
"""

PEOPLE, PLACES, ORGANISATIONS = 32, 20, 12

NOUN_KINDS = {
    "role": 20,
    "animal": 12,
    "food": 12,
    "goods": 14,
    "tool": 10,
    "writing": 10,
    "plant": 10,
    "building": 12,
    "land": 10,
}
"""Kinds of common nouns and how many of each."""

OTHER_KINDS = {
    "transitive": 44,
    "intransitive": 16,
    "adjective": 36,
    "numeral": 6,
    "past": 4,
    "present": 3,
    "future": 3,
    "manner": 8,
}
"""Verbs, modifiers and adverbs of time (named by the tense they go with)."""

NAME_KINDS = {"given": PEOPLE, "family": 10, "place": PLACES, "prefix": 2, "organisation": ORGANISATIONS, "firm": 4}
"""Words that names are made of."""

GRAMMAR = {
    "in": "ADP",
    "on": "ADP",
    "at": "ADP",
    "near": "ADP",
    "with": "ADP",
    "of": "ADP",
    "this": "DET",
    "that": "DET",
    "and": "CCONJ",
    "not": "PART",
    "who": "PRON",
    "what": "PRON",
    "where": "ADV",
    "when": "ADV",
}
"""Grammatical words and their universal part of speech; never shared between lexicons."""

MARKERS = {
    "plural": "PART",
    "accusative": "PART",
    "past": "AUX",
    "future": "AUX",
    "plural-subject": "PART",
}
"""Grammatical markers: affixes, or particles with this part of speech. Singular, nominative and present are bare."""

_TAGS = {
    **dict.fromkeys(NOUN_KINDS, "NOUN"),
    **dict.fromkeys(NAME_KINDS, "PROPN"),
    **dict.fromkeys(OTHER_KINDS, "ADV"),
    "transitive": "VERB",
    "intransitive": "VERB",
    "adjective": "ADJ",
    "numeral": "NUM",
}


def members(kind: str) -> list[str]:
    """All concepts of a kind, most frequent first."""
    size = (NOUN_KINDS | OTHER_KINDS | NAME_KINDS)[kind]
    return [f"{kind}-{rank}" for rank in range(size)]


def concepts() -> list[str]:
    """Every concept that has a word, kind by kind."""
    return [concept for kind in NOUN_KINDS | OTHER_KINDS | NAME_KINDS for concept in members(kind)]


def part_of_speech(concept: str) -> str:
    """Universal part of speech of a concept's word."""
    return _TAGS[concept.rpartition("-")[0]]


def _person(rank: int) -> tuple[str, ...]:
    given = f"given-{rank}"
    return (given,) if rank % 3 == 2 else (given, f"family-{rank * 7 % NAME_KINDS['family']}")


def _place(rank: int) -> tuple[str, ...]:
    place = f"place-{rank}"
    return (f"prefix-{rank % 2}", place) if rank % 4 == 3 else (place,)


def _organisation(rank: int) -> tuple[str, ...]:
    return (f"organisation-{rank}", f"firm-{rank % NAME_KINDS['firm']}")


ENTITY_WORDS: dict[str, tuple[str, ...]] = {
    **{f"PER-{rank}": _person(rank) for rank in range(PEOPLE)},
    **{f"LOC-{rank}": _place(rank) for rank in range(PLACES)},
    **{f"ORG-{rank}": _organisation(rank) for rank in range(ORGANISATIONS)},
}
"""Entity, called by its type and rank -> the words of its name."""


def entities(kind: str) -> list[str]:
    """All entities of a type (`PER`, `LOC` or `ORG`), most frequent first."""
    return [entity for entity in ENTITY_WORDS if entity.startswith(kind)]
