"""Decompression is streamed, and damage is noticed and named."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from detente.corpus.decompress import open_bytes
from detente.errors import DataError

TEXT = b"".join(b"line %d of some text\n" % number for number in range(20_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
packed = pytest.mark.parametrize("suffix", PACKERS)


def unpack(path: Path) -> bytes:
    with open_bytes(path) as stream:
        return stream.read()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@packed
def test_unpacks(tmp_path: Path, suffix: str) -> None:
    assert unpack(write(tmp_path / f"a.txt{suffix}", PACKERS[suffix](TEXT))) == TEXT


@packed
def test_several_streams_in_one_file(tmp_path: Path, suffix: str) -> None:
    twice = PACKERS[suffix](TEXT) + PACKERS[suffix](b"more")
    assert unpack(write(tmp_path / f"a.txt{suffix}", twice)) == TEXT + b"more"


@packed
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_truncated(tmp_path: Path, suffix: str, share: float) -> None:
    content = PACKERS[suffix](TEXT)
    path = write(tmp_path / f"a.txt{suffix}", content[: int(share * len(content))])
    with pytest.raises(
        DataError, match=r"a\.txt\.\w+ is truncated: its \w+ data stops before the end\. Copy or download"
    ):
        unpack(path)


@packed
def test_corrupt(tmp_path: Path, suffix: str) -> None:
    content = bytearray(PACKERS[suffix](TEXT))
    content[100:140] = bytes(range(40))
    with pytest.raises(DataError, match=r"a\.txt\.\w+ is (not sound|truncated)"):
        unpack(write(tmp_path / f"a.txt{suffix}", bytes(content)))


@packed
def test_not_compressed_at_all(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.txt{suffix}", b"plain text\n" * 10)
    with pytest.raises(DataError, match=r"is not sound \w+ data .*or correct the ending of its name"):
        unpack(path)


@packed
def test_nothing_inside(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DataError, match=r"is empty\. Leave it out of `paths`"):
        unpack(write(tmp_path / f"a.txt{suffix}", PACKERS[suffix](b"")))


@pytest.mark.parametrize("suffix", ["", *PACKERS])
def test_no_bytes_at_all(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DataError, match=r"is empty\. Leave it out of `paths`"):
        unpack(write(tmp_path / f"a.txt{suffix}", b""))


def test_a_bomb_is_unpacked_in_small_parts(tmp_path: Path) -> None:
    """64 MiB of zeros in some kilobytes: the reader hands them out without holding them all."""
    path = write(tmp_path / "a.txt.zst", zstandard.compress(bytes(1 << 26)))
    with open_bytes(path) as stream:
        assert len(stream.read(1000)) == 1000


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A permission refused; simulated, since tests may run as root."""

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"a\.txt could not be read: Permission denied"):
        unpack(tmp_path / "a.txt")
