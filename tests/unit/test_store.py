"""Building, continuing, reading and checking token stores."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

import detente.store.encode
from detente.corpus.manifest import SPLITS
from detente.errors import DataError
from detente.settings import VocabularySettings
from detente.store import Store, StoreManifest, build_store
from detente.vocabulary import Vocabulary, train_vocabulary

WriteCorpus = Callable[..., Path]


@pytest.fixture(scope="module")
def train(scripts: tuple[str, ...]) -> list[str]:
    """Records that take several chunks when these are small."""
    return [f"{text} {number}" for number in range(60) for text in scripts]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, write_corpus: WriteCorpus, train: list[str]) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "sw", train)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Vocabulary:
    return train_vocabulary({"sw": corpus}, VocabularySettings(size=400), tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detente.store.encode, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(detente.store.encode, "JOURNAL_BYTES", 3000)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def assert_holds(folder: Path, vocabulary: Vocabulary, split: str, records: list[str]) -> None:
    """The stream is each record's ids and the end token, in order."""
    store = Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)
    expected = [number for ids in vocabulary.encode_batch(records) for number in (*ids, vocabulary.end_id)]
    assert store.tokens("sw", split).tolist() == expected


def test_streams_hold_the_records_in_order(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, train: list[str], scripts: tuple[str, ...]
) -> None:
    build_store("sw", corpus, vocabulary, tmp_path)
    assert_holds(tmp_path, vocabulary, "train", train)
    for split in SPLITS[1:]:
        assert_holds(tmp_path, vocabulary, split, list(scripts))


def test_text_comes_back(tmp_path: Path, corpus: Path, vocabulary: Vocabulary, scripts: tuple[str, ...]) -> None:
    build_store("sw", corpus, vocabulary, tmp_path)
    tokens = Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum).tokens("sw", "test")
    records = np.split(tokens, np.flatnonzero(tokens == vocabulary.end_id) + 1)[:-1]
    assert [vocabulary.tokenizer.decode(record[:-1].tolist()) for record in records] == list(scripts)


def test_manifest_counts(tmp_path: Path, corpus: Path, vocabulary: Vocabulary, scripts: tuple[str, ...]) -> None:
    manifest = build_store("sw", corpus, vocabulary, tmp_path)
    counts = manifest.splits["test"]
    assert manifest.dtype == "<u2"
    assert counts.records == len(scripts)
    assert counts.characters == sum(map(len, scripts))
    assert counts.tokens_per_character == pytest.approx(
        sum(map(len, vocabulary.encode_batch(list(scripts)))) / counts.characters
    )
    assert 0 < manifest.baseline.bigram < manifest.baseline.unigram
    assert contents(tmp_path / "sw").keys() == {"manifest.json", *(f"{split}.bin" for split in SPLITS)}


@pytest.mark.usefixtures("small_chunks")
def test_chunks_do_not_show(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_store("sw", corpus, vocabulary, tmp_path / "small")
    monkeypatch.undo()
    build_store("sw", corpus, vocabulary, tmp_path / "large")
    assert contents(tmp_path / "small" / "sw") == contents(tmp_path / "large" / "sw")


def test_line_separators_do_not_cut_records(tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus) -> None:
    records = ["one\u2028two", "three\x85four\x0bfive", "six\r"]
    build_store("sw", write_corpus(tmp_path / "c" / "sw", records), vocabulary, tmp_path)
    assert_holds(tmp_path, vocabulary, "train", records)


def test_large_vocabularies_take_four_bytes(tmp_path: Path, write_corpus: WriteCorpus) -> None:
    words = {f"w{number}": number for number in range(70_000)} | {"<pad>": 70_000, "</s>": 70_001, "<mask>": 70_002}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    vocabulary = Vocabulary.load(tmp_path / "tokenizer.json")
    records = ["w1 w69999", "w65536 w2"]
    corpus = write_corpus(tmp_path / "c" / "sw", records, test=["w1"])
    assert build_store("sw", corpus, vocabulary, tmp_path / "store").dtype == "<u4"
    assert_holds(tmp_path / "store", vocabulary, "train", records)


def test_an_empty_meta_split_is_an_empty_stream(
    tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus
) -> None:
    build_store("sw", write_corpus(tmp_path / "c" / "sw", ["a b"], meta=()), vocabulary, tmp_path)
    assert len(Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum).tokens("sw", "meta")) == 0


def test_no_test_text_is_refused(tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus) -> None:
    corpus = write_corpus(tmp_path / "c" / "sw", ["a b"], test=())
    with pytest.raises(DataError, match=r"`sw` has no test text that the vocabulary knows. Give more text, raise `splits.test`"):
        build_store("sw", corpus, vocabulary, tmp_path)


def test_text_that_the_vocabulary_does_not_know_is_refused(
    tmp_path: Path, write_corpus: WriteCorpus
) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[SEP]": 1, "[MASK]": 2, "[UNK]": 3}, unk_token="[UNK]"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match=r"no test text that the vocabulary knows.*another `vocabulary.path`"):
        build_store("sw", write_corpus(tmp_path / "c" / "sw", ["a"]), Vocabulary.load(tmp_path), tmp_path)


def test_streams_are_read_only(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
    build_store("sw", corpus, vocabulary, tmp_path)
    tokens = Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum).tokens("sw", "train")
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


class TestContinuing:
    @pytest.fixture
    def whole(self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> dict[str, bytes]:
        """What an undisturbed build leaves."""
        build_store("sw", corpus, vocabulary, tmp_path / "whole")
        return contents(tmp_path / "whole" / "sw")

    def stop_after(self, calls: int, error: BaseException) -> Callable[[int], None]:
        left = [calls]

        def advance(_: int) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise error

        return advance

    @pytest.mark.usefixtures("small_chunks")
    @pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.5, 0.8, 0.999])
    def test_stopped_anywhere_gives_the_same_bytes(
        self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary, whole: dict[str, bytes], share: float
    ) -> None:
        reports: list[int] = []
        build_store("sw", corpus, vocabulary, tmp_path / "counted", progress=reports.append)
        calls = int(share * len(reports))
        assert len(reports) > 20
        with pytest.raises(KeyboardInterrupt):
            build_store("sw", corpus, vocabulary, tmp_path, progress=self.stop_after(calls, KeyboardInterrupt()))
        assert not (tmp_path / "sw" / "manifest.json").exists()
        build_store("sw", corpus, vocabulary, tmp_path)
        assert contents(tmp_path / "sw") == whole

    @pytest.mark.usefixtures("small_chunks")
    def test_done_work_is_not_done_again(self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
        with pytest.raises(KeyboardInterrupt):
            build_store("sw", corpus, vocabulary, tmp_path, progress=self.stop_after(20, KeyboardInterrupt()))
        reports: list[int] = []
        build_store("sw", corpus, vocabulary, tmp_path, progress=reports.append)
        assert reports[0] >= 15_000
        assert sum(reports) == sum((corpus / f"{split}.txt").stat().st_size for split in SPLITS)

    def test_killed_gives_the_same_bytes(
        self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary, whole: dict[str, bytes]
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
        assert json.loads((tmp_path / "sw" / ".train.journal.json").read_bytes())["tokens"] > 0
        build_store("sw", corpus, Vocabulary.load(tmp_path / "v"), tmp_path)
        assert contents(tmp_path / "sw") == whole

    @pytest.mark.usefixtures("small_chunks")
    @pytest.mark.parametrize("damage", ["shorter file", "no file", "torn journal"])
    def test_lost_work_is_done_again(
        self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary, whole: dict[str, bytes], damage: str
    ) -> None:
        with pytest.raises(KeyboardInterrupt):
            build_store("sw", corpus, vocabulary, tmp_path, progress=self.stop_after(20, KeyboardInterrupt()))
        if damage == "shorter file":
            os.truncate(tmp_path / "sw" / "train.bin", 10)
        elif damage == "no file":
            (tmp_path / "sw" / "train.bin").unlink()
        else:
            os.truncate(tmp_path / "sw" / ".train.journal.json", 10)
        build_store("sw", corpus, vocabulary, tmp_path)
        assert contents(tmp_path / "sw") == whole

    @pytest.mark.usefixtures("small_chunks")
    def test_work_on_other_text_is_void(
        self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus, whole: dict[str, bytes]
    ) -> None:
        other = write_corpus(tmp_path / "c" / "sw", ["other text"] * 2000, source="other")
        with pytest.raises(KeyboardInterrupt):
            build_store("sw", other, vocabulary, tmp_path, progress=self.stop_after(15, KeyboardInterrupt()))
        build_store("sw", corpus, vocabulary, tmp_path)
        assert contents(tmp_path / "sw") == whole

    @pytest.mark.usefixtures("small_chunks")
    def test_text_mended_after_a_refusal_is_encoded_anew(
        self, tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus
    ) -> None:
        records = ["one", "two"] * 1000
        corpus = write_corpus(tmp_path / "c" / "sw", records)
        (corpus / "train.txt").write_text("changed by hand\n" * 1000)
        with pytest.raises(DataError, match="its manifest says"):
            build_store("sw", corpus, vocabulary, tmp_path)
        build_store("sw", write_corpus(corpus, records), vocabulary, tmp_path)
        assert_holds(tmp_path, vocabulary, "train", records)

    def test_a_full_disk_says_what_is_needed_and_goes_on_later(
        self,
        tmp_path: Path,
        corpus: Path,
        vocabulary: Vocabulary,
        whole: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=r"disk of .* is full: the tokens of .*train.txt need up to \d+\.\d MB more"):
            build_store("sw", corpus, vocabulary, tmp_path)
        monkeypatch.undo()
        build_store("sw", corpus, vocabulary, tmp_path)
        assert contents(tmp_path / "sw") == whole

    def test_other_errors_of_the_disk_stay_what_they_are(
        self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            build_store("sw", corpus, vocabulary, tmp_path)


class TestUpToDate:
    def reports(self, *arguments: object) -> list[int]:
        """What a build counts: nothing where there is nothing to do."""
        found: list[int] = []
        build_store(*arguments, progress=found.append)  # type: ignore[arg-type]
        return found

    def test_a_second_build_is_free(self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
        first = build_store("sw", corpus, vocabulary, tmp_path)
        assert self.reports("sw", corpus, vocabulary, tmp_path) == []
        assert build_store("sw", corpus, vocabulary, tmp_path) == first

    def test_other_text_is_encoded(self, tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus) -> None:
        build_store("sw", write_corpus(tmp_path / "c" / "sw", ["one"], source="1"), vocabulary, tmp_path)
        build_store("sw", write_corpus(tmp_path / "c" / "sw", ["two"], source="2"), vocabulary, tmp_path)
        assert_holds(tmp_path, vocabulary, "train", ["two"])

    def test_another_vocabulary_encodes_anew(self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
        build_store("sw", corpus, vocabulary, tmp_path)
        other = train_vocabulary({"sw": corpus}, VocabularySettings(size=350), tmp_path / "v")
        assert build_store("sw", corpus, other, tmp_path).vocabulary == other.checksum

    def test_open_streams_outlive_a_new_build(
        self, tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus
    ) -> None:
        """A run that reads the old text must not crash, nor see the new one."""
        corpus = write_corpus(tmp_path / "c" / "sw", ["one two three"] * 5000, source="1")
        build_store("sw", corpus, vocabulary, tmp_path)
        tokens = Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum).tokens("sw", "train")
        before = tokens[-3:].tolist()
        build_store("sw", write_corpus(tmp_path / "c" / "sw", ["x"], source="2"), vocabulary, tmp_path)
        assert tokens[-3:].tolist() == before

    def test_a_cut_file_is_noticed(self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
        whole = build_store("sw", corpus, vocabulary, tmp_path)
        os.truncate(tmp_path / "sw" / "meta.bin", 4)
        with pytest.raises(DataError, match=r"meta.bin is damaged: it has 4 bytes, the manifest says \d+"):
            Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum)
        assert build_store("sw", corpus, vocabulary, tmp_path) == whole
        Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum).verify()

    def test_text_changed_by_hand_is_refused(
        self, tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus
    ) -> None:
        corpus = write_corpus(tmp_path / "c" / "sw", ["one", "two"])
        (corpus / "train.txt").write_text("one\n")
        with pytest.raises(DataError, match="has 1 records and 3 characters, its manifest says 2 and 6"):
            build_store("sw", corpus, vocabulary, tmp_path)

    def test_damaged_text_is_refused(self, tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus) -> None:
        corpus = write_corpus(tmp_path / "c" / "sw", ["one", "two"])
        (corpus / "train.txt").write_bytes(b"one\nt\xffo\n")
        with pytest.raises(DataError, match=r"train.txt is damaged: no UTF-8 at byte 5. Delete its folder"):
            build_store("sw", corpus, vocabulary, tmp_path)


class TestOpening:
    @pytest.fixture
    def folder(self, tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> Path:
        build_store("sw", corpus, vocabulary, tmp_path)
        return tmp_path

    def test_a_flipped_byte_is_noticed(self, folder: Path, vocabulary: Vocabulary) -> None:
        store = Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)
        store.verify()
        with (folder / "sw" / "train.bin").open("r+b") as file:
            file.seek(100)
            (byte,) = file.read(1)
            file.seek(100)
            file.write(bytes([byte ^ 1]))
        with pytest.raises(DataError, match=r"train.bin is damaged: its checksum is .*, the manifest says .*Delete"):
            store.verify()

    def test_a_removed_file_is_noticed(self, folder: Path, vocabulary: Vocabulary) -> None:
        store = Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)
        (folder / "sw" / "test.bin").unlink()
        with pytest.raises(DataError, match=r"test.bin cannot be read \(No such file"):
            store.verify()

    def test_another_vocabulary_is_refused(self, folder: Path, vocabulary: Vocabulary) -> None:
        expected = rf"was written with vocabulary {vocabulary.checksum[:8]}\.\.\. but the run uses 00000000\.\.\.\. Run"
        with pytest.raises(DataError, match=expected):
            Store.open(folder, ["sw"], vocabulary="0" * 64)

    def test_a_missing_language_is_told(self, folder: Path, vocabulary: Vocabulary) -> None:
        with pytest.raises(DataError, match=r"no finished token store of `te` .* Run `detente prepare`"):
            Store.open(folder, ["sw", "te"], vocabulary=vocabulary.checksum)
        with pytest.raises(DataError, match=r"`swa` is not among the opened languages. Did you mean `sw`\?"):
            Store.open(folder, ["sw"], vocabulary=vocabulary.checksum).tokens("swa", "train")

    @pytest.mark.parametrize(("content", "message"), [("{", "is damaged"), ('{"version": 1}', "is damaged")])
    def test_a_damaged_manifest_is_told(
        self, folder: Path, vocabulary: Vocabulary, content: str, message: str
    ) -> None:
        (folder / "sw" / "manifest.json").write_text(content)
        with pytest.raises(DataError, match=message):
            Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)

    def test_another_version_is_told(self, folder: Path, vocabulary: Vocabulary) -> None:
        path = folder / "sw" / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
        with pytest.raises(DataError, match="has version 99, this detente reads 1"):
            Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)


def test_the_checksum_covers_every_split(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
    manifest = build_store("sw", corpus, vocabulary, tmp_path)

    def changed(split: str) -> StoreManifest:
        splits = {**manifest.splits, split: manifest.splits[split].model_copy(update={"sha256": "0"})}
        return manifest.model_copy(update={"splits": splits})

    assert len({manifest.checksum, *(changed(split).checksum for split in SPLITS)}) == 1 + len(SPLITS)
