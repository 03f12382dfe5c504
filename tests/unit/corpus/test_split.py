"""Splits by hash: stable, disjoint, of the right size; duplicates and subsamples by key; the same whatever the buckets."""

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detente.corpus import split
from detente.corpus.manifest import SPLITS
from detente.corpus.split import DROPPED, decide_fates, hash_record
from detente.settings.text import SplitSettings

SHARES = SplitSettings(meta=0.1, validation=0.2, test=0.3)
records = st.lists(st.text(min_size=1, max_size=3), max_size=60)


@pytest.fixture(scope="module", name="scratch")
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def fates_of(texts: list[str], folder: Path, splits: SplitSettings = SHARES, subsample: int | None = None) -> list[int]:
    (folder / "hashes").write_bytes(b"".join(hash_record(text.encode()) for text in texts))
    return decide_fates(folder / "hashes", folder, splits, subsample=subsample).of_record.tolist()


def first_fates(texts: list[str], folder: Path, **options: SplitSettings) -> dict[str, int]:
    """Split of each distinct record."""
    return {t: fate for t, fate in zip(texts, fates_of(texts, folder, **options), strict=True) if fate != DROPPED}


def test_pinned(scratch: Path) -> None:
    """Changing this moves everybody's test records into training."""
    assert fates_of([f"record {n}" for n in range(16)], scratch) == [3, 3, 0, 2, 3, 0, 0, 0, 3, 0, 3, 1, 3, 3, 3, 3]


def test_fates_are_those_of_the_definition(scratch: Path) -> None:
    texts = [str(n) for n in range(500)]
    assert fates_of(texts, scratch) == [split_by_definition(text) for text in texts]


def split_by_definition(text: str) -> int:
    fraction = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest()[:8], "little") / 2**64
    name = "test" if fraction < 0.3 else "validation" if fraction < 0.5 else "meta" if fraction < 0.6 else "train"
    return SPLITS.index(name)


@given(records.filter(bool), records, st.randoms())
def test_no_record_moves_when_others_come_or_are_reordered(
    scratch: Path, texts: list[str], more: list[str], chance: random.Random
) -> None:
    longer = texts + more
    chance.shuffle(longer)
    before, after = first_fates(texts, scratch), first_fates(longer, scratch)
    assert before.items() <= after.items()


@given(records.filter(bool))
def test_exactly_the_repetitions_are_dropped(scratch: Path, texts: list[str]) -> None:
    seen: set[str] = set()
    for text, fate in zip(texts, fates_of(texts, scratch), strict=True):
        assert (fate == DROPPED) == (text in seen)
        seen.add(text)


def test_sizes_follow_the_shares(scratch: Path) -> None:
    """100,000 records: one standard deviation is at most 0.0016."""
    fates = fates_of([str(n) for n in range(100_000)], scratch)
    shares = np.bincount(fates, minlength=4) / len(fates)
    np.testing.assert_allclose(shares, [0.4, 0.1, 0.2, 0.3], atol=0.006)


def test_another_share_for_meta_moves_nothing_into_or_out_of_test(scratch: Path) -> None:
    texts = [str(n) for n in range(2000)]
    some = fates_of(texts, scratch, SplitSettings(meta=0.1, validation=0.1, test=0.1))
    none = fates_of(texts, scratch, SplitSettings(meta=0.0, validation=0.1, test=0.1))
    changes = {(SPLITS[a], SPLITS[b]) for a, b in zip(some, none, strict=True) if a != b}
    assert changes == {("meta", "train")}


def test_shares_may_take_everything(scratch: Path) -> None:
    assert 0 not in fates_of([str(n) for n in range(500)], scratch, SplitSettings(meta=0.4, validation=0.4, test=0.4))


@pytest.mark.parametrize("size", [1, 10, 200])
def test_subsample_keeps_so_many_training_records_and_all_others(scratch: Path, size: int) -> None:
    texts = [str(n % 900) for n in range(1000)]
    whole, sampled = fates_of(texts, scratch), fates_of(texts, scratch, subsample=size)
    assert sampled.count(0) == size
    assert all(a == b or (a == 0 and b == DROPPED) for a, b in zip(whole, sampled, strict=True))


def test_a_smaller_subsample_is_part_of_a_larger(scratch: Path) -> None:
    texts = [str(n) for n in range(1000)]
    small, large = fates_of(texts, scratch, subsample=50), fates_of(texts, scratch, subsample=100)
    assert all(b == 0 for a, b in zip(small, large, strict=True) if a == 0)


def test_a_subsample_larger_than_the_text_keeps_all(scratch: Path) -> None:
    texts = [str(n) for n in range(100)]
    assert fates_of(texts, scratch, subsample=1000) == fates_of(texts, scratch)


@settings(max_examples=20)
@given(texts=records.filter(bool), subsample=st.none() | st.integers(1, 20))
@pytest.mark.parametrize(("bucket", "chunk"), [(1, 1), (3, 7), (10, 1000)])
def test_buckets_do_not_show(scratch: Path, bucket: int, chunk: int, texts: list[str], subsample: int | None) -> None:
    expected = fates_of(texts, scratch, subsample=subsample)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "_BUCKET_RECORDS", bucket)
        patch.setattr(split, "_CHUNK_RECORDS", chunk)
        assert fates_of(texts, scratch, subsample=subsample) == expected


def test_of_equal_records_the_first_stays_in_every_bucket(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough records that sorting them by bucket shows whether it keeps their order."""
    monkeypatch.setattr(split, "_BUCKET_RECORDS", 1000)
    fates = fates_of([str(n % 3000) for n in range(12_000)], scratch)
    assert DROPPED not in fates[:3000]
    assert set(fates[3000:]) == {DROPPED}
