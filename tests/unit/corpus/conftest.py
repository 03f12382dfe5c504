"""What the corpus tests share: a study's language made of files, and the gathered data when it is there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detente.corpus import CorpusManifest, build_corpus, read_text
from detente.settings.text import LanguageSettings, SplitSettings

# Large enough shares that a few hundred records reach every split.
SHARES = SplitSettings(meta=0.1, validation=0.1, test=0.1)

Read = Callable[..., list[str]]
Build = Callable[..., CorpusManifest]


def read(*paths: Path | str, **settings: object) -> list[str]:
    """All raw records of some files."""
    return list(read_text(LanguageSettings.model_validate({"paths": [str(path) for path in paths], **settings})))


def build(folder: Path, *paths: Path | str, splits: SplitSettings = SHARES, **settings: object) -> CorpusManifest:
    """A corpus of some files; English unless told otherwise."""
    language = LanguageSettings.model_validate({"code": "en", "paths": [str(path) for path in paths], **settings})
    return build_corpus("label", language, splits, folder)


@pytest.fixture(name="read", scope="session")
def _read() -> Read:
    return read


@pytest.fixture(name="build", scope="session")
def _build() -> Build:
    return build


@pytest.fixture(name="sentences", scope="session")
def _sentences() -> list[str]:
    """Distinct, in several scripts, one with two words run together by no blank."""
    kinds = (
        "Record number {} is English.",
        "\u0627\u0644\u062c\u0645\u0644\u0629 \u0631\u0642\u0645 {}.",
        "\u7b2c{}\u53e5\u3002",
        "Le num\u00e9ro {} est fran\u00e7ais.",
    )
    return [kinds[number % len(kinds)].format(number) for number in range(400)]


@pytest.fixture(name="shared_data", scope="session")
def _shared_data() -> Path:
    """The gathered data beside the repository; its README says what it is."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "shared" / "data" / "README.md").is_file():
            return folder / "shared" / "data"
    pytest.skip("there is no shared/data folder beside the repository")


@pytest.fixture(name="corpus_files")
def _corpus_files(tmp_path: Path) -> Iterator[Callable[[], dict[str, bytes]]]:
    """Reads what lies in tmp_path / 'corpus'."""
    yield lambda: {path.name: path.read_bytes() for path in sorted((tmp_path / "corpus").iterdir())}
