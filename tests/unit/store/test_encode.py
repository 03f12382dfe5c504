"""Builds that are killed, damaged or out of space, and go on to the same bytes."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import detente.store.encode
from detente.corpus.manifest import SPLITS
from detente.errors import DataError
from detente.settings import VocabularySettings
from detente.store import Store, build_store
from detente.vocabulary import Vocabulary, train_vocabulary

WriteCorpus = Callable[..., Path]
Contents = Callable[[Path], dict[str, bytes]]
AssertHolds = Callable[[Path, Vocabulary, str, list[str]], None]


@pytest.fixture
def assert_whole(tmp_path: Path, corpus: Path, vocabulary: Vocabulary, contents: Contents) -> Callable[[], None]:
    """Checks for the bytes, and no other file, that an undisturbed build leaves."""
    build_store("sw", corpus, vocabulary, tmp_path / "whole")

    def check() -> None:
        assert contents(tmp_path / "sw") == contents(tmp_path / "whole" / "sw")

    return check


def stop_after(calls: int, error: BaseException) -> Callable[[int], None]:
    left = [calls]

    def advance(_: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise error

    return advance


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.5, 0.8, 0.999])
def test_stopped_anywhere_gives_the_same_bytes(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, assert_whole: Callable[[], None], share: float
) -> None:
    reports: list[int] = []
    build_store("sw", corpus, vocabulary, tmp_path / "counted", progress=reports.append)
    calls = int(share * len(reports))
    assert len(reports) > 20
    with pytest.raises(KeyboardInterrupt):
        build_store("sw", corpus, vocabulary, tmp_path, progress=stop_after(calls, KeyboardInterrupt()))
    assert not (tmp_path / "sw" / "manifest.json").exists()
    build_store("sw", corpus, vocabulary, tmp_path)
    assert_whole()


@pytest.mark.usefixtures("small_chunks")
def test_done_work_is_not_done_again(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_store("sw", corpus, vocabulary, tmp_path, progress=stop_after(20, KeyboardInterrupt()))
    reports: list[int] = []
    build_store("sw", corpus, vocabulary, tmp_path, progress=reports.append)
    assert reports[0] >= 15_000
    assert sum(reports) == sum((corpus / f"{split}.txt").stat().st_size for split in SPLITS)


def test_killed_gives_the_same_bytes(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, assert_whole: Callable[[], None]
) -> None:
    """SIGKILL: nothing is flushed and nothing is tidied up."""
    vocabulary.save(tmp_path / "v")
    script = (
        "import os, sys, signal; from pathlib import Path; import detente.store.encode as encode\n"
        "from detente.store import build_store; from detente.vocabulary import Vocabulary\n"
        "encode.CHUNK_BYTES, encode.JOURNAL_BYTES, calls = 1000, 3000, []\n"
        "def progress(more):\n"
        "    calls.append(more)\n"
        "    if len(calls) == 20: os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder, corpus = map(Path, sys.argv[1:])\n"
        "build_store('sw', corpus, Vocabulary.load(folder / 'v'), folder, progress=progress)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path), str(corpus)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    tokens = json.loads((tmp_path / "sw" / ".train.journal.json").read_bytes())["tokens"]
    assert 0 < 2 * tokens <= (tmp_path / "sw" / "train.bin").stat().st_size
    build_store("sw", corpus, Vocabulary.load(tmp_path / "v"), tmp_path)
    assert_whole()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("damage", ["shorter file", "no file", "torn journal"])
def test_lost_work_is_done_again(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, assert_whole: Callable[[], None], damage: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_store("sw", corpus, vocabulary, tmp_path, progress=stop_after(20, KeyboardInterrupt()))
    if damage == "shorter file":
        os.truncate(tmp_path / "sw" / "train.bin", 10)
    elif damage == "no file":
        (tmp_path / "sw" / "train.bin").unlink()
    else:
        os.truncate(tmp_path / "sw" / ".train.journal.json", 10)
    build_store("sw", corpus, vocabulary, tmp_path)
    assert_whole()


@pytest.mark.usefixtures("small_chunks")
def test_work_on_other_text_is_void(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus, assert_whole: Callable[[], None]
) -> None:
    other = write_corpus(tmp_path / "c" / "sw", ["other text"] * 2000, source="other")
    with pytest.raises(KeyboardInterrupt):
        build_store("sw", other, vocabulary, tmp_path, progress=stop_after(15, KeyboardInterrupt()))
    build_store("sw", corpus, vocabulary, tmp_path)
    assert_whole()


@pytest.mark.usefixtures("small_chunks")
def test_a_journal_does_not_outlive_its_ids(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, assert_whole: Callable[[], None]
) -> None:
    """Killed, begun with another vocabulary, killed before its first journal, back to the first."""
    other = train_vocabulary({"sw": corpus}, VocabularySettings(size=350), tmp_path / "v")
    with pytest.raises(KeyboardInterrupt):
        build_store("sw", corpus, vocabulary, tmp_path, progress=stop_after(8, KeyboardInterrupt()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detente.store.encode, "JOURNAL_BYTES", 1 << 30)
        with pytest.raises(KeyboardInterrupt):
            build_store("sw", corpus, other, tmp_path, progress=stop_after(20, KeyboardInterrupt()))
    build_store("sw", corpus, vocabulary, tmp_path)
    assert_whole()


@pytest.mark.usefixtures("small_chunks")
def test_a_rebuild_that_is_stopped_leaves_no_manifest(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
    build_store("sw", corpus, vocabulary, tmp_path)
    other = train_vocabulary({"sw": corpus}, VocabularySettings(size=350), tmp_path / "v")
    with pytest.raises(KeyboardInterrupt):
        build_store("sw", corpus, other, tmp_path, progress=stop_after(5, KeyboardInterrupt()))
    with pytest.raises(DataError, match="no finished token store of `sw`"):
        Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum)


@pytest.mark.usefixtures("small_chunks")
def test_text_mended_after_a_refusal_is_encoded_anew(
    tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus, assert_holds: AssertHolds
) -> None:
    records = ["one", "two"] * 1000
    corpus = write_corpus(tmp_path / "c" / "sw", records)
    (corpus / "train.txt").write_text("changed by hand\n" * 1000)
    with pytest.raises(DataError, match="its manifest says"):
        build_store("sw", corpus, vocabulary, tmp_path)
    build_store("sw", write_corpus(corpus, records), vocabulary, tmp_path)
    assert_holds(tmp_path, vocabulary, "train", records)


def test_a_full_disk_says_what_is_needed_and_goes_on_later(
    tmp_path: Path,
    corpus: Path,
    vocabulary: Vocabulary,
    assert_whole: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        DataError, match=r"the disk is full: the tokens of .*train.txt needs \d+\.\d kB and could not .* goes on where"
    ):
        build_store("sw", corpus, vocabulary, tmp_path)
    monkeypatch.undo()
    build_store("sw", corpus, vocabulary, tmp_path)
    assert_whole()


def test_other_errors_of_the_disk_stay_what_they_are(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        build_store("sw", corpus, vocabulary, tmp_path)
