"""What starts processes, for tests of whole commands and of processes that train together."""

from collections.abc import Iterator

import pytest
from forked import Start, started


@pytest.fixture(scope="session")
def start_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts the command `detente`, or a script, in a process of its own."""
    with started(tmp_path_factory.mktemp("processes")) as start:
        yield start
