"""What reading labelled files gives: the examples, where they come from, and what had to be done to them on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from detente.errors import DataError
from detente.tasks.examples import Example, Question, SentencePair

ExampleT_co = TypeVar("ExampleT_co", bound=Example, covariant=True)


@dataclass(frozen=True)
class Reading(Generic[ExampleT_co]):
    """Examples in the order of their files.

    Attributes:
        source: the files, as messages name them.
        notes: what was repaired, left out or is doubtful, a sentence each.
    """

    examples: tuple[ExampleT_co, ...]
    source: str
    notes: tuple[str, ...] = ()


def share(number: int, examples: Sequence[Example]) -> str:
    """For notes: '12 of 1,999 sentences'."""
    return f"{number:,} of {len(examples):,} {unit(examples)}"


def unit(examples: Sequence[Example]) -> str:
    """What the examples are, in the plural."""
    if examples and isinstance(examples[0], Question):
        return "questions"
    return "pairs" if examples and isinstance(examples[0], SentencePair) else "sentences"


def refuse_unlabelled(source: object) -> DataError:
    """For a file that has examples, but none with a label."""
    return DataError(
        f"{source} has no labels. Test files are often published without them (those of XTREME are): name a labelled file."
    )
