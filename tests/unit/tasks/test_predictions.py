"""Predictions come back as they were written; what is wrong with a file is named by its line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.errors import DataError
from detente.tasks.predictions import (
    Header,
    TagPrediction,
    collect_predictions,
    read_predictions,
    write_predictions,
)

TAGGED = {"words": ["Z\u00fcrich", "\u3067\u3059"], "gold": ["B-LOC", "O"], "predicted": ["B-LOC", "O"]}
ANSWERED = {"id": "7", "gold": ["1998", "May\u20281998"], "predicted": "", "score": -3.25}
JUDGED = {"premise": "It\nrains.", "hypothesis": "It is wet.", "gold": "entailment", "predicted": "neutral"}
ROWS: dict[str, dict[str, Any]] = {"ner": TAGGED, "pos": TAGGED, "qa": ANSWERED, "nli": JUDGED}


def header(task: str, **others: Any) -> Header:
    values = {"language": "sw", "model": "en-sw/adapter/1", "source": "en", "setting": "zero-shot", "seed": 1}
    return Header.model_validate({"task": task, **values, **others})


def damaged(path: Path, *lines: str) -> Path:
    first = json.dumps({**header("ner").model_dump(), "examples": len(lines)})
    path.write_text("\n".join([first, *lines]), encoding="utf-8")
    return path


@pytest.mark.parametrize("task", ROWS)
@pytest.mark.parametrize("name", ["sw.jsonl", "sw.jsonl.gz"])
def test_written_and_read(task: str, name: str, tmp_path: Path) -> None:
    predictions = collect_predictions(header(task, notes={"lr": 3e-5, "frozen": None}), [ROWS[task]])
    write_predictions(tmp_path / "new" / name, predictions)
    assert read_predictions(tmp_path / "new" / name) == predictions
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
tags = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(st.lists(st.lists(st.tuples(texts, tags, tags), max_size=4)))
def test_any_text_survives(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[tuple[str, str, str]]]
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.jsonl.gz"
    rows = [
        dict(zip(("words", "gold", "predicted"), zip(*words, strict=True), strict=True)) for words in sentences if words
    ]
    predictions = collect_predictions(header("pos"), rows)
    write_predictions(path, predictions)
    assert read_predictions(path) == predictions


def test_a_file_is_lines_of_json(tmp_path: Path) -> None:
    write_predictions(tmp_path / "sw.jsonl", collect_predictions(header("qa"), [{**ANSWERED, "score": None}]))
    first, second = (json.loads(line) for line in (tmp_path / "sw.jsonl").read_bytes().splitlines())
    assert first == {**header("qa").model_dump(), "examples": 1}
    assert second == {key: ANSWERED[key] for key in ("id", "gold", "predicted")}


def test_compressed_files_bear_no_time(tmp_path: Path) -> None:
    write_predictions(tmp_path / "sw.gz", collect_predictions(header("ner"), [TAGGED] * 3))
    # Seconds since 1970, by RFC 1952: else the same predictions would not give the same bytes.
    assert (tmp_path / "sw.gz").read_bytes()[4:8] == bytes(4)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 2: Invalid JSON"),
        ("[]", "line 2: Input should be an object"),
        ('{"words": [], "gold": []}', "line 2: `predicted`: Field required"),
        (
            '{"words": ["a"], "gold": ["O"], "predicted": []}',
            "line 2: 1 words need as many tags, found 1 gold and 0 pred",
        ),
        ('{"words": ["a"], "gold": ["O"], "predicted": [""]}', "line 2: `predicted.0`: String should have at least 1"),
        ('{"words": [1], "gold": ["O"], "predicted": ["O"]}', "line 2: `words.0`: Input should be a valid string"),
        ('{"words": [], "gold": [], "predicted": [], "sure": 1}', "line 2: `sure`: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_line_is_named(line: str, problem: str, tmp_path: Path) -> None:
    path = damaged(tmp_path / "sw.jsonl", line)
    with pytest.raises(DataError) as error:
        read_predictions(path)
    assert str(error.value).startswith(f"{path}, {problem}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"version": 2}, "`version`: Input should be 1"),
        ({"task": "ned"}, "`task`: Input should be 'ner', 'pos', 'qa' or 'nli'"),
        ({"setting": "within"}, "`within` does not fit the source en and the language sw"),
        ({"source": "sw"}, "`zero-shot` does not fit the source sw and the language sw"),
        ({"seed": "1"}, "`seed`: Input should be a valid integer"),
        ({"examples": -1}, "`examples`: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_header_is_named(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path = tmp_path / "sw.jsonl"
    path.write_text(json.dumps({**header("ner").model_dump(), "examples": 0, **change}), encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_predictions(path)
    assert str(error.value) == f"{path}, line 1: {problem}."


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sw.jsonl"
    write_predictions(path, collect_predictions(header("nli"), [JUDGED] * 3))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"the header promises 3 examples, found 2\. Copy the file again\."):
        read_predictions(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there are no predictions at .*none\.jsonl\."):
        read_predictions(tmp_path / "none.jsonl")
    (tmp_path / "plain.gz").write_text("{}", encoding="utf-8")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"{}" * 100)[:-9])
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "latin.jsonl").write_bytes(b'{"task": "\xfc"}')
    for name, problem in [
        ("plain.gz", "plain.gz cannot be read: Not a gzipped file"),
        ("cut.gz", "cut.gz cannot be read: Compressed file ended"),
        ("empty.jsonl", "empty.jsonl, line 1: Invalid JSON"),
        ("latin.jsonl", "latin.jsonl, line 1: "),
    ]:
        with pytest.raises(DataError, match=problem):
            read_predictions(tmp_path / name)


def test_a_question_stands_there_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="qa predictions: the question `7` stands there twice"):
        collect_predictions(header("qa"), [ANSWERED, ANSWERED])
    write_predictions(tmp_path / "one", collect_predictions(header("qa"), [ANSWERED]))
    first, second = (tmp_path / "one").read_text(encoding="utf-8").split("\n")[:2]
    (tmp_path / "two").write_text("\n".join([first.replace('"examples":1', '"examples":2'), second, second]), "utf-8")
    with pytest.raises(DataError, match="two: the question `7` stands there twice"):
        read_predictions(tmp_path / "two")


def test_a_wrong_row_is_named_by_its_number() -> None:
    with pytest.raises(DataError, match="qa predictions, example 2: `gold`: Tuple should have at least 1 item"):
        collect_predictions(header("qa"), [ANSWERED, {**ANSWERED, "id": "8", "gold": []}])
    with pytest.raises(DataError, match="qa predictions, example 1: `score`: Input should be a finite number"):
        collect_predictions(header("qa"), [{**ANSWERED, "score": float("nan")}])


def test_rows_say_what_was_asked() -> None:
    row = TagPrediction(words=("a",), gold=("O",), predicted=("B-PER",))
    assert row.asked == TagPrediction(words=("a",), gold=("O",), predicted=("O",)).asked
    assert row.asked != TagPrediction(words=("a",), gold=("B-PER",), predicted=("B-PER",)).asked
