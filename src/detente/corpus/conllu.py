"""CoNLL-U treebanks as running text: one record a sentence.

Read by hand: three of the ten columns are wanted, large files are read line by line, and a mistake has its line number.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from detente.corpus.files import TextFile
from detente.corpus.lines import read_lines
from detente.errors import DataError

_TEXT = re.compile(r"#\s*text\s*=(.*)")
_ID = re.compile(r"(\d{1,9})(?:([-.])(\d{1,9}))?")


def read_conllu(stream: BinaryIO, file: TextFile) -> Iterator[str]:
    """`# text = ...` where a sentence has it; else its surface forms, with a blank between except after SpaceAfter=No.

    Raises:
        DataError: a line has no ten columns, or no token number in the first.
    """
    text, rows = "", list[list[str]]()
    for number, line in read_lines(stream, file):
        if line.startswith("#"):
            comment = _TEXT.match(line)
            text = comment[1] if comment else text
        elif line.strip():
            rows.append(_columns(line, f"{file.path}, line {number}"))
        elif text or rows:
            yield text or _surface(rows)
            text, rows = "", []
    if text or rows:
        yield text or _surface(rows)


def _columns(line: str, where: str) -> list[str]:
    columns = line.split("\t")
    if len(columns) != 10 or not _ID.fullmatch(columns[0]):
        raise DataError(f"{where}: a CoNLL-U word has 10 columns parted by tabs, a number first; found {line[:60]!r}.")
    return columns


def _surface(rows: list[list[str]]) -> str:
    """Text of the rows: a multiword token (`3-4`) stands for its words, an empty node (`8.1`) is not spoken."""
    pieces = []
    covered = 0
    for columns in rows:
        start, mark, end = re.split(r"([-.])", columns[0]) if not columns[0].isdigit() else (columns[0], "", columns[0])
        if mark == "." or (not mark and int(start) <= covered):
            continue
        covered = int(end) if mark else covered
        pieces += [columns[1], "" if "SpaceAfter=No" in columns[9].split("|") else " "]
    return "".join(pieces)
