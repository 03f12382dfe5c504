"""Tags that only some of the files have."""

import pytest

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.reading import Reading
from detente.tasks.tagsets import compare_tags


def tagged(source: str, *tags: str) -> Reading[TaggedSentence]:
    return Reading((TaggedSentence(("w",) * len(tags), tags),), source)


TRAIN = tagged("TRAIN", "B-PER", "I-PER", "B-LOC", "O")


def test_the_same_tags_say_nothing() -> None:
    assert compare_tags("ner", [TRAIN], [tagged("TEST", "O", "B-LOC", "B-PER")]) == ()
    assert compare_tags("pos", [tagged("TRAIN", "X", "NOUN")], [tagged("TEST", "NOUN")]) == ()


def test_types_that_training_data_lacks() -> None:
    test = tagged("TEST", "B-PER", "B-LOC", "B-MISC", "I-MISC", "B-MISC", "B-DATE")
    assert compare_tags("ner", [TRAIN], [test]) == (
        "TEST has `MISC` (2x), `DATE` (1x), which TRAIN has not: no model gets them right. "
        "Write `tags: {MISC: O, DATE: O}` to leave them out.",
    )


def test_parts_of_speech_that_training_data_lacks() -> None:
    doubts = compare_tags("pos", [tagged("A", "NOUN"), tagged("B", "VERB")], [tagged("TEST", "NOUN", "VERB", "X", "X")])
    assert doubts == ("TEST has `X` (2x), which A, B has not: no model gets them right.",)


def test_types_that_only_one_language_has() -> None:
    swahili = tagged("SW", "B-PER", "B-LOC", "B-DATE")
    test = tagged("TEST", "B-PER", "B-LOC", "O")
    assert compare_tags("ner", [TRAIN, swahili], [swahili, test]) == (
        "TRAIN has no `DATE`, which TRAIN, SW has: such entities are O in it. "
        "Write `tags: {DATE: O}` to leave that out everywhere.",
        "TEST has no `DATE`, which TRAIN, SW has: all that are found count as wrong. "
        "Write `tags: {DATE: O}` to leave that out everywhere.",
    )


@pytest.mark.parametrize("name", ["PERS", "PERSON", "Person", "per"])
def test_one_type_by_two_names(name: str) -> None:
    with pytest.raises(DataError) as caught:
        compare_tags("ner", [TRAIN], [tagged("TEST", f"B-{name}", "B-LOC")])
    expected = f"entity types have two names: `PER` in TRAIN, `{name}` in TEST. Write `tags: {{{name}: PER}}`."
    assert str(caught.value) == expected


def test_other_names_are_fine_when_all_use_them() -> None:
    files = [tagged("TRAIN", "B-PERSON", "B-PERCENT")]
    assert compare_tags("ner", files, files) == ()
