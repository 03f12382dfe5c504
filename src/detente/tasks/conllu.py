"""Treebanks in CoNLL-U: the words and their universal parts of speech.

Multiword tokens (1-2: du) stand beside the words they are made of (de, le), and empty nodes (8.1) are not in the text: both
are left out, so that every word has one tag.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.reading import Reading

_FIELDS = ("id", "form", "lemma", "upos")
# A number, a form, a lemma and a part of speech, and six more columns.
_ROW = re.compile(r"(\d{1,9}(?:[-.]\d{1,9})?\t *[^\t ][^\t]*\t[^\t]*\t[^\t ]+)(?:\t[^\t]*){6}")
_BLANKS = re.compile(r" {2,}")


def is_conllu(text: str) -> bool:
    """Whether the first line that is no comment is a row of CoNLL-U."""
    lines = (line for line in text.split("\n") if line.strip() and not line.startswith("#"))
    return _ROW.fullmatch(next(lines, "")) is not None


def parse_conllu(text: str, path: Path) -> Reading[TaggedSentence]:
    """The sentences of a treebank; a blank inside a word stays.

    Raises:
        DataError: the file holds no sentence or is not CoNLL-U, or conllu is not installed.
    """
    sentences = tuple(_sentences(text, path))
    if not sentences:
        raise DataError(f"{path} holds no sentences.")
    return Reading(sentences, str(path))


def _sentences(text: str, path: Path) -> Iterator[TaggedSentence]:
    try:
        from conllu import parse_token_and_metadata
        from conllu.exceptions import ParseException
    except ImportError:
        raise DataError(f"reading {path} needs conllu: pip install 'detente[tasks]'") from None
    for number, rows in _blocks(text, path):
        try:
            tokens = parse_token_and_metadata("\n".join(rows), fields=_FIELDS)
        except ParseException as error:
            raise DataError(f"{path}, sentence that begins in line {number}: {error}") from None
        words = [(token["form"].strip(" "), token["upos"]) for token in tokens if isinstance(token["id"], int)]
        if words:
            yield TaggedSentence(*zip(*words, strict=True))


def _blocks(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of each sentence, and the number of the first's line."""
    rows: list[str] = []
    # A blank line at the end, in case the file has none.
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.startswith("#"):
            continue
        if line.strip():
            rows.append(_checked(line, f"{path}, line {number}"))
        elif rows:
            yield number - len(rows), rows
            rows = []


def _checked(line: str, where: str) -> str:
    """The columns that are wanted."""
    row = _ROW.fullmatch(line)
    if row is None:
        raise DataError(
            f"{where}: a row of CoNLL-U has 10 columns parted by tabs, none empty, a number first; found {line[:60]!r}."
        )
    # The library takes two blanks for a tab.
    return _BLANKS.sub(" ", row[1])
