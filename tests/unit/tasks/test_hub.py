"""Data sets of the Hugging Face hub, with a stand-in for the library: no test reaches for the network."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from detente.errors import DataError
from detente.tasks.examples import Answer, Question, SentencePair, TaggedSentence
from detente.tasks.read import read_examples

Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]
Hub = Callable[..., Calls]

NER = SimpleNamespace(names=["O", "B-PER", "I-PER"])


class Rows:
    """What `load_dataset` gives, as far as we use it."""

    def __init__(self, rows: Any, features: Any) -> None:
        self._rows, self.features = rows, features

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows)


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Puts a `datasets` in place that gives these rows (or raises this error), and returns how it was called."""

    def install(rows: Any, features: Any = None) -> Calls:
        calls: Calls = []

        def load_dataset(*arguments: Any, **options: Any) -> Any:
            calls.append((arguments, options))
            if isinstance(rows, Exception):
                raise rows
            return Rows(rows, features)

        module = ModuleType("datasets")
        module.load_dataset = load_dataset  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "datasets", module)
        return calls

    return install


@pytest.mark.parametrize("declared", [SimpleNamespace(feature=NER), [NER]], ids=["sequence", "list"])
def test_numbers_of_tags_become_names(hub: Hub, declared: Any) -> None:
    rows = [{"tokens": ["Anna", "Wit", "."], "ner_tags": [1, 2, 0], "langs": ["en"] * 3}]
    calls = hub(rows, {"tokens": SimpleNamespace(feature="string"), "ner_tags": declared})
    reading = read_examples("ner", "hf://owner/set/sw:test")
    assert reading.examples == (TaggedSentence(("Anna", "Wit", "."), ("B-PER", "I-PER", "O")),)
    assert reading.source == "hf://owner/set/sw:test"
    assert calls == [(("owner/set", "sw"), {"split": "test", "streaming": True})]


def test_tags_as_text(hub: Hub) -> None:
    hub([{"words": ["a"], "tags": ["B-PERS"]}])
    assert read_examples("ner", ["hf://o/d"], tags={"PERS": "PER"}).examples == (TaggedSentence(("a",), ("B-PER",)),)


def test_multiword_tokens_of_treebanks_are_left_out(hub: Hub) -> None:
    hub([{"tokens": ["du", "de", "le"], "upos": ["_", "ADP", "DET"]}, {"tokens": ["x"], "upos": ["_"]}])
    reading = read_examples("pos", "hf://o/d")
    assert reading.examples == (TaggedSentence(("de", "le"), ("ADP", "DET")),)
    assert reading.notes == ("Words of hf://o/d that are tagged `_` (multiword tokens) were left out: 2.",)


def test_underscore_is_no_entity_tag(hub: Hub) -> None:
    hub([{"tokens": ["a", "b"], "tags": ["_", "O"]}])
    with pytest.raises(DataError, match=r"hf://o/d: `_` .* is not IOB2"):
        read_examples("ner", "hf://o/d")


def test_questions(hub: Hub) -> None:
    answers = {"text": ["Oslo"], "answer_start": [3]}
    hub([{"id": "1", "question": "Where?", "context": "In Oslo.", "answers": answers}])
    assert read_examples("qa", "hf://o/d").examples == (Question("1", "Where?", "In Oslo.", (Answer("Oslo", 3),)),)


def test_pairs(hub: Hub) -> None:
    labels = SimpleNamespace(names=["entailment", "neutral", "contradiction"])
    hub([{"premise": "a", "hypothesis": "b", "label": label} for label in (2, -1, None)], {"label": labels})
    reading = read_examples("nli", "hf://o/d")
    assert reading.examples == (SentencePair("a", "b", "contradiction"),)
    assert reading.notes == ("2 of 3 pairs of hf://o/d have no label and were left out.",)


@pytest.mark.parametrize("address", ["hf://", "hf://owner", "hf://owner/../secret", "hf://a/b/c/d", "hf://a/b:"])
def test_malformed_address(hub: Hub, address: str) -> None:
    calls = hub([])
    with pytest.raises(DataError, match="write hf://owner/dataset"):
        read_examples("ner", address)
    assert calls == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a"], "ner_tags": [0, 1]}, r"hf://o/d, row 1: 1 words and 2 tags"),
        ({"tokens": ["a"], "ner_tags": [3]}, r"row 1: label 3 is not among the 3 that the data set declares"),
        ({"tokens": ["a"], "ner_tags": [-1]}, r"row 1: `ner_tags` must hold a list of text \(or of named labels\)"),
        ({"tokens": ["a"], "tags": [1]}, r"row 1: `tags` must hold a list of text \(or of named labels\), found \[1\]"),
        ({"tokens": "a", "ner_tags": [1]}, r"row 1: `tokens` must hold a list of text"),
        ({"text": "a", "ner_tags": [1]}, r"row 1: there is no `tokens` or `words`; found text, ner_tags"),
        (
            {"tokens": ["a"], "upos": ["X"]},
            r"row 1: there is no `ner_tags` or `ner` or `tags` or `labels`; found tokens, u",
        ),
    ],
)
def test_bad_rows(hub: Hub, row: dict[str, Any], message: str) -> None:
    hub([row], {"ner_tags": [NER]})
    with pytest.raises(DataError, match=message):
        read_examples("ner", "hf://o/d")


def test_no_rows(hub: Hub) -> None:
    hub([])
    with pytest.raises(DataError, match="hf://o/d holds no sentences"):
        read_examples("pos", "hf://o/d")


@pytest.mark.parametrize("error", [ConnectionError("no route\nto host"), ValueError("Unknown split")])
def test_unreadable(hub: Hub, error: Exception) -> None:
    hub(error)
    with pytest.raises(DataError, match=r"hf://o/d could not be read: .* Check its name, your network") as caught:
        read_examples("ner", "hf://o/d")
    assert "\n" not in str(caught.value)


def test_connection_lost_on_the_way(hub: Hub) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"tokens": ["a"], "tags": ["O"]}
        raise TimeoutError("timed out")

    hub(rows())
    with pytest.raises(DataError, match="hf://o/d could not be read: timed out"):
        read_examples("ner", "hf://o/d")


def test_without_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"reading hf://o/d needs datasets: pip install 'detente\[hub\]'"):
        read_examples("ner", "hf://o/d")
