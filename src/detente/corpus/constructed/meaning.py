"""What sentences mean: events with participants and circumstances, told in short texts about one topic.

Nothing here knows a language, so languages with the same meaning seed say the same things in the same order.
"""

import random
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from detente.corpus.constructed.chance import Weighted
from detente.corpus.constructed.world import Frame, Topic, World

Tense = Literal["past", "present", "future"]
Role = Literal["agent", "patient", "place", "time"]
QUESTION_WORDS: dict[Role, str] = {"agent": "who", "patient": "what", "place": "where", "time": "when"}
"""What can be asked for, and the word that stands in its place: it goes by the role, so a person who is acted on is `what`."""


class Phrase(NamedTuple):
    """A participant: an entity (`PER-3`), a question word, or a common noun with its modifiers."""

    head: str
    is_plural: bool = False
    adjective: str | None = None
    numeral: str | None = None
    determiner: str | None = None
    owner: str | None = None
    """An entity."""


class Event(NamedTuple):
    """Who does what to whom, where, when, how and with what."""

    verb: str
    tense: Tense
    agent: Phrase
    patient: Phrase | None = None
    adposition: str = "in"
    """What the verb takes for its place."""
    place: Phrase | None = None
    tool: Phrase | None = None
    time: str | None = None
    manner: str | None = None
    is_negated: bool = False


class Sentence(NamedTuple):
    """One event or two by the same agent, or a question for one role of a single event."""

    events: tuple[Event, ...]
    asked: Role | None = None


class Narrator:
    """Draws sentences about a world."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng

    def sentences(self) -> Iterator[Sentence]:
        """Text without end, in passages about one topic each."""
        while True:
            yield from self.passage(3 + int(5 * self._rng.random()))

    def events(self) -> Iterator[Event]:
        """Single affirmed events without end."""
        for sentence in self.sentences():
            if is_statement(sentence):
                yield sentence.events[0]

    def passage(self, num_sentences: int) -> Iterator[Sentence]:
        """Sentences about one topic, mostly in one tense and about one protagonist."""
        topic = self._world.topics.draw(self._rng)
        protagonist = topic.people.draw(self._rng)
        tense = _TENSES.draw(self._rng)
        for _ in range(num_sentences):
            event = self.event(topic, protagonist, tense)
            chance = self._rng.random()
            if chance < 0.12:
                other = self.event(topic, protagonist, tense)._replace(agent=event.agent, time=None)
                yield Sentence((event._replace(place=None), other))
            elif chance < 0.17:
                yield self.question(event)
            else:
                yield Sentence((event,))

    def event(self, topic: Topic, protagonist: str, tense: Tense) -> Event:
        """Something that happens, likely in this topic."""
        frame = topic.frames.draw(self._rng)
        agent = self._agent(topic, protagonist, frame)
        tense = tense if self._has(0.85) else _TENSES.draw(self._rng)
        return Event(
            verb=frame.verb,
            tense=tense,
            agent=agent,
            patient=self.phrase(frame.patients.draw(self._rng)) if frame.patients else None,
            adposition=frame.adposition,
            place=self._place(topic, agent.head, frame) if self._has(0.6) else None,
            tool=Phrase(frame.tools.draw(self._rng)) if frame.patients and self._has(0.15) else None,
            time=self._world.times[tense].draw(self._rng) if self._has(0.45) else None,
            manner=frame.manners.draw(self._rng) if self._has(0.2) else None,
            is_negated=self._has(0.05),
        )

    def question(self, event: Event) -> Sentence:
        """Asks for a role that the event has; other circumstances are left out."""
        present = [role for role in QUESTION_WORDS if getattr(event, role)]
        asked = present[int(self._rng.random() * len(present))]
        return ask(event, asked)

    def phrase(self, noun: str) -> Phrase:
        """A common noun, perhaps with modifiers."""
        numeral = self._world.numerals.draw(self._rng) if self._has(0.08) else None
        return Phrase(
            head=noun,
            is_plural=numeral is not None or self._has(0.2),
            adjective=self._world.adjectives[noun].draw(self._rng) if self._has(0.45) else None,
            numeral=numeral,
            determiner=_DETERMINERS.draw(self._rng) if self._has(0.3) else None,
        )

    def _agent(self, topic: Topic, protagonist: str, frame: Frame) -> Phrase:
        chance = self._rng.random()
        if chance < 0.3:
            return Phrase(protagonist)
        if chance < 0.42:
            return Phrase(topic.people.draw(self._rng))
        if chance < 0.5:
            return Phrase(topic.organisations.draw(self._rng))
        return self.phrase(frame.agents.draw(self._rng))

    def _place(self, topic: Topic, agent: str, frame: Frame) -> Phrase:
        chance = self._rng.random()
        if chance < 0.25:
            return Phrase(self._world.homes.get(agent) or topic.places.draw(self._rng))
        if chance < 0.4:
            return Phrase(topic.places.draw(self._rng))
        return self.phrase(frame.places.draw(self._rng))._replace(owner=self._owner(topic))

    def _owner(self, topic: Topic) -> str | None:
        return topic.people.draw(self._rng) if self._has(0.15) else None

    def _has(self, rate: float) -> bool:
        return self._rng.random() < rate


def is_statement(sentence: Sentence) -> bool:
    """Whether a sentence says of one event that it happens."""
    return len(sentence.events) == 1 and sentence.asked is None and not sentence.events[0].is_negated


def ask(event: Event, role: Role) -> Sentence:
    """The question for a role: of what is asked for only the number is left, of the rest the verb and its participants."""
    bare = event._replace(place=None, tool=None, time=None, manner=None, is_negated=False)
    word = QUESTION_WORDS[role]
    unknown = word if role == "time" else Phrase(word, is_plural=getattr(event, role).is_plural)
    changes: dict[str, Any] = {role: unknown}
    return Sentence((bare._replace(**changes),), asked=role)


_TENSES: Weighted[Tense] = Weighted(("past", "present", "future"), (0.5, 0.35, 0.15))
_DETERMINERS = Weighted(("this", "that"), (0.65, 0.35))
