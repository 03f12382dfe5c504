"""JSON Lines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detente.errors import DataError

Read = Callable[..., list[str]]


def test_text_of_each_object(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.jsonl").write_text(
        '\ufeff{"id": 1, "text": "one\\ntwo"}\r\n\n{"text": null}\n{"text": "\\u00e9"}', encoding="utf-8"
    )
    assert read(tmp_path / "a.jsonl") == ["one\ntwo", "", "\u00e9"]


def test_another_field(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.ndjson").write_text('{"body": "one"}\n')
    assert read(tmp_path / "a.ndjson", field="body") == ["one"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "open', r"a\.jsonl, line 2: not valid JSON \(Unterminated string.* at column 10\)"),
        ('["text"]', r'line 2: must be an object such as \{"text": "\.\.\."\}, found list'),
        (
            '{"txt": "x", "id": 1}',
            r"line 2: there is no field `text`; the fields are `txt`, `id`\. Did you mean `txt`\?",
        ),
        ("{}", r"line 2: there is no field `text`; the fields are none\."),
        ('{"text": ["x"]}', r"line 2: `text` must hold text, found list\. Set `field`"),
        ("[" * 100_000, r"line 2: not readable as JSON"),
        ('{"text": ' + "1" * 5000 + "}", r"line 2: not readable as JSON"),
    ],
)
def test_bad_lines(tmp_path: Path, read: Read, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.jsonl")
