"""All languages and splits of a task: what is put aside, what is left out, and what is said about it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from detente.errors import DataError
from detente.settings.tasks import TaskFiles, TaskSettings
from detente.tasks.data import SPLITS, TaskData, read_task
from detente.tasks.examples import TaggedSentence

Write = Callable[..., str]


def block(words: str, tag: str = "NOUN") -> str:
    return "".join(f"{word}\t{tag}\n" for word in words.split()) + "\n"


def sentences(prefix: str, number: int) -> list[str]:
    return [block(f"{prefix}{n} word") for n in range(number)]


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    """Writes sentences to a file and gives its path."""

    def write(name: str, blocks: Sequence[str]) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(blocks), encoding="utf-8")
        return str(path)

    return write


def settings_of(data: dict[str, dict[str, Any]], **others: Any) -> TaskSettings:
    return TaskSettings(data={label: TaskFiles(**files) for label, files in data.items()}, **others)


def first_words(data: TaskData, language: str, split: str) -> list[str]:
    return [example.words[0] for example in data.examples(language, split)]


def test_the_sources_training_examples_and_the_rest_of_all(write: Write) -> None:
    files = {
        label: {split: write(f"{label}-{split}", sentences(f"{label}{split}", 3)) for split in SPLITS}
        for label in ("en", "sw")
    }
    data = read_task("pos", settings_of({**files, "te": {"test": write("te", sentences("te", 2))}}), source="sw")
    assert data.counts() == {
        "en": {"train": 0, "validation": 3, "test": 3},
        "sw": {"train": 3, "validation": 3, "test": 3},
        "te": {"train": 0, "validation": 0, "test": 2},
    }
    assert first_words(data, "sw", "train") == ["swtrain0", "swtrain1", "swtrain2"]
    assert first_words(data, "en", "test") == ["entest0", "entest1", "entest2"]
    assert data.examples("te", "test")[0] == TaggedSentence(("te0", "word"), ("NOUN", "NOUN"))
    assert data.notes == ()


def test_files_of_a_split_are_joined_and_settings_reach_the_reader(write: Write) -> None:
    paths = (write("a", [block("a", "B-PERS")]), write("b", [block("b", "O"), block("c", "B-LOC")]))
    settings = settings_of(
        {"en": {"train": paths, "validation": write("v", [block("d", "B-LOC")])}}, tags={"PERS": "PER", "LOC": "O"}
    )
    data = read_task("ner", settings, source="en")
    assert [example.tags for example in data.examples("en", "train")] == [("B-PER",), ("O",), ("O",)]
    broken = settings_of({"en": {"train": write("broken", [block("a", "I-PER")])}}, strict=True)
    with pytest.raises(DataError, match=r"broken"):
        read_task("ner", broken, source="en")


@pytest.mark.parametrize(("number", "fraction", "aside"), [(40, 0.1, 4), (40, 0.25, 10), (3, 0.1, 1), (45, 0.1, 4)])
def test_a_part_is_put_aside_without_validation_files(write: Write, number: int, fraction: float, aside: int) -> None:
    path = write("train", sentences("x", number))
    settings = settings_of({"en": {"train": path}}, validation_fraction=fraction)
    data = read_task("pos", settings, source="en")
    train, validation = first_words(data, "en", "train"), first_words(data, "en", "validation")
    assert len(validation) == aside
    everything = [f"x{n}" for n in range(number)]
    assert sorted([*train, *validation]) == sorted(everything)
    for found in (train, validation):
        assert found == [word for word in everything if word in found], "in their order"
    assert data.notes == (f"en: {aside} of {number} examples of train were put aside for validation.",)


def test_languages_with_parallel_examples_put_the_same_aside(write: Write) -> None:
    """And the same whoever the source is: the checkpoint of one must not have seen another's validation examples translated."""
    files = {label: {"train": write(label, sentences(label, 50))} for label in ("en", "sw")}
    found = [read_task("pos", settings_of(files), source=source) for source in ("en", "sw")]
    numbers = {
        tuple(word[2:] for word in first_words(data, label, "validation")) for data in found for label in ("en", "sw")
    }
    assert len(numbers) == 1
    assert len(next(iter(numbers))) == 5
    assert {split: len(found[0].examples("sw", split)) for split in SPLITS} == {"train": 0, "validation": 5, "test": 0}


def test_what_is_put_aside_is_not_known_by_heart(write: Write) -> None:
    blocks = [block(f"x{n % 10} word") for n in range(40)]
    data = read_task("pos", settings_of({"en": {"train": write("train", blocks + sentences("y", 40))}}), source="en")
    train, validation = set(first_words(data, "en", "train")), first_words(data, "en", "validation")
    assert not train & set(validation)
    assert 0 < len(validation) <= 8
    assert any("repeat an earlier one" in note for note in data.notes)


@pytest.mark.parametrize("blocks", [[block("a")], [block("a"), block("a")]])
def test_too_few_examples_to_put_some_aside(write: Write, blocks: list[str]) -> None:
    path = write("train", blocks)
    with pytest.raises(DataError, match=rf"^{path} has too few examples, {len(blocks)}, to put some aside"):
        read_task("pos", settings_of({"en": {"train": path}}), source="en")


def overlapping(write: Write, **others: Any) -> TaskSettings:
    train = sentences("x", 8)
    files = {
        "train": write("en/train", train),
        "validation": write("en/dev", [*train[:2], *sentences("dev", 2)]),
        "test": write("en/test", [*sentences("test", 3), train[5]]),
    }
    other = {"train": write("sw/train", sentences("sw", 5)), "test": write("sw/test", [train[0], *sentences("q", 2)])}
    return settings_of({"en": files, "sw": other}, **others)


@pytest.mark.parametrize("source", ["en", "sw"])
def test_what_stands_in_training_is_left_out(write: Write, source: str) -> None:
    """Of a language's own file, whatever the source: the test is the same for all. Another language's file does not count."""
    data = read_task("pos", overlapping(write), source=source)
    assert first_words(data, "en", "validation") == ["dev0", "dev1"]
    assert first_words(data, "en", "test") == ["test0", "test1", "test2"]
    assert first_words(data, "sw", "test") == ["x0", "q0", "q1"]
    assert [note for note in data.notes if "left out" in note] == [
        "en: 2 of 4 sentences of dev stand in train too and were left out.",
        "en: 1 of 4 sentences of test stand in train too and were left out.",
    ]


def test_what_stands_in_training_can_be_kept(write: Write) -> None:
    data = read_task("pos", overlapping(write, keep_overlap=True), source="en")
    assert first_words(data, "en", "test") == ["test0", "test1", "test2", "x5"]
    assert [note for note in data.notes if "were kept" in note] == [
        "en: 2 of 4 sentences of dev stand in train too and were kept.",
        "en: 1 of 4 sentences of test stand in train too and were kept.",
    ]


def test_what_is_put_aside_counts_as_training_for_the_test(write: Write) -> None:
    train = sentences("x", 30)
    files = {"train": write("train", train), "test": write("test", [*train[:29], *sentences("test", 2)])}
    data = read_task("pos", settings_of({"en": files}), source="en")
    assert first_words(data, "en", "test") == ["test0", "test1"]


def test_a_test_that_is_all_in_training_is_refused(write: Write) -> None:
    train = sentences("x", 5)
    files = {"train": write("train", train), "test": write("test", train[1:3])}
    with pytest.raises(DataError, match=r"all of .*test stands in .*train too"):
        read_task("pos", settings_of({"en": files}), source="en")


def entities(write: Write, source_tags: str, target_tags: str) -> TaskSettings:
    def blocks(tags: str, prefix: str) -> list[str]:
        return [block(f"{prefix}{n}", tag) for n, tag in enumerate(tags.split())]

    own = {
        "train": write("en/train", blocks(source_tags, "a")),
        "validation": write("en/dev", blocks(source_tags, "b")),
    }
    return settings_of({"en": own, "sw": {"test": write("sw/test", blocks(target_tags, "c"))}})


def test_tags_that_only_one_file_has_are_doubted(write: Write) -> None:
    notes = read_task("ner", entities(write, "B-PER O B-DATE", "B-PER B-ORG O"), source="en").notes
    assert any(note.startswith("sw: test has `ORG` (1x), which train has not") for note in notes)
    assert any(note.startswith("sw: test has no `DATE`, which train has") for note in notes)
    assert read_task("ner", entities(write, "B-PER O", "B-PER O"), source="en").notes == ()


def test_one_entity_type_of_two_names_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"`PER` in .*, `PERS` in .*Write `tags: \{PERS: PER\}`"):
        read_task("ner", entities(write, "B-PER O", "B-PERS O"), source="en")


def test_only_tags_are_doubted(write: Write) -> None:
    pairs = ["a\tb\tentailment\n", "c\td\tneutral\n", "e\tf\tcontradiction\n"]
    files = {"train": write("train", pairs), "validation": write("dev", ["g\th\tneutral\n"])}
    other = {"test": write("test", ["i\tj\tneutral\n", "k\tl\tentailment\n"])}
    data = read_task("nli", settings_of({"en": files, "sw": other}), source="en")
    assert data.notes == ()
    assert data.counts()["sw"] == {"train": 0, "validation": 0, "test": 2}


def test_notes_do_not_say_where_the_files_lie(write: Write, tmp_path: Path) -> None:
    """So that two machines write the same record, and mono and joint runs say the same of a language."""
    own = {"train": write("en/train", sentences("x", 30)), "test": write("deep/er/test", sentences("x", 31))}
    for number in (1, 2):
        write(f"parts/{number}/some-{number}", sentences(f"sw{number}", 15))
    pattern = {"train": str(tmp_path / "parts/*/some*"), "test": write("b/test", sentences("q", 2))}
    assert read_task("pos", settings_of({"en": own, "sw": pattern}), source="sw").notes == (
        "en: 3 of 30 examples of train were put aside for validation.",
        "en: 30 of 31 sentences of test stand in train too and were left out.",
        "sw: 3 of 30 examples of some-1, some-2 were put aside for validation.",
    )


def test_a_file_whose_path_begins_anothers(write: Write) -> None:
    files = {"train": write("d/t", sentences("x", 20)), "test": write("d/t2", [*sentences("x", 1), *sentences("y", 2)])}
    assert read_task("pos", settings_of({"en": files}), source="en").notes == (
        "en: 2 of 20 examples of t were put aside for validation.",
        "en: 1 of 3 sentences of t2 stand in t too and were left out.",
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "nothing.tsv")
    with pytest.raises(DataError, match=r"nothing.tsv"):
        read_task("pos", settings_of({"en": {"train": path}}), source="en")
