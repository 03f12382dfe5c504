"""All tasks through the one function, and what can be wrong with a file as a whole."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.corpus.constructed import write_tasks
from detente.errors import DataError
from detente.settings.text import ConstructedSettings
from detente.tasks.examples import Question, SentencePair, TaggedSentence
from detente.tasks.overlap import count_shared
from detente.tasks.read import read_examples
from detente.tasks.reading import Reading
from detente.tasks.tagsets import compare_tags

Read = Callable[..., Reading]

TAB = "a\tB-PER\nb\tO\n\nc\tO\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture(name="constructed", scope="module")
def _constructed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    settings = ConstructedSettings(script="georgian", lexicon_seed=3)
    return write_tasks(settings, tmp_path_factory.mktemp("tasks"), label="xx", train=60, validation=12, test=24)


@pytest.mark.parametrize("task", ["ner", "pos", "qa", "nli"])
def test_constructed_languages(constructed: dict[str, dict[str, Path]], task: str) -> None:
    readings = {split: read_examples(task, path, strict=True) for split, path in constructed[task].items()}
    assert {split: len(reading.examples) for split, reading in readings.items()} == {
        "train": 60,
        "validation": 12,
        "test": 24,
    }
    assert all(reading.notes == () for reading in readings.values())
    assert count_shared(readings["test"].examples, readings["train"].examples) == 0
    kind = {"qa": Question, "nli": SentencePair}.get(task, TaggedSentence)
    assert all(isinstance(example, kind) for example in readings["train"].examples)


def test_constructed_sentences_are_those_of_the_text(constructed: dict[str, dict[str, Path]]) -> None:
    """The tags of one sentence, against the file's own lines."""
    lines = constructed["ner"]["train"].read_text(encoding="utf-8").split("\n\n")[0].split("\n")
    (first, *_) = read_examples("ner", constructed["ner"]["train"]).examples
    assert [f"{word}\t{tag}" for word, tag in zip(first.words, first.tags, strict=True)] == lines
    assert compare_tags("ner", [read_examples("ner", constructed["ner"]["train"])], []) == ()


def test_files_are_read_in_order_and_once(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", TAB), write(tmp_path / "2.gz", gzip.compress(b"d\tO\ne\tI-LOC\n"))
    reading = read_examples("ner", [two, str(one), one, str(tmp_path / "*")])
    assert [sentence.words for sentence in reading.examples] == [("d", "e"), ("a", "b"), ("c",)]
    assert reading.source == f"{two}, {one}"
    assert reading.notes == (f"1 of 1 sentences of {two} were in the notation IOB1 and were converted.",)


def test_formats_may_differ_between_files(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", TAB), write(tmp_path / "2", "c O\n")
    reading = read_examples("ner", (one, two))
    assert len(reading.examples) == 3
    assert reading.notes[-1] == f"1 of 3 sentences of {one}, {two} repeat an earlier one and were kept."


def test_ids_differ_over_all_files(tmp_path: Path) -> None:
    row = '[{"id": "1", "question": "Q%s", "context": "c", "answers": [{"text": "c", "answer_start": 0}]}]'
    paths = [write(tmp_path / name, row % name) for name in "ab"]
    reading = read_examples("qa", paths)
    assert [question.key for question in reading.examples] == ["1", "1#2"]
    assert "1 of 2 questions" in reading.notes[0]


def test_tags_reach_each_task(read: Read) -> None:
    assert read("ner", "a B-MISC\n", tags={"MISC": "O"}).examples[0].tags == ("O",)
    assert read("pos", "a CONJ\n", tags={"CONJ": "CCONJ"}).examples[0].tags == ("CCONJ",)


def test_strict_reaches_each_task(read: Read) -> None:
    for task, text in (("ner", "a B-LOC\nb I-PER\n"), ("pos", "a _\n\nb X\n")):
        assert read(task, text).notes != ()
        with pytest.raises(DataError, match="strict"):
            read(task, text, strict=True)


@pytest.mark.parametrize("task", ["ner", "pos", "qa", "nli"])
def test_files_that_cannot_be_read(tmp_path: Path, read: Read, task: str) -> None:
    with pytest.raises(DataError, match=r"there is no file .*train\.tsv\. .* Its folder has train\.tsv\.gz"):
        write(tmp_path / "train.tsv.gz", b"")
        read_examples(task, tmp_path / "train.tsv")
    with pytest.raises(DataError, match=r"snippet is empty"):
        read(task, b"")
    with pytest.raises(DataError, match=r"x\.gz is truncated"):
        read(task, gzip.compress(b"a\tO\n" * 1000, mtime=0)[:-12], name="x.gz")
    with pytest.raises(DataError, match=r"snippet, line 2: byte 5 \(0xe9\) is not UTF-8\. Convert the file to UTF-8"):
        read(task, b"a\tO\nb\xe9\tO\n")
    with pytest.raises(DataError, match=r"snippet, line 1: byte 1 \(0x8b\) is not UTF-8\. .*end its name in \.gz"):
        read(task, gzip.compress(TAB.encode()))
    with pytest.raises(DataError, match="is a folder"):
        read_examples(task, tmp_path)
    with pytest.raises(DataError, match=f"{task}: no files are given"):
        read_examples(task, [])
