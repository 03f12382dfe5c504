"""Which split each record belongs to, decided by its hash alone, and which records are repetitions.

A record's 16-byte hash gives two numbers: the first says the split, the second is the record's key, by which equal records
are found and subsamples are drawn. So a record never moves when others are added, removed or reordered; equal records fall
into the same split; and a smaller subsample is part of a larger one.

Hashes wait on disk, and equal ones are looked for one bucket at a time: memory does not grow with the corpus.
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detente.corpus.manifest import SPLITS
from detente.settings.text import SplitSettings

HASH_BYTES = 16
DROPPED = 255

_TRAIN = SPLITS.index("train")
_CHUNK_RECORDS = 1 << 20
_BUCKET_RECORDS = 1 << 21
# Open files at once; some systems allow 256.
_MAX_BUCKET_BITS = 7

Integers = npt.NDArray[np.uint64]
Fates = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Fate:
    """What becomes of every record.

    Attributes:
        of_record: index into `SPLITS`, or `DROPPED`; on disk, one byte a record.
        duplicates: records dropped because an earlier one is equal.
        not_sampled: training records dropped by the subsample.
    """

    of_record: Fates
    duplicates: int
    not_sampled: int


def hash_record(line: bytes) -> bytes:
    """The hash of one clean record."""
    return hashlib.blake2b(line, digest_size=HASH_BYTES).digest()


def decide_fates(hashes: Path, folder: Path, splits: SplitSettings, *, subsample: int | None = None) -> Fate:
    """The fate of each record.

    Args:
        hashes: file of all records' hashes, in their order.
        folder: for scratch files, some 17 bytes a record.
        subsample: so many training records are kept, those with the smallest keys.
    """
    count = hashes.stat().st_size // HASH_BYTES
    fates: Fates = np.memmap(folder / "fates", np.uint8, "w+", shape=(count,))
    for start, numbers in _chunks(hashes):
        fates[start : start + len(numbers)] = _split_of(numbers[:, 0], splits)
    duplicates, not_sampled = 0, 0
    room = count if subsample is None else subsample
    for keys, positions in _buckets(hashes, count, folder):
        first = np.unique(keys, return_index=True)[1]
        duplicates += _drop(fates, np.delete(positions, first))
        # By increasing key, and buckets come by increasing key too.
        train = positions[first][fates[positions[first]] == _TRAIN]
        not_sampled += _drop(fates, train[room:])
        room -= min(room, len(train))
    return Fate(fates, duplicates, not_sampled)


def _split_of(numbers: Integers, splits: SplitSettings) -> npt.NDArray[np.intp]:
    """Test lies lowest and train highest, so that another share for `meta` moves no record into or out of test."""
    order = ("test", "validation", "meta", "train")
    shares = np.cumsum([splits.test, splits.validation, splits.meta])
    bounds = np.array([min(int(share * 2**64), 2**64 - 1) for share in shares], dtype=np.uint64)
    return np.array([SPLITS.index(name) for name in order])[np.searchsorted(bounds, numbers, side="right")]


def _drop(fates: Fates, positions: Integers) -> int:
    fates[positions] = DROPPED
    return len(positions)


def _chunks(hashes: Path) -> Iterator[tuple[int, Integers]]:
    """Position of the first, and the two numbers of each, of so many records at a time."""
    start = 0
    with hashes.open("rb") as file:
        while len(numbers := np.fromfile(file, "<u8", 2 * _CHUNK_RECORDS).reshape(-1, 2)):
            yield start, numbers
            start += len(numbers)


def _buckets(hashes: Path, count: int, folder: Path) -> Iterator[tuple[Integers, Integers]]:
    """Keys and their positions, parted by the keys' highest bits, in their order; positions increase within a bucket."""
    bits = min(_MAX_BUCKET_BITS, max(0, (count - 1) // _BUCKET_RECORDS).bit_length())
    paths = [folder / f"bucket-{index}" for index in range(1 << bits)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for start, numbers in _chunks(hashes):
            for file, rows in zip(files, _parted(numbers[:, 1], start, bits), strict=True):
                file.write(rows.tobytes())
    for path in paths:
        rows = np.fromfile(path, np.uint64).reshape(-1, 2)
        path.unlink()
        yield rows[:, 0], rows[:, 1]


def _parted(keys: Integers, start: int, bits: int) -> list[Integers]:
    """Rows of key and position, one array for each value of the keys' highest bits."""
    rows = np.stack([keys, np.arange(start, start + len(keys), dtype=np.uint64)], axis=1)
    # A shift by all 64 bits is not defined.
    bucket = (keys >> np.uint64(64 - bits)).astype(np.intp) if bits else np.zeros(len(keys), np.intp)
    ends = np.cumsum(np.bincount(bucket, minlength=1 << bits))
    return np.split(rows[np.argsort(bucket, kind="stable")], ends[:-1])
