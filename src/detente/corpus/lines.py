"""Bytes become lines of text: UTF-8, any line end, and a bound on how long a line may get."""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from detente.corpus.clean import MAX_RECORD_CHARACTERS, cut_long
from detente.corpus.files import TextFile
from detente.errors import DataError

_BLOCK_BYTES = 1 << 20
# A line of JSON must be in memory whole. A book has a few million characters.
_MAX_LINE_CHARACTERS = 1 << 26

_MARK = "\ufeff"

_OTHER_KINDS = (
    (b"\x1f\x8b", "It looks like gzip: name it .gz."),
    (b"BZh", "It looks like bzip2: name it .bz2."),
    (b"\xfd7zXZ", "It looks like xz: name it .xz."),
    (b"\x28\xb5\x2f\xfd", "It looks like zstandard: name it .zst."),
    (b"PK\x03\x04", "It looks like a zip archive: unpack it."),
    (b"%PDF", "It looks like a PDF: extract its text."),
    (codecs.BOM_UTF16_LE, "It looks like UTF-16: save it as UTF-8."),
    (codecs.BOM_UTF16_BE, "It looks like UTF-16: save it as UTF-8."),
)


def read_plain(stream: BinaryIO, file: TextFile) -> Iterator[str]:
    """One record a line. A line too long to keep in memory comes in pieces."""
    rest = ""
    for block in _decoded(stream, file):
        *lines, rest = (rest + block).split("\n")
        yield from lines
        if len(rest) > MAX_RECORD_CHARACTERS:
            *heads, rest = cut_long(rest)
            yield from heads
    if rest:
        yield rest


def read_lines(stream: BinaryIO, file: TextFile) -> Iterator[tuple[int, str]]:
    """Each line with its number, from 1.

    Raises:
        DataError: invalid UTF-8, or a line of more than 64 Mi characters.
    """
    rest, number = "", 1
    for block in _decoded(stream, file):
        *lines, rest = (rest + block).split("\n")
        yield from enumerate(lines, number)
        number += len(lines)
        if len(rest) > _MAX_LINE_CHARACTERS:
            raise DataError(
                f"{file.path}, line {number}: longer than {_MAX_LINE_CHARACTERS:,} characters. Is it `format: {file.format}`?"
            )
    if rest:
        yield number, rest


def _decoded(stream: BinaryIO, file: TextFile) -> Iterator[str]:
    """The text in blocks, all line ends as `\\n`, a byte order mark dropped."""
    decoder = codecs.getincrementaldecoder("utf-8")(file.errors)
    with_line_ends = io.IncrementalNewlineDecoder(decoder, translate=True)
    position, line, is_begun = 0, 1, False
    while True:
        block = stream.read(_BLOCK_BYTES)
        pending = len(decoder.getstate()[0])
        try:
            text = with_line_ends.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise DataError(_explain(error, file, position - pending, line)) from None
        yield text if is_begun else text.removeprefix(_MARK)
        is_begun = is_begun or bool(text)
        if not block:
            return
        position += len(block)
        line += block.count(b"\n")


def _explain(error: UnicodeDecodeError, file: TextFile, start: int, line: int) -> str:
    hint = next((text for magic, text in _OTHER_KINDS if start == 0 and error.object.startswith(magic)), None)
    # The decoder's bytes start with what it kept of the block before; no line end is ever among that.
    line += error.object[: error.start].count(b"\n")
    return (
        f"{file.path}, line {line}: byte {start + error.start} (0x{error.object[error.start]:02x}) is not UTF-8. "
        f"{hint or 'Convert the file to UTF-8, or set `errors: replace`.'}"
    )
