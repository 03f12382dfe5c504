"""What the four tasks ask: a labelled example of each, whatever file it came from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaggedSentence:
    """A sentence with a tag for each word: NER (IOB2) and POS (UPOS)."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A span of a context.

    Attributes:
        start: of `text` in the context, in characters.
    """

    text: str
    start: int


@dataclass(frozen=True)
class Question:
    """A question whose answer is a span of the context; any of `answers` is right."""

    key: str
    question: str
    context: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class SentencePair:
    """Natural language inference: what the premise makes of the hypothesis."""

    premise: str
    hypothesis: str
    label: str


Example = TaggedSentence | Question | SentencePair
