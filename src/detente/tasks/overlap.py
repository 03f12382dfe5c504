"""Examples that stand in the test data and in the training data: a score on them measures memory.

Examples are the same when their text is, to the letter: the words of a sentence, question and context, premise and hypothesis.
Tags, answers and labels do not count.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from detente.errors import DataError
from detente.tasks.examples import Example, Question, SentencePair
from detente.tasks.reading import ExampleT_co, Reading, share


def text_of(example: Example) -> Hashable:
    """What two examples have in common that are the same."""
    if isinstance(example, Question):
        return example.question, example.context
    if isinstance(example, SentencePair):
        return example.premise, example.hypothesis
    return example.words


def count_repeats(examples: Sequence[Example]) -> int:
    """Examples that stand in the same data before."""
    return len(examples) - len({text_of(example) for example in examples})


def count_shared(examples: Iterable[Example], others: Iterable[Example]) -> int:
    """Examples that stand among the others too."""
    seen = {text_of(example) for example in others}
    return sum(text_of(example) in seen for example in examples)


def leave_out_shared(test: Reading[ExampleT_co], train: Reading[ExampleT_co]) -> Reading[ExampleT_co]:
    """The test examples that do not stand in train, and a note of how many did.

    Raises:
        DataError: all of them do.
    """
    seen = {text_of(example) for example in train.examples}
    others = tuple(example for example in test.examples if text_of(example) not in seen)
    if not others:
        raise DataError(f"all of {test.source} stands in {train.source} too. Name another file for one of the two.")
    return replace(test, examples=others, notes=(*test.notes, *_notes(test, train, "were left out")))


def keep_shared(test: Reading[ExampleT_co], train: Reading[ExampleT_co]) -> Reading[ExampleT_co]:
    """The same examples, and a note of how many stand in train."""
    return replace(test, notes=(*test.notes, *_notes(test, train, "were kept")))


def _notes(test: Reading[ExampleT_co], train: Reading[ExampleT_co], fate: str) -> list[str]:
    """How much of test stands in train, and became what; of passages too, since another question may ask of the same one."""
    where = f"stand in {train.source} too"
    shared = count_shared(test.examples, train.examples)
    notes = [f"{share(shared, test.examples)} of {test.source} {where} and {fate}."] if shared else []
    contexts = {example.context for example in train.examples if isinstance(example, Question)}
    about = sum(isinstance(example, Question) and example.context in contexts for example in test.examples)
    if about > shared:
        notes.append(
            f"The passages of {share(about, test.examples)} of {test.source} {where}; other questions were kept."
        )
    return notes
