"""Files with a token and its tag a line. How a line is taken apart is recognised from the content:

    token TAB tag                     XTREME, constructed languages; more columns between (CoNLL) are passed over
    language:token TAB tag            WikiAnn as published
    token BLANK tag                   MasakhaNER, ANERcorp; a token may hold blanks itself (10 000 NUM)
    token BLANK ... BLANK tag         CoNLL 2002 and 2003: the same number of columns, three or more, in every line
    index TAB token TAB tag TAB ...   Universal NER; lines that start with # are comments
    words TAB labels TAB sentence_id  MahaNER: this header, and no blank lines between the sentences

Blank lines and -DOCSTART- lines part sentences. The tags are handed on as they stand.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence
from detente.tasks.reading import Reading, refuse_unlabelled

_HEADER = {"words", "labels", "sentence_id"}
_LANGUAGE = re.compile(r"[a-z][a-z-]+:")

_Line = tuple[int, str]
_Word = tuple[str, str]


class _Layout(NamedTuple):
    """How a line is taken apart.

    Attributes:
        split: into `width` cells.
        token: which of them is the word.
        tag: which of them is its tag.
    """

    split: Callable[[str], list[str]]
    width: int
    token: int = 0
    tag: int = -1


def parse_columns(text: str, path: Path) -> Reading[TaggedSentence]:
    """The sentences of a file.

    Raises:
        DataError: it holds no sentence or no tags, or its lines have different numbers of columns.
    """
    lines = text.split("\n")
    has_header = set(lines[0].split("\t")) == _HEADER
    words = _numbered_words(lines, path) if has_header else _words(lines, path)
    sentences = list(_sentences(words))
    if not sentences:
        raise DataError(f"{path} holds no sentences.")
    sentences, notes = _without_language(sentences, path)
    return Reading(tuple(sentences), str(path), notes)


def _sentences(words: Iterable[_Word | None]) -> Iterator[TaggedSentence]:
    """Words up to the next None are a sentence."""
    sentence: list[_Word] = []
    for word in words:
        if word is not None:
            sentence.append(word)
        elif sentence:
            yield TaggedSentence(*zip(*sentence, strict=True))
            sentence = []
    if sentence:
        yield TaggedSentence(*zip(*sentence, strict=True))


def _words(lines: list[str], path: Path) -> Iterator[_Word | None]:
    rows = [None if _is_border(line) else line.rstrip(" ") for line in lines]
    layout = _recognise([(number, row) for number, row in enumerate(rows, 1) if row is not None], path)
    for number, row in enumerate(rows, 1):
        if row is None:
            yield None
        elif not row.startswith("#") or not _is_comment(row, layout):
            yield _word(row, layout, path, number)


def _is_border(line: str) -> bool:
    return not line.strip() or line.startswith("-DOCSTART-")


def _is_comment(line: str, layout: _Layout) -> bool:
    """With indices every `#` starts one. Without, `#` may be a word, whose line then has as many cells as all."""
    return layout.token == 1 or (line.startswith("# ") and len(layout.split(line)) != layout.width)


def _word(line: str, layout: _Layout, path: Path, number: int) -> _Word:
    cells = layout.split(line)
    if len(cells) != layout.width:
        raise DataError(
            f"{path}, line {number}: expected {layout.width} columns as in the first line, found {line[:60]!r}."
        )
    token, tag = cells[layout.token].strip(" "), cells[layout.tag].strip(" ")
    if not token or not tag:
        missing = "tag" if token else "word"
        raise DataError(f"{path}, line {number}: the {missing} is missing, found {line[:60]!r}. Complete the line.")
    return token, tag


def _recognise(lines: list[_Line], path: Path) -> _Layout:
    text = [(number, line) for number, line in lines if not line.startswith("#")] or lines
    if not text:
        raise DataError(f"{path} holds no sentences.")
    if any("\t" in line for _, line in text):
        return _with_tabs(text, path)
    _refuse_without_tags(text, " ", path)
    return _with_blanks(text, path)


def _with_tabs(text: list[_Line], path: Path) -> _Layout:
    width = text[0][1].count("\t") + 1
    if _has_indices([line for _, line in text]):
        return _Layout(_split_at_tabs, width, token=1, tag=2)
    _refuse_without_tags(text, "\t", path)
    return _Layout(_split_at_tabs, width)


def _has_indices(text: list[str]) -> bool:
    """Whether the first column counts words from 0 or 1, and has a token and a tag behind it."""
    columns = [line.split("\t") for line in text[:2]]
    first = columns[0][0]
    return len(columns[0]) > 2 and first in ("0", "1") and columns[-1][0] in (first, str(int(first) + 1))


def _with_blanks(text: list[_Line], path: Path) -> _Layout:
    """Blanks part columns where every line has the same three or more; where most have two, a token holds the others."""
    widths = Counter(line.count(" ") + 1 for _, line in text)
    ((width, times),) = widths.most_common(1)
    if widths[2] == times:
        return _Layout(_split_at_last_blank, 2)
    if times == len(text):
        return _Layout(_split_at_blanks, width)
    number, line = next((number, line) for number, line in text if line.count(" ") + 1 != width)
    raise DataError(
        f"{path}, line {number}: most lines have {width} columns parted by blanks, found {line[:60]!r}. "
        "Part the columns by tabs."
    )


def _refuse_without_tags(text: list[_Line], separator: str, path: Path) -> None:
    bare = [(number, line) for number, line in text if separator not in line.strip("\t ")]
    if len(bare) == len(text):
        raise refuse_unlabelled(path)
    if bare:
        number, line = bare[0]
        kind = "tab" if separator == "\t" else "blank"
        raise DataError(
            f"{path}, line {number}: expected a word, a {kind} and its tag, found {line[:60]!r} "
            f"(and so {len(bare):,} of {len(text):,} lines). Complete the labels, or take the sentences out."
        )


def _split_at_tabs(line: str) -> list[str]:
    return line.split("\t")


def _split_at_blanks(line: str) -> list[str]:
    return line.split(" ")


def _split_at_last_blank(line: str) -> list[str]:
    return line.rsplit(" ", 1)


def _numbered_words(lines: list[str], path: Path) -> Iterator[_Word | None]:
    """MahaNER: a sentence ends where the number in its last column changes."""
    header = lines[0].split("\t")
    layout = _Layout(_split_at_tabs, 3, header.index("words"), header.index("labels"))
    place, before = header.index("sentence_id"), None
    for number, line in enumerate(lines[1:], 2):
        if not _is_border(line):
            word = _word(line, layout, path, number)
            sentence = line.split("\t")[place]
            if sentence != before:
                yield None
            before = sentence
            yield word


def _without_language(sentences: list[TaggedSentence], path: Path) -> tuple[list[TaggedSentence], tuple[str, ...]]:
    """Takes `en:` off all words, if all have it: a word may be `fr:` or begin so by itself."""
    found = _LANGUAGE.match(sentences[0].words[0])
    if found is None:
        return sentences, ()
    total = sum(len(sentence.words) for sentence in sentences)
    size = len(found[0])
    same = sum(word.startswith(found[0]) and len(word) > size for each in sentences for word in each.words)
    if same == total:
        return [TaggedSentence(tuple(word[size:] for word in each.words), each.tags) for each in sentences], ()
    if same > total / 2:
        return sentences, (f"{same:,} of {total:,} words of {path} begin with `{found[0]}`, not all: it was kept.",)
    return sentences, ()
