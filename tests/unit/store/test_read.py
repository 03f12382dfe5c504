"""Opening a store and noticing that it does not fit or is damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.corpus.manifest import SPLITS
from detente.errors import DataError
from detente.seal import sealed, unsealed
from detente.store import Store, StoreManifest, build_store
from detente.vocabulary import Vocabulary

WriteCorpus = Callable[..., Path]
Contents = Callable[[Path], dict[str, bytes]]
AssertHolds = Callable[[Path, Vocabulary, str, list[str]], None]


@pytest.fixture
def folder(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> Path:
    build_store("sw", corpus, vocabulary, tmp_path)
    return tmp_path


def test_a_flipped_byte_is_noticed(folder: Path, vocabulary: Vocabulary) -> None:
    store = Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)
    store.verify()
    with (folder / "sw" / "train.bin").open("r+b") as file:
        file.seek(100)
        (byte,) = file.read(1)
        file.seek(100)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(DataError, match=r"train.bin is damaged: its checksum is .*, the manifest says .*Delete"):
        store.verify()


def test_a_removed_file_is_noticed(folder: Path, vocabulary: Vocabulary) -> None:
    store = Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)
    (folder / "sw" / "test.bin").unlink()
    with pytest.raises(DataError, match=r"test.bin cannot be read \(No such file"):
        store.verify()


def test_another_vocabulary_is_refused(folder: Path, vocabulary: Vocabulary) -> None:
    expected = rf"was written with vocabulary {vocabulary.checksum[:8]}\.\.\. but the run uses 00000000\.\.\.\. Run"
    with pytest.raises(DataError, match=expected):
        Store.open(folder, ["sw"], vocabulary="0" * 64)


def test_a_missing_language_is_told(folder: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(DataError, match=r"no finished token store of `te` .* Run `detente prepare`"):
        Store.open(folder, ["sw", "te"], vocabulary=vocabulary.checksum)
    with pytest.raises(DataError, match=r"`swa` is not among the opened languages. Did you mean `sw`\?"):
        Store.open(folder, ["sw"], vocabulary=vocabulary.checksum).tokens("swa", "train")


@pytest.mark.parametrize(("content", "message"), [("{", "is damaged"), ('{"version": 1}', "is damaged")])
def test_a_damaged_manifest_is_told(folder: Path, vocabulary: Vocabulary, content: str, message: str) -> None:
    (folder / "sw" / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=message):
        Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)


def test_another_version_is_told(folder: Path, vocabulary: Vocabulary) -> None:
    path = folder / "sw" / "manifest.json"
    path.write_text(json.dumps(sealed(unsealed(json.loads(path.read_text())) | {"version": 99})))
    with pytest.raises(DataError, match="has version 99, this detente reads 1"):
        Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)


def test_the_checksum_covers_every_split(tmp_path: Path, corpus: Path, vocabulary: Vocabulary) -> None:
    manifest = build_store("sw", corpus, vocabulary, tmp_path)

    def changed(split: str) -> StoreManifest:
        splits = {**manifest.splits, split: manifest.splits[split].model_copy(update={"sha256": "0"})}
        return manifest.model_copy(update={"splits": splits})

    assert len({manifest.checksum, *(changed(split).checksum for split in SPLITS)}) == 1 + len(SPLITS)
