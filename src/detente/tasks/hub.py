"""Labelled data sets of the Hugging Face hub: `hf://owner/dataset[/configuration][:split]`, a row an example."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from detente.corpus.hub import open_hub, placed_rows
from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.json_lines import PlacedRow, Row
from detente.tasks.reading import Reading

_WORDS = ("tokens", "words")
_TAGS = {"ner": ("ner_tags", "ner", "tags", "labels"), "pos": ("upos", "pos_tags", "pos", "tags", "labels")}


def hub_rows(address: str) -> Iterator[PlacedRow]:
    """The rows, in the data set's order; labels that are stored as numbers by their names.

    Raises:
        DataError: the address is malformed, `datasets` is missing, or the data set cannot be read.
    """
    data = open_hub(address)
    names = _label_names(getattr(data, "features", None) or {})
    for where, row in placed_rows(data, address):
        yield where, {name: _named(value, names.get(name), where) for name, value in row.items()}


def tagged_from(rows: Iterable[PlacedRow], source: str, task: str) -> Reading[TaggedSentence]:
    """Rows with `tokens` and `ner_tags` or `upos`.

    In treebanks on the hub the tag `_` is that of multiword tokens, which stand before the words they are made of: they
    are left out.

    Raises:
        DataError: there are no rows, or one lacks a column or has not a tag for each word.
    """
    sentences = []
    dropped = 0
    for where, row in rows:
        words, tags = _texts(row, _WORDS, where), _texts(row, _TAGS[task], where)
        if len(words) != len(tags):
            raise DataError(f"{where}: {len(words)} words and {len(tags)} tags.")
        kept = [(word, tag) for word, tag in zip(words, tags, strict=True) if tag != "_" or task == "ner"]
        dropped += len(words) - len(kept)
        sentences += [TaggedSentence(*zip(*kept, strict=True))] if kept else []
    if not sentences:
        raise DataError(f"{source} holds no sentences.")
    note = f"Words of {source} that are tagged `_` (multiword tokens) were left out: {dropped:,}."
    return Reading(tuple(sentences), source, (note,) if dropped else ())


def _texts(row: Row, names: tuple[str, ...], where: str) -> list[str]:
    name = next((name for name in names if name in row), None)
    if name is None:
        raise DataError(f"{where}: there is no {' or '.join(f'`{n}`' for n in names)}; found {', '.join(row)}.")
    values = row[name]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise DataError(f"{where}: `{name}` must hold a list of text (or of named labels), found {str(values)[:60]}.")
    return values


def _label_names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """Column -> names of its numbers, for labels and lists of labels; how a list is declared changed over the versions."""
    inner = {name: f[0] if isinstance(f, list) else getattr(f, "feature", f) for name, f in features.items()}
    return {name: list(feature.names) for name, feature in inner.items() if getattr(feature, "names", None)}


def _named(value: Any, names: list[str] | None, where: str) -> Any:
    if names is None or value is None:
        return value
    if isinstance(value, list):
        return [_named(each, names, where) for each in value]
    if isinstance(value, int) and value >= len(names):
        raise DataError(f"{where}: label {value} is not among the {len(names)} that the data set declares.")
    # -1 is no label.
    return names[value] if isinstance(value, int) and value >= 0 else value
