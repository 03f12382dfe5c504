"""Sizes and scripts of clean text, counted a block at a time."""

import unicodedata

import numpy as np

from detente.corpus.manifest import SplitCounts
from detente.languages import script_of

_CODE_POINTS = 0x110000
_COMMON = "Zyyy"


def count_lines(lines: bytes) -> SplitCounts:
    """Sizes of clean lines, each with its line end: their blanks are single, so that counting bytes is enough."""
    records = lines.count(b"\n")
    continuation = int(np.count_nonzero((np.frombuffer(lines, np.uint8) & 0xC0) == 0x80))
    return SplitCounts(
        records=records,
        words=lines.count(b" ") + records,
        characters=len(lines) - continuation - records,
        bytes=len(lines),
    )


def add_counts(a: SplitCounts, b: SplitCounts) -> SplitCounts:
    """Sizes of both texts together."""
    return SplitCounts(
        records=a.records + b.records,
        words=a.words + b.words,
        characters=a.characters + b.characters,
        bytes=a.bytes + b.bytes,
    )


class ScriptCounter:
    """How many letters of each script a text has."""

    def __init__(self) -> None:
        self._occurrences = np.zeros(_CODE_POINTS, np.int64)

    def add(self, lines: bytes) -> None:
        """Count the characters of some UTF-8 text."""
        code_points = np.frombuffer(lines.decode().encode("utf-32-le"), "<u4")
        found = np.bincount(code_points)
        self._occurrences[: len(found)] += found

    def shares(self) -> dict[str, float]:
        """Share of the letters by ISO 15924 code, the largest first; `Zyyy` for letters that scripts share."""
        letters: dict[str, int] = {}
        for code_point in np.flatnonzero(self._occurrences):
            character = chr(code_point)
            if unicodedata.category(character).startswith("L"):
                script = script_of(character) or _COMMON
                letters[script] = letters.get(script, 0) + int(self._occurrences[code_point])
        total = sum(letters.values())
        return {script: letters[script] / total for script in sorted(letters, key=lambda s: (-letters[s], s))}
