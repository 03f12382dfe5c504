"""JSON Lines: an object a line, each with the place that messages name."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detente.errors import DataError

Row = Mapping[str, Any]
"""Column -> value."""

PlacedRow = tuple[str, Row]
"""A row after its place: file and line, or data set and number."""


def parse_json_lines(text: str, path: Path) -> Iterator[PlacedRow]:
    """The objects; blank lines are passed over.

    Raises:
        DataError: a line is no JSON object.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, _parse(line, where)


def load_json(text: str) -> Any:
    """As `json.loads`.

    Raises:
        ValueError: it is no JSON, or an escape in it names half a character (`\\ud800` alone), which no file can hold.
        RecursionError: it is nested too deeply.
    """
    value = json.loads(text)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _parse(line: str, where: str) -> Row:
    try:
        value = load_json(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not readable as JSON ({error}). Correct or remove the line.") from None
    if not isinstance(value, dict):
        raise DataError(f"{where}: must be a JSON object, found {line[:60]!r}.")
    return value
