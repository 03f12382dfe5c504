from itertools import islice

import pytest

from detente.corpus.constructed.chance import stable_random
from detente.corpus.constructed.inference import LABELS, Inference, inferences
from detente.corpus.constructed.meaning import Event, Narrator, Phrase
from detente.corpus.constructed.world import build_world

CORE = ("verb", "tense", "adposition")


@pytest.fixture(scope="module")
def pairs() -> dict[str, list[Inference]]:
    world, rng = build_world(0), stable_random("test-inference")
    triples = list(islice(inferences(Narrator(world, rng), world, rng), 2000))
    assert all([pair.label for pair in triple] == list(LABELS) for triple in triples)
    return {label: [triple[place] for triple in triples] for place, label in enumerate(LABELS)}


def claims(event: Event) -> set[tuple[str, object]]:
    """Everything that an event says, one claim for each head, modifier and circumstance."""
    said: set[tuple[str, object]] = {("is_negated", event.is_negated)}
    for role, value in event._asdict().items():
        if isinstance(value, Phrase):
            said |= {(f"{role}.{field}", inner) for field, inner in value._asdict().items() if inner}
        elif value:
            said.add((role, value))
    return said


def heads(event: Event) -> set[tuple[str, object]]:
    return {claim for claim in claims(event) if claim[0].endswith(".head") or claim[0] in ("time", "is_negated")}


def test_entailed_says_less_and_nothing_else(pairs):
    for premise, hypothesis, _ in pairs["entailment"]:
        assert claims(hypothesis) < claims(premise)


def test_neutral_adds_what_nothing_in_the_premise_denies(pairs):
    for premise, hypothesis, _ in pairs["neutral"]:
        added = claims(hypothesis) - claims(premise)
        assert added
        assert not {what for what, _ in added} & {what for what, _ in claims(premise)}


def test_contradiction_denies_one_thing_and_adds_nothing(pairs):
    for premise, hypothesis, _ in pairs["contradiction"]:
        denied = claims(hypothesis) - claims(premise)
        assert len(denied) == 1
        assert {what for what, _ in denied} <= {what for what, _ in claims(premise)}
        assert denied <= heads(hypothesis)


def test_core_of_the_event_stays(pairs):
    for label in LABELS:
        for premise, hypothesis, _ in pairs[label]:
            assert [getattr(premise, field) for field in CORE] == [getattr(hypothesis, field) for field in CORE]


def test_every_way_to_contradict_occurs(pairs):
    denied = {
        what for premise, hypothesis, _ in pairs["contradiction"] for what, _ in claims(hypothesis) - claims(premise)
    }
    assert denied == {"is_negated", "agent.head", "patient.head", "place.head", "time"}
