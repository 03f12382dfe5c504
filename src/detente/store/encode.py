"""One file of clean text becomes one file of token ids. A killed run goes on where its journal says, to the same bytes."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydantic import ValidationError

from detente.disk import told_when_full
from detente.errors import DataError
from detente.results import Part, write_json
from detente.store.manifest import SplitTokens
from detente.store.read import Tokens, map_tokens
from detente.vocabulary import Vocabulary

# Text handed to the tokenizer's threads at once. They fill the cores by themselves; larger calls are hardly faster.
CHUNK_BYTES = 1 << 20
# Text whose work a kill may cost.
JOURNAL_BYTES = 1 << 26
GOES_ON = "Make room and run the same command again: it goes on where it stopped."

Progress = Callable[[int], None]


class Journal(Part):
    """How far the encoding has come: the file of ids holds at least so many."""

    key: str
    text_bytes: int = 0
    tokens: int = 0
    records: int = 0
    characters: int = 0


def token_dtype(vocabulary: Vocabulary) -> str:
    """Two bytes an id where they suffice."""
    return "<u2" if vocabulary.size <= 1 << 16 else "<u4"


def journal_path(path: Path) -> Path:
    """The journal of a file of ids."""
    return path.with_name(f".{path.stem}.journal.json")


def encode_file(text: Path, path: Path, vocabulary: Vocabulary, *, key: str, progress: Progress) -> SplitTokens:
    """Write the ids of `text` to `path`.

    Args:
        key: identifies vocabulary and text; a journal with another one is void.
        progress: called with the bytes of text done since the call before.

    Raises:
        DataError: the text is no UTF-8, or the disk is full.
    """
    dtype = token_dtype(vocabulary)
    status = text.stat()
    journal = _resume(path, f"{key} {status.st_size} {status.st_mtime_ns}", np.dtype(dtype).itemsize)
    progress(journal.text_bytes)
    # Byte-level pieces have three bytes or more on average, ids two or four: the text's size is on the safe side.
    told = told_when_full(f"the tokens of {text}", path.parent, needed=status.st_size, then=GOES_ON)
    with told, path.open("ab") as out, text.open("rb") as source:
        digest = hashlib.sha256(map_tokens(path, dtype).data)
        source.seek(journal.text_bytes)
        saved = journal.text_bytes
        for size, records, ids in _encoded(source, vocabulary, dtype):
            out.write(ids.data)
            digest.update(ids.data)
            journal = _advanced(journal, size, ids, records)
            if journal.text_bytes - saved >= JOURNAL_BYTES:
                _save(journal, out, path)
                saved = journal.text_bytes
            progress(size)
        _save(journal, out, path)
    return SplitTokens(**journal.model_dump(exclude={"key", "text_bytes"}), sha256=digest.hexdigest())


def _resume(path: Path, key: str, width: int) -> Journal:
    """The journal of a killed run, the ids after it cut off; else a new one."""
    try:
        journal = Journal.model_validate_json(journal_path(path).read_bytes())
    except (FileNotFoundError, ValidationError):
        journal = Journal(key="")
    length = path.stat().st_size if path.exists() else 0
    if journal.key == key and length >= journal.tokens * width:
        os.truncate(path, journal.tokens * width)
        return journal
    journal_path(path).unlink(missing_ok=True)
    # Removed, not emptied: a run may have the old file mapped.
    path.unlink(missing_ok=True)
    path.touch()
    return Journal(key=key)


def _encoded(source: BinaryIO, vocabulary: Vocabulary, dtype: str) -> Iterator[tuple[int, list[str], Tokens]]:
    """Chunks with their ids, in order. Two are in hand: while the ids of one are copied, which takes one core, all are at the other."""
    begun: deque[tuple[int, list[str], Future[Tokens]]] = deque()
    with ThreadPoolExecutor(2) as threads:
        for size, records in _chunks(source):
            begun.append((size, records, threads.submit(_encode, records, vocabulary, dtype)))
            if len(begun) == 2:
                yield _ended(*begun.popleft())
        if begun:
            yield _ended(*begun.popleft())


def _ended(size: int, records: list[str], ids: "Future[Tokens]") -> tuple[int, list[str], Tokens]:
    return size, records, ids.result()


def _chunks(source: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """(bytes, records) of about `CHUNK_BYTES` at a time."""
    while lines := source.readlines(CHUNK_BYTES):
        content = b"".join(lines)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{source.name} is damaged: no UTF-8 at byte {source.tell() - len(content) + error.start}. Delete its "
                "folder and run `detente prepare` again."
            ) from None
        # Not splitlines, which also cuts at U+2028 and others.
        yield len(content), text.removesuffix("\n").split("\n")


def _encode(records: list[str], vocabulary: Vocabulary, dtype: str) -> Tokens:
    """The ids of the records, each followed by the end token."""
    end = vocabulary.end_id
    ids: list[int] = []
    # Without offsets: as fast, and the encodings are freed many times faster.
    for encoding in vocabulary.tokenizer.encode_batch_fast(records, add_special_tokens=False):
        ids.extend(encoding.ids)
        ids.append(end)
    return np.array(ids, dtype=dtype)


def _advanced(journal: Journal, size: int, ids: Tokens, records: list[str]) -> Journal:
    return Journal(
        key=journal.key,
        text_bytes=journal.text_bytes + size,
        tokens=journal.tokens + len(ids),
        records=journal.records + len(records),
        characters=journal.characters + sum(map(len, records)),
    )


def _save(journal: Journal, out: BinaryIO, path: Path) -> None:
    """The ids reach the disk before the journal that counts on them."""
    out.flush()
    os.fsync(out.fileno())
    write_json(journal_path(path), journal.model_dump())
