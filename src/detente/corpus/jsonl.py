"""JSON Lines: one object a line, the text in one of its fields; one record an object."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from detente.corpus.files import TextFile
from detente.corpus.lines import read_lines
from detente.errors import DataError, did_you_mean


def read_jsonl(stream: BinaryIO, file: TextFile) -> Iterator[str]:
    """The text of each object; lines that are blank are passed over.

    Raises:
        DataError: a line is no JSON object, lacks the field, or has something else than text in it.
    """
    for number, line in read_lines(stream, file):
        if line.strip():
            where = f"{file.path}, line {number}"
            yield text_in(_parse(line, where), file.field, where)


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not valid JSON ({error.msg} at column {error.colno}). Correct or remove the line."
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not readable as JSON ({error}). Correct or remove the line.") from None
    if not isinstance(value, dict):
        raise DataError(f'{where}: must be an object such as {{"text": "..."}}, found {type(value).__name__}.')
    return value


def text_in(row: dict[str, Any], field: str, where: str) -> str:
    """The text of one row; a null is no text.

    Raises:
        DataError: `field` is missing or holds something else.
    """
    if field not in row:
        raise DataError(f"{where}: {missing_field(field, row)}")
    value = row[field]
    if value is not None and not isinstance(value, str):
        raise DataError(
            f"{where}: `{field}` must hold text, found {type(value).__name__}. Set `field` to another field."
        )
    return value or ""


def missing_field(field: str, present: Iterable[str]) -> str:
    """Says which fields there are instead."""
    names = list(present)
    shown = ", ".join(f"`{name}`" for name in names[:12]) or "none"
    return f"there is no field `{field}`; the fields are {shown}.{did_you_mean(field, names)} Set `field`."
