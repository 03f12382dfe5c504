"""Passages with a question about one of their sentences, and where its answer stands."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from detente.corpus.constructed.meaning import QUESTION_WORDS, Narrator, Role, Sentence, ask, is_statement
from detente.corpus.constructed.surface import Speaker, Token, written

_SENTENCES = 5


class Reading(NamedTuple):
    """A passage and what is asked about it.

    Attributes:
        target: position of the sentence that answers.
    """

    passage: tuple[Sentence, ...]
    target: int
    asked: Role


class Answered(NamedTuple):
    """A reading in the words of a language; `context[start:].startswith(answer)`."""

    context: str
    question: str
    answer: str
    start: int


def readings(narrator: Narrator, rng: random.Random) -> Iterator[Reading]:
    """Readings without end. No verb occurs twice in a passage, so that the answer is the only one."""
    while True:
        passage = tuple(narrator.passage(_SENTENCES))
        statements = [position for position, sentence in enumerate(passage) if is_statement(sentence)]
        if statements and _verbs_differ(passage):
            target = statements[int(rng.random() * len(statements))]
            event = passage[target].events[0]
            roles = [role for role in QUESTION_WORDS if getattr(event, role)]
            yield Reading(passage, target, roles[int(rng.random() * len(roles))])


def put_in_words(reading: Reading, speaker: Speaker) -> Answered:
    """The passage as one line, the question, and the asked phrase with its offset in characters."""
    lines = [speaker.text(sentence) for sentence in reading.passage]
    before = sum(len(line) + 1 for line in lines[: reading.target])
    answered = reading.passage[reading.target]
    start, answer = _span(answered, reading.asked, speaker)
    question = speaker.text(ask(answered.events[0], reading.asked))
    return Answered(context=" ".join(lines), question=question, answer=answer, start=before + start)


def _span(sentence: Sentence, role: Role, speaker: Speaker) -> tuple[int, str]:
    before: list[Token] = []
    for part in speaker.parts(sentence):
        if part.role == role:
            return sum(len(token.form) + 1 for token in before), " ".join(token.form for token in part.tokens)
        before += part.tokens
    raise AssertionError(f"the sentence has no {role}: {written(before)}")


def _verbs_differ(passage: tuple[Sentence, ...]) -> bool:
    verbs = [event.verb for sentence in passage for event in sentence.events]
    return len(set(verbs)) == len(verbs)
