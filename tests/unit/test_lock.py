"""One process on a folder: who it is, when it died, and what of other machines."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from detente.errors import DataError
from detente.lock import LOCK_FILE, holder, locked

HOLD = "import sys; from pathlib import Path; from detente.lock import locked\nwith locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
ELSEWHERE = {
    "process": 7,
    "host": "another.example",
    "command": "detente study a.yaml",
    "since": "2026-01-02T03:04:05+00:00",
}


@pytest.fixture
def other(tmp_path: Path):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_in_use_says_by_whom_and_what_to_do(other: subprocess.Popen[str], tmp_path: Path) -> None:
    found = holder(tmp_path)
    assert found and (found.process, found.is_here) == (other.pid, True)
    with (
        pytest.raises(
            DataError, match=rf"is in use by process {other.pid} on .* \(`-c .*`\) since 20.*Wait for it, or"
        ),
        locked(tmp_path),
    ):
        pass


def test_the_lock_of_a_dead_process_is_taken_over(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / LOCK_FILE).read_text(encoding="utf-8"), "it could not clear its note"
    assert holder(tmp_path) is None
    with locked(tmp_path):
        found = holder(tmp_path)
        assert found and found.process == os.getpid()
    assert holder(tmp_path) is None
    assert (tmp_path / LOCK_FILE).read_text(encoding="utf-8") == ""


def test_looking_does_not_take_the_lock(tmp_path: Path) -> None:
    assert holder(tmp_path / "nowhere") is None
    with locked(tmp_path):
        assert holder(tmp_path) is not None
        assert holder(tmp_path) is not None


def test_another_machine_must_be_asked(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text(json.dumps(ELSEWHERE), encoding="utf-8")
    found = holder(tmp_path)
    assert found and not found.is_here
    words = r"in use by process 7 on another\.example \(`detente study a\.yaml`\) since 2026-01-02.*delete .*\.lock and call again"
    with pytest.raises(DataError, match=words), locked(tmp_path):
        pass
    (tmp_path / LOCK_FILE).unlink()
    with locked(tmp_path):
        pass


def test_a_note_that_is_none_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("process 3 on here since then", encoding="utf-8")
    assert holder(tmp_path) is None
    with locked(tmp_path):
        pass
