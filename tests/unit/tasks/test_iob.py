"""Entity tags become valid IOB2."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Tokens

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.iob import as_iob2, repair_iob2
from detente.tasks.reading import Reading

Read = Callable[..., Reading]

any_tags = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]))
entities = st.lists(st.tuples(st.sampled_from(["O", "PER", "LOC"]), st.integers(1, 4)))


def write_out(spans: Sequence[tuple[str, int]], begin: str, inside: str, end: str, single: str) -> list[str]:
    """Entities of some length in a notation, by its four prefixes."""
    tags = []
    for kind, size in spans:
        prefixes = [single] if size == 1 else [begin, *[inside] * (size - 2), end]
        tags += ["O"] * size if kind == "O" else [f"{prefix}-{kind}" for prefix in prefixes]
    return tags


def iob2(spans: Sequence[tuple[str, int]]) -> list[str]:
    return write_out(spans, "B", "I", "I", "B")


def iob1(spans: Sequence[tuple[str, int]]) -> list[str]:
    pairs = pairwise([("O", 1), *spans])
    return [
        tag
        for (before, _), (kind, size) in pairs
        for tag in write_out([(kind, size)], *(("B", "I", "I", "B") if kind == before else "IIII"))
    ]


def assert_valid(tags: Sequence[str]) -> None:
    for before, tag in pairwise(["O", *tags]):
        assert not tag.startswith("I-") or before in (f"B-{tag[2:]}", tag)


def convert(*sentences: Sequence[str], **options: object) -> Reading:
    examples = tuple(TaggedSentence(tuple("w" * len(tags)), tuple(tags)) for tags in sentences)
    return as_iob2(Reading(examples, "FILE"), **options)


def tags_of(reading: Reading) -> list[list[str]]:
    return [list(sentence.tags) for sentence in reading.examples]


@given(any_tags)
def test_repaired_tags_are_valid(tags: list[str]) -> None:
    repaired = repair_iob2(tags)
    assert_valid(repaired)
    assert [tag[1:] for tag in repaired] == [tag[1:] for tag in tags]


@given(entities)
def test_valid_tags_stay(spans: list[tuple[str, int]]) -> None:
    assert list(repair_iob2(iob2(spans))) == iob2(spans)


@given(any_tags)
def test_repair_reads_entities_as_conlleval_does(tags: list[str]) -> None:
    """The reference is seqeval: its reading of the repaired tags that takes IOB2 alone, and its lenient one of the others."""
    strict = [(found.tag, found.start, found.end - 1) for found in Tokens(list(repair_iob2(tags)), IOB2).entities]
    assert strict == get_entities(tags)


@given(entities)
def test_iobes_and_bilou_say_the_same(spans: list[tuple[str, int]]) -> None:
    for notation in ("BIES", "BILU", "BMES"):
        (tags,) = tags_of(convert(write_out(spans, *notation), strict=True))
        assert tags == iob2(spans)


@given(st.lists(entities, min_size=1))
def test_iob1_says_the_same(sentences: list[list[tuple[str, int]]]) -> None:
    assert tags_of(convert(*map(iob1, sentences), strict=True)) == [iob2(spans) for spans in sentences]


def test_conversions_are_counted() -> None:
    assert convert(["S-PER"], ["O"], ["B-PER", "E-PER"]).notes == (
        "2 of 3 sentences of FILE were in another notation than IOB2 and were converted.",
    )
    assert convert(["I-PER", "B-PER"], ["O"]).notes == (
        "1 of 2 sentences of FILE were in the notation IOB1 and were converted.",
    )


def test_repairs_are_counted() -> None:
    reading = convert(["O", "I-PER"], ["B-LOC", "I-PER", "I-PER"], ["B-PER", "I-PER"])
    assert tags_of(reading) == [["O", "B-PER"], ["B-LOC", "B-PER", "I-PER"], ["B-PER", "I-PER"]]
    assert reading.notes == ("2 of 3 sentences of FILE had invalid IOB2 tags, which were repaired.",)


def test_strict_refuses() -> None:
    with pytest.raises(DataError, match=r"FILE, sentence 2: `I-PER` after `B-LOC` is not valid IOB2\. Write `B-PER`"):
        convert(["B-PER"], ["O", "B-LOC", "I-PER"], strict=True)


def test_valid_file_says_nothing() -> None:
    reading = convert(["B-PER", "I-PER", "B-PER"], ["O"], strict=True)
    assert reading.notes == ()
    assert tags_of(reading) == [["B-PER", "I-PER", "B-PER"], ["O"]]


def test_mahaner() -> None:
    reading = convert(["BNEP", "INEP", "BNEM", "BNETI", "BNED", "BED", "O"])
    assert tags_of(reading) == [["B-PER", "I-PER", "B-MEASURE", "B-TIME", "B-DATE", "B-DESIGNATION", "O"]]


def test_types_are_mapped_before_repair() -> None:
    reading = convert(["B-PERS", "I-PER", "B-MISC", "I-MISC"], tags={"PERS": "PER", "MISC": "O"})
    assert tags_of(reading) == [["B-PER", "I-PER", "O", "O"]]
    assert reading.notes == ()


def test_neighbours_of_iob1_stay_apart_when_their_types_become_one() -> None:
    reading = convert(["I-GPE", "I-LOC", "I-LOC"], tags={"GPE": "LOC"})
    assert tags_of(reading) == [["B-LOC", "B-LOC", "I-LOC"]]


def test_whole_tags_are_mapped() -> None:
    assert tags_of(convert(["NAME", "NAME", "-"], tags={"NAME": "I-PER", "-": "O"})) == [["B-PER", "I-PER", "O"]]


def test_type_mapped_to_a_whole_tag() -> None:
    with pytest.raises(DataError, match=r"an entity type is mapped to a type; found `PERS: B-PER`\. Write `PERS: PER`"):
        convert(["B-PERS"], tags={"PERS": "B-PER"})


@pytest.mark.parametrize(
    ("tag", "advice"),
    [
        ("PER", "{PER: I-PER}"),
        ("b-PER", "{b-PER: B-PER}"),
        ("I_PER", "{I_PER: I-PER}"),
        ("0", "{'0': O}"),
        ("o", "{o: O}"),
    ],
)
def test_unknown_tags(tag: str, advice: str) -> None:
    with pytest.raises(DataError) as caught:
        convert(["O", "B-LOC"], [tag])
    expected = f"FILE: `{tag}` (1x) is not IOB2 (O, B-TYPE, I-TYPE). If they are meant so, write `tags: {advice}`."
    assert str(caught.value) == expected


def test_file_of_another_task() -> None:
    with pytest.raises(DataError, match=r"`NOUN` \(2x\), `VERB` \(1x\) are not IOB2 .* They look like parts of speech"):
        convert(["NOUN", "VERB", "NOUN"])


def test_file_without_entities() -> None:
    assert convert(["O", "O"]).notes == ("FILE has no entity: every tag is O. Is it a file without labels?",)
