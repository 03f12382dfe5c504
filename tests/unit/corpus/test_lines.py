"""Plain text: line ends, UTF-8 errors with their place, lines of any length."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detente.corpus import clean, lines
from detente.corpus.clean import Head
from detente.errors import DataError

Read = Callable[..., list[str]]


def test_one_record_a_line(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.txt").write_bytes("\u00e9t\u00e9\n\n\u4f60\u597d\nlast without end".encode())
    assert read(tmp_path / "a.txt") == ["\u00e9t\u00e9", "", "\u4f60\u597d", "last without end"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end(tmp_path: Path, read: Read, end: str) -> None:
    (tmp_path / "a.txt").write_bytes(end.join(["one", "two", "three"]).encode())
    assert read(tmp_path / "a.txt") == ["one", "two", "three"]


def test_byte_order_mark_is_dropped(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\n")
    assert read(tmp_path / "a.txt") == ["one"]


def test_line_separator_stays_within_its_record(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.txt").write_bytes("one\u2028still one\ntwo".encode())
    assert len(read(tmp_path / "a.txt")) == 2


@pytest.mark.parametrize("block", [1, 2, 3, 5, 1 << 20])
def test_blocks_do_not_show(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(lines, "_BLOCK_BYTES", block)
    (tmp_path / "a.txt").write_bytes("\ufeff\U0001f600 \u00e9\r\n\u4f60\r\n\r\nz".encode())
    assert read(tmp_path / "a.txt") == ["\U0001f600 \u00e9", "\u4f60", "", "z"]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_invalid_utf8_is_placed(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch, block: int, mark: bytes
) -> None:
    monkeypatch.setattr(lines, "_BLOCK_BYTES", block)
    good = mark + "one \u00e9\ntwo \u4f60\n".encode()
    (tmp_path / "a.txt").write_bytes(good + b"bad \xe9 here\nfour\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.txt")
    assert str(caught.value) == (
        f"{tmp_path / 'a.txt'}, line 3: byte {len(good) + 4} (0xe9) is not UTF-8. "
        "Convert the file to UTF-8, or set `errors: replace`."
    )


def test_character_cut_off_at_the_end(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntw\xc3")
    with pytest.raises(DataError, match=r"line 2: byte 6 \(0xc3\) is not UTF-8"):
        read(tmp_path / "a.txt")


def test_invalid_utf8_is_replaced_on_request(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\nfine\n")
    assert read(tmp_path / "a.txt", errors="replace") == ["caf\ufffd", "fine"]


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"\x1f\x8b\x08", "gzip: name it .gz"),
        (b"\xfd7zXZ\x00", "xz: name it .xz"),
        ("text".encode("utf-16"), "UTF-16: save it as UTF-8"),
    ],
)
def test_other_kinds_of_file_are_recognized(tmp_path: Path, read: Read, content: bytes, hint: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=hint):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize("block", [7, 1 << 20])
def test_a_long_line_comes_in_pieces(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """The pieces are those of the whole line, whatever the blocks."""
    monkeypatch.setattr(lines, "_BLOCK_BYTES", block)
    monkeypatch.setattr(lines, "MAX_RECORD_CHARACTERS", 10)
    monkeypatch.setattr(clean, "MAX_RECORD_CHARACTERS", 10)
    (tmp_path / "a.txt").write_bytes(b"short\none two three four five six")
    records = read(tmp_path / "a.txt")
    assert [record.strip() for record in records] == ["short", "one two", "three", "four five", "six"]
    assert [isinstance(record, Head) for record in records] == [False, True, True, True, False]


def test_a_json_line_has_a_limit(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_MAX_LINE_CHARACTERS", 100)
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "fine"}\n' + b"x" * 200)
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: longer than 100 characters\. Is it `format: jsonl`\?"):
        read(tmp_path / "a.jsonl")
