"""The bytes of a file, decompressed on the way; whatever goes wrong meanwhile is said in one line."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from detente.corpus.files import COMPRESSIONS
from detente.errors import DataError

_BUFFER_BYTES = 1 << 20
# Text shrinks three- to tenfold, the dullest a hundredfold. A bomb a thousandfold and more.
_MOST_GROWTH = 250
_ALWAYS_ALLOWED_BYTES = 1 << 30


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for reading, decompressed by its ending.

    Raises:
        DataError: here or while reading inside the block: the file cannot be read, is empty, truncated or corrupt, or grows
            as only a decompression bomb does.
    """
    try:
        with path.open("rb") as raw, _decompressed(raw, path) as stream:
            buffered = io.BufferedReader(cast(io.RawIOBase, stream), _BUFFER_BYTES)
            if not raw.peek(1) or not buffered.peek(1):
                raise DataError(f"{path} is empty. Leave it out of `paths`, or fill it.")
            yield cast(BinaryIO, buffered)
    except (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError) as error:
        raise DataError(_explain(path, error)) from None


def _decompressed(raw: BinaryIO, path: Path) -> BinaryIO:
    open_stream = _OPENERS.get(path.suffix.lower())
    if open_stream is None:
        return raw
    return cast(
        BinaryIO, _Bounded(open_stream(raw), max(_ALWAYS_ALLOWED_BYTES, _MOST_GROWTH * path.stat().st_size), path)
    )


def _explain(path: Path, error: Exception) -> str:
    kind = COMPRESSIONS.get(path.suffix.lower())
    if kind is None or getattr(error, "errno", None) is not None:
        return f"{path} could not be read: {getattr(error, 'strerror', None) or error}."
    if "too much memory" in str(error):
        return f"{path} was compressed with a window of more than 128 MB (zstd --long). Decompress it first."
    if isinstance(error, EOFError):
        return f"{path} is truncated: its {kind} data stops before the end. Copy or download it again."
    return f"{path} is not sound {kind} data ({error}). Copy or download it again, or correct the ending of its name."


class _Bounded(io.RawIOBase):
    """So many decompressed bytes and no more."""

    def __init__(self, stream: Any, allowed: int, path: Path) -> None:
        self._stream, self._left, self._path = stream, allowed, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size: int = self._stream.readinto(buffer)
        self._left -= size
        if self._left < 0:
            raise DataError(
                f"{self._path} grows more than {_MOST_GROWTH}-fold when it is decompressed, as text does not. If it is meant "
                "so, decompress it first."
            )
        return size


class _ZstandardReader(io.RawIOBase):
    """Decompressed bytes of one zstandard frame or several; unlike the library's own reader it notices a truncated one."""

    # A few bytes may stand for a whole block of 128 KiB, so that this bounds what one read makes to some 130 MB.
    _INPUT_BYTES = 4096

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._is_between_frames = True
        self._compressed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            self._compressed = self._compressed or self._raw.read(self._INPUT_BYTES)
            if not self._compressed:
                return self._end()
            self._advance()
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _advance(self) -> None:
        self._ready = memoryview(self._frame.decompress(self._compressed))
        self._compressed = self._frame.unused_data
        self._is_between_frames = self._frame.eof
        if self._frame.eof:
            self._frame = zstandard.ZstdDecompressor().decompressobj()

    def _end(self) -> int:
        if not self._is_between_frames:
            raise EOFError
        return 0


_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw),
    ".bz2": bz2.BZ2File,
    # Not the older format besides, in which a damaged header can ask for gigabytes.
    ".xz": partial(lzma.LZMAFile, format=lzma.FORMAT_XZ),
    ".zst": _ZstandardReader,
}
