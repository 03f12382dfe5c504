"""Pairs of sentences with what the first makes of the second, in the formats of XNLI and MultiNLI:

    premise TAB hypothesis TAB label   XTREME, constructed languages; no header
    a header line, columns by name     XNLI, MultiNLI, SNLI: sentence1, sentence2, gold_label, or premise, hypo, label
    JSON Lines                         the same names

Quotes are plain text everywhere. XNLI's own files have all languages in one, told apart by a column `language`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from detente.errors import ConfigError, DataError, did_you_mean
from detente.languages import find_language
from detente.tasks.examples import SentencePair
from detente.tasks.json_lines import PlacedRow, Row, parse_json_lines
from detente.tasks.reading import Reading, refuse_unlabelled, share

LABELS = ("entailment", "neutral", "contradiction")
"""In the order of their numbers on the Hugging Face hub."""

_PREMISE = ("premise", "sentence1")
_HYPOTHESIS = ("hypothesis", "hypo", "sentence2")
_LABEL = ("gold_label", "label", "labels")
_COLUMNS = ("premise", "hypothesis", "label")
_MEANT = {**{str(number): label for number, label in enumerate(LABELS)}, "contradictory": "contradiction"}
# `-` where the annotators did not agree, -1 on the hub, `hidden` in published test sets.
_NO_LABEL = ("", "-", "-1", "hidden")

_Pairs = Reading[SentencePair]


def parse_pairs(text: str, path: Path) -> Iterator[PlacedRow]:
    """Rows with the names that the file gives its columns, or `premise`, `hypothesis` and `label`.

    Raises:
        DataError: a line has more or fewer columns than the first, or is not JSON where the first is.
    """
    return parse_json_lines(text, path) if text.lstrip().startswith('{"') else _rows(text, path)


def pairs_from(rows: Iterable[PlacedRow], source: str, *, language: str | None = None) -> _Pairs:
    """The rows that have both sentences and a label.

    Args:
        language: which rows to take, where a column `language` tells.

    Raises:
        DataError: there are no rows, one lacks a column or has an unknown label, none has a label, or there are several
            languages and none was asked for.
    """
    chosen = _of_language(list(rows), source, language)
    pairs = [_pair(row, where) for where, row in chosen]
    if not pairs:
        raise DataError(f"{source} holds no pairs.")
    labelled = [pair for pair in pairs if pair.label]
    if not labelled:
        raise refuse_unlabelled(source)
    whole = tuple(pair for pair in labelled if pair.premise and pair.hypothesis)
    if not whole:
        raise DataError(f"{source}: each labelled pair lacks a sentence.")
    return Reading(whole, source, tuple(_notes(pairs, labelled, whole, source)))


def _rows(text: str, path: Path) -> Iterator[PlacedRow]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    names = _header(lines[0][1]) if lines else _COLUMNS
    for number, line in lines if names is _COLUMNS else lines[1:]:
        cells = line.split("\t")
        where = f"{path}, line {number}"
        if len(cells) == 2 and names is _COLUMNS:
            cells.append("")
        if len(cells) != len(names):
            raise DataError(
                f"{where}: expected {len(names)} columns parted by tabs, found {len(cells)}: {line[:60]!r}."
            )
        yield where, dict(zip(names, cells, strict=True))


def _header(line: str) -> tuple[str, ...]:
    """The names in the first line, if it has both a premise and a hypothesis by name."""
    names = tuple(line.split("\t"))
    return names if set(names) & set(_PREMISE) and set(names) & set(_HYPOTHESIS) else _COLUMNS


def _of_language(rows: list[PlacedRow], source: str, language: str | None) -> list[PlacedRow]:
    found = sorted({str(row["language"]) for _, row in rows if "language" in row})
    if not found or (language is None and len(found) == 1):
        return rows
    if language is None:
        raise DataError(f"{source} holds the languages {', '.join(found)}, and which one is meant is not said.")
    chosen = [row for row in rows if _code(str(row[1].get("language"))) == _code(language)]
    if not chosen:
        raise DataError(f"{source} has no pairs in `{language}`, only in {', '.join(found)}.")
    return chosen


def _code(language: str) -> str:
    try:
        return find_language(language).code
    except ConfigError:
        return language.lower()


def _pair(row: Row, where: str) -> SentencePair:
    """Its label is empty where there is none."""
    premise, hypothesis = _cell(row, _PREMISE, where), _cell(row, _HYPOTHESIS, where)
    found = _cell(row, _LABEL, where).lower()
    label = "" if found in _NO_LABEL else _MEANT.get(found, found)
    if label and label not in LABELS:
        raise DataError(
            f"{where}: a label is one of {', '.join(LABELS)} (or 0, 1, 2), found {found[:60]!r}.{did_you_mean(found, LABELS)}"
        )
    return SentencePair(premise, hypothesis, label)


def _cell(row: Row, names: tuple[str, ...], where: str) -> str:
    name = next((name for name in names if name in row), None)
    if name is None:
        raise DataError(
            f"{where}: there is no {' or '.join(f'`{n}`' for n in names)}; found {', '.join(map(str, row))}."
        )
    value = row[name]
    if isinstance(value, (dict, list, float)):
        raise DataError(f"{where}: `{name}` must hold text, found {type(value).__name__}.")
    return "" if value is None else str(value).strip()


def _notes(
    pairs: list[SentencePair], labelled: list[SentencePair], whole: tuple[SentencePair, ...], source: str
) -> Iterator[str]:
    if len(labelled) < len(pairs):
        yield f"{share(len(pairs) - len(labelled), pairs)} of {source} have no label and were left out."
    if len(whole) < len(labelled):
        yield f"{share(len(labelled) - len(whole), pairs)} of {source} lack a sentence and were left out."
