"""What the tests of readers share: snippets that are written to a file and read, and the gathered data when it is there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detente.tasks.read import read_examples
from detente.tasks.reading import Reading

Read = Callable[..., Reading]


@pytest.fixture(name="read")
def _read(tmp_path: Path) -> Read:
    """`read(task, text, name=..., **options)` writes the text to a file and reads it."""

    def read(task: str, text: str | bytes, name: str = "snippet", **options: object) -> Reading:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_examples(task, path, **options)

    return read


@pytest.fixture(name="shared_data", scope="session")
def _shared_data() -> Path:
    """The gathered data beside the repository; its README says what it is."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "shared" / "data" / "README.md").is_file():
            return folder / "shared" / "data"
    pytest.skip("there is no shared/data folder beside the repository")
