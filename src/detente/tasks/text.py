"""The text of a labelled file: decompressed, UTF-8, any line end. Such files are small enough to be read whole."""

from pathlib import Path
from typing import BinaryIO

from detente.corpus.decompress import open_bytes
from detente.errors import DataError

MOST_BYTES = 1 << 29
"""Decompressed. The largest published file, of MultiNLI, has some 400 MB."""
_BLOCK_BYTES = 1 << 20


def read_whole(path: Path) -> str:
    """All of it, lines ended by `\\n`, a byte order mark dropped.

    Raises:
        DataError: the file cannot be read, is empty, truncated, corrupt, not UTF-8 or larger than `MOST_BYTES`.
    """
    with open_bytes(path) as stream:
        content = _bounded(stream, path)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte {error.start} (0x{content[error.start]:02x}) is not UTF-8. "
            "Convert the file to UTF-8; if it is compressed, end its name in .gz, .bz2, .xz or .zst."
        ) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _bounded(stream: BinaryIO, path: Path) -> bytearray:
    content = bytearray()
    while block := stream.read(_BLOCK_BYTES):
        content += block
        if len(content) > MOST_BYTES:
            raise DataError(
                f"{path} has more than {MOST_BYTES >> 20:,} MiB: labelled files are read whole. Part it in several."
            )
    return content
