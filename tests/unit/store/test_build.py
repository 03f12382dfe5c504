"""What a build writes, and when it has nothing to do."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from detente.corpus.manifest import SPLITS
from detente.errors import DataError
from detente.settings import VocabularySettings
from detente.store import Store, build_store
from detente.vocabulary import Vocabulary, train_vocabulary

WriteCorpus = Callable[..., Path]
Contents = Callable[[Path], dict[str, bytes]]
AssertHolds = Callable[[Path, Vocabulary, str, list[str]], None]


def test_streams_hold_the_records_in_order(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, assert_holds: AssertHolds
) -> None:
    build_store("sw", corpus, vocabulary, tmp_path)
    for split in SPLITS:
        assert_holds(tmp_path, vocabulary, split, (corpus / f"{split}.txt").read_text("utf-8").split("\n")[:-1])


def test_text_comes_back(tmp_path: Path, corpus: Path, vocabulary: Vocabulary, scripts: tuple[str, ...]) -> None:
    build_store("sw", corpus, vocabulary, tmp_path)
    tokens = Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum).tokens("sw", "test")
    records = np.split(tokens, np.flatnonzero(tokens == vocabulary.end_id) + 1)[:-1]
    assert [vocabulary.tokenizer.decode(record[:-1].tolist()) for record in records] == list(scripts)


def test_manifest_counts(
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, scripts: tuple[str, ...], contents: Contents
) -> None:
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
    tmp_path: Path, corpus: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch, contents: Contents
) -> None:
    build_store("sw", corpus, vocabulary, tmp_path / "small")
    monkeypatch.undo()
    build_store("sw", corpus, vocabulary, tmp_path / "large")
    assert contents(tmp_path / "small" / "sw") == contents(tmp_path / "large" / "sw")


def test_line_separators_do_not_cut_records(
    tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus, assert_holds: AssertHolds
) -> None:
    records = ["one\u2028two", "three\x85four\x0bfive", "six\r"]
    build_store("sw", write_corpus(tmp_path / "c" / "sw", records), vocabulary, tmp_path)
    assert_holds(tmp_path, vocabulary, "train", records)


def test_large_vocabularies_take_four_bytes(
    tmp_path: Path, write_corpus: WriteCorpus, assert_holds: AssertHolds
) -> None:
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
    with pytest.raises(
        DataError, match=r"`sw` has no test text that the vocabulary knows. Give more text, raise `splits.test`"
    ):
        build_store("sw", corpus, vocabulary, tmp_path)


def test_text_that_the_vocabulary_does_not_know_is_refused(tmp_path: Path, write_corpus: WriteCorpus) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[SEP]": 1, "[MASK]": 2, "[UNK]": 3}, unk_token="[UNK]"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match=r"no test text that the vocabulary knows.*another `vocabulary.path`"):
        build_store("sw", write_corpus(tmp_path / "c" / "sw", ["a"]), Vocabulary.load(tmp_path), tmp_path)


def test_streams_are_read_only(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
    build_store("sw", corpus, vocabulary, tmp_path)
    tokens = Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum).tokens("sw", "train")
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


def reports(*arguments: object) -> list[int]:
    """What a build counts: nothing where there is nothing to do."""
    found: list[int] = []
    build_store(*arguments, progress=found.append)  # type: ignore[arg-type]
    return found


def test_a_second_build_is_free(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
    first = build_store("sw", corpus, vocabulary, tmp_path)
    assert reports("sw", corpus, vocabulary, tmp_path) == []
    assert build_store("sw", corpus, vocabulary, tmp_path) == first


def test_other_text_is_encoded(
    tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus, assert_holds: AssertHolds
) -> None:
    build_store("sw", write_corpus(tmp_path / "c" / "sw", ["one"], source="1"), vocabulary, tmp_path)
    build_store("sw", write_corpus(tmp_path / "c" / "sw", ["two"], source="2"), vocabulary, tmp_path)
    assert_holds(tmp_path, vocabulary, "train", ["two"])


def test_another_vocabulary_encodes_anew(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
    build_store("sw", corpus, vocabulary, tmp_path)
    other = train_vocabulary({"sw": corpus}, VocabularySettings(size=350), tmp_path / "v")
    assert build_store("sw", corpus, other, tmp_path).vocabulary == other.checksum


def test_open_streams_outlive_a_new_build(tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus) -> None:
    """A run that reads the old text must not crash, nor see the new one."""
    corpus = write_corpus(tmp_path / "c" / "sw", ["one two three"] * 5000, source="1")
    build_store("sw", corpus, vocabulary, tmp_path)
    tokens = Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum).tokens("sw", "train")
    before = tokens[-3:].tolist()
    build_store("sw", write_corpus(tmp_path / "c" / "sw", ["x"], source="2"), vocabulary, tmp_path)
    assert tokens[-3:].tolist() == before


def test_a_cut_file_is_noticed(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
    whole = build_store("sw", corpus, vocabulary, tmp_path)
    os.truncate(tmp_path / "sw" / "meta.bin", 4)
    with pytest.raises(DataError, match=r"meta.bin is damaged: it has 4 bytes, the manifest says \d+"):
        Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum)
    assert build_store("sw", corpus, vocabulary, tmp_path) == whole
    Store.open(tmp_path, ["sw"], vocabulary=vocabulary.checksum).verify()


def test_text_changed_by_hand_is_refused(tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus) -> None:
    corpus = write_corpus(tmp_path / "c" / "sw", ["one", "two"])
    (corpus / "train.txt").write_text("one\n")
    with pytest.raises(DataError, match="has 1 records and 3 characters, its manifest says 2 and 6"):
        build_store("sw", corpus, vocabulary, tmp_path)


def test_damaged_text_is_refused(tmp_path: Path, vocabulary: Vocabulary, write_corpus: WriteCorpus) -> None:
    corpus = write_corpus(tmp_path / "c" / "sw", ["one", "two"])
    (corpus / "train.txt").write_bytes(b"one\nt\xffo\n")
    with pytest.raises(DataError, match=r"train.txt is damaged: no UTF-8 at byte 5. Delete its folder"):
        build_store("sw", corpus, vocabulary, tmp_path)
