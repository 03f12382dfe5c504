"""The JSON of SQuAD, which TyDiQA-GoldP, XQuAD and MLQA share: articles, their paragraphs, and questions about each.

JSON Lines, and lists, with a question in each row are read too.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detente.errors import DataError
from detente.tasks.json_lines import PlacedRow, Row, load_json, parse_json_lines

_SHAPE = '{"data": [{"paragraphs": [{"context": "...", "qas": [{"id": "...", "question": "...", "answers": [{"text": "...", "answer_start": 0}]}]}]}]}'


def parse_squad(text: str, path: Path) -> Iterator[PlacedRow]:
    """Rows with `id`, `question`, `context` and `answers`.

    Raises:
        DataError: the file is not JSON, or not of this shape.
    """
    try:
        document = load_json(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return parse_json_lines(text, path)
        raise DataError(
            f"{path}, line {error.lineno}: not valid JSON ({error.msg}). Copy or download it again."
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable as JSON ({error}). Copy or download it again.") from None
    try:
        rows = list(_flat(document))
    except (KeyError, TypeError):
        raise DataError(f"{path} is not the JSON of SQuAD. It looks like {_SHAPE}.") from None
    return ((f"{path}, question {number}", row) for number, row in enumerate(rows, 1))


def _flat(document: Any) -> Iterator[Row]:
    """A row a question, whether they stand in articles or one by one."""
    if isinstance(document, dict) and "question" in document:
        yield document
        return
    for article in document["data"] if isinstance(document, dict) else document:
        if isinstance(article, dict) and "question" in article:
            yield article
        else:
            for paragraph in article["paragraphs"]:
                yield from ({**row, "context": paragraph["context"]} for row in paragraph["qas"])
