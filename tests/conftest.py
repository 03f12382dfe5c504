"""What tests of all kinds share: what spares them the slow parts."""

from collections.abc import Iterator

import pytest
from forked import Start, started


@pytest.fixture(scope="session")
def start_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts the command `detente`, or a script, in a process of its own."""
    with started(tmp_path_factory.mktemp("processes")) as start:
        yield start


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves them out of reports where they are not what is tested: drawing takes longer than all the rest."""
    monkeypatch.setattr("detente.report.figures.draw_all", lambda *_: [])
