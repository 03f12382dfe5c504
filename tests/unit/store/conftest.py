"""A small corpus, its vocabulary, and what a finished store must hold."""

from collections.abc import Callable
from pathlib import Path

import pytest

import detente.store.encode
from detente.settings import VocabularySettings
from detente.store import Store
from detente.vocabulary import Vocabulary, train_vocabulary

WriteCorpus = Callable[..., Path]


@pytest.fixture(scope="session")
def train(scripts: tuple[str, ...]) -> list[str]:
    """Records that take several chunks when these are small."""
    return [f"{text} {number}" for number in range(60) for text in scripts]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, write_corpus: WriteCorpus, train: list[str]) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "sw", train)


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Vocabulary:
    return train_vocabulary({"sw": corpus}, VocabularySettings(size=400), tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detente.store.encode, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(detente.store.encode, "JOURNAL_BYTES", 3000)


Contents = Callable[[Path], dict[str, bytes]]
AssertHolds = Callable[[Path, Vocabulary, str, list[str]], None]


@pytest.fixture(scope="session")
def contents() -> Contents:
    """Every file of a folder."""
    return lambda folder: {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="session")
def assert_holds() -> AssertHolds:
    """The stream is each record's ids and the end token, in order."""

    def check(folder: Path, vocabulary: Vocabulary, split: str, records: list[str]) -> None:
        store = Store.open(folder, ["sw"], vocabulary=vocabulary.checksum)
        expected = [number for ids in vocabulary.encode_batch(records) for number in (*ids, vocabulary.end_id)]
        assert store.tokens("sw", split).tolist() == expected

    return check
