"""Parquet."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.errors import DataError

Read = Callable[..., list[str]]

pa = pytest.importorskip("pyarrow", reason="pyarrow is an extra")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra")

TEXTS = ["one", None, "\u00e9t\u00e9", "\u4f60\u597d"]
SHOWN = ["one", "", "\u00e9t\u00e9", "\u4f60\u597d"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_text_of_each_row(tmp_path: Path, read: Read, kind: object) -> None:
    values = [value and value.encode() for value in TEXTS] if kind == pa.binary() else TEXTS
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "text": pa.array(values).cast(kind)}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == SHOWN


def test_many_row_groups(tmp_path: Path, read: Read) -> None:
    texts = [f"row {number}" for number in range(5000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=700)
    assert read(tmp_path / "a.parquet") == texts


def test_compressed_once_more(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert read(tmp_path / "a.parquet.gz") == SHOWN


def test_missing_column(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"id": [1], "texts": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"a\.parquet: there is no field `text`; the fields are `id`, `texts`\. Did you mean `texts`\?"
    ):
        read(tmp_path / "a.parquet")


def test_column_without_text(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": [[1, 2]]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"column `text` must hold text, found list"):
        read(tmp_path / "a.parquet")


def test_invalid_utf8(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": pa.array([b"caf\xe9"])}), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"column `text` holds text that is not UTF-8\. Mend it, or set `errors: replace`"
    ):
        read(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", errors="replace") == ["caf\ufffd"]


@pytest.mark.parametrize("content", [b"PAR1 no", b"x" * 5000, b"PAR1" + b"\x00" * 500 + b"\xff\xff\x00\x00PAR1"])
def test_damaged(tmp_path: Path, read: Read, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet is not sound Parquet \(.*\)\. Copy or download it again"):
        read(tmp_path / "a.parquet")


def test_truncated(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": ["x" * 50_000]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="is not sound Parquet"):
        read(tmp_path / "a.parquet")


def test_without_pyarrow(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs pyarrow: pip install 'detente\[parquet\]'"):
        read(tmp_path / "a.parquet")
