"""A raw record becomes one line of clean text: NFC, single blanks, no control characters.

What carries meaning stays: case, digits, punctuation, emoji, and the joiners (U+200C, U+200D) that Persian and the
scripts of India spell with.
"""

import re
import unicodedata
from collections.abc import Iterator

MAX_RECORD_CHARACTERS = 1 << 20

# Control characters that are not blanks, soft hyphens, bidi marks and controls, byte order marks, lone surrogates
# (JSON can hold them, UTF-8 cannot) and noncharacters.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufeff\ufffe\uffff\ud800-\udfff]"
)


class Head(str):
    """The beginning of a record that was cut after it; the rest comes next."""

    __slots__ = ()


def clean_record(text: str) -> str:
    """`text` as one line; '' when nothing is left. Cleaning twice changes nothing more."""
    if not text.isprintable():
        text = _INVISIBLE.sub("", text)
    # `split` knows every blank of Unicode, U+0085, U+2028 and the ASCII separators among them.
    text = " ".join(text.split())
    # Last, since removing a character may bring a letter and its accent together.
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def cut_long(text: str) -> Iterator[str]:
    """`text` in pieces of at most `MAX_RECORD_CHARACTERS`, cut at blanks where there are any; all but the last are `Head`s."""
    while len(text) > MAX_RECORD_CHARACTERS:
        end = _end_of_words(text[:MAX_RECORD_CHARACTERS])
        yield Head(text[:end])
        text = text[end:]
    yield text


def _end_of_words(window: str) -> int:
    """Length of `window` without a last word that may go on behind it; all of it when that would leave nothing."""
    words = window.rsplit(maxsplit=1)
    if window[-1].isspace() or len(words) < 2:
        return len(window)
    return len(window) - len(words[-1])
