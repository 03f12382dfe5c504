"""A model folder appears whole or not at all, and takes nobody's place but an earlier export's."""

import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from detente.errors import DataError
from detente.export.folder import CARD, WEIGHTS, digest, refuse_other_folder, replaced


def write(folder: Path, weights: str = "weights") -> None:
    (folder / WEIGHTS).write_text(weights)
    (folder / CARD).write_text(f"---\ndetente:\n  weights: {digest(folder / WEIGHTS)}\n---\n\n# A model\n")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_new_folders_and_earlier_exports_are_taken(tmp_path: Path) -> None:
    goal = tmp_path / "deep" / "model"
    for weights in ("one", "two"):
        refuse_other_folder(goal)
        with replaced(goal, needed=2_000_000) as folder:
            assert (weights == "one") != (goal / WEIGHTS).exists()
            write(folder, weights)
        assert (goal / WEIGHTS).read_text() == weights
        assert names(goal.parent) == {"model"}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    goal = tmp_path / "model"
    goal.mkdir()
    refuse_other_folder(goal)
    with replaced(goal, needed=2_000_000) as folder:
        write(folder)
    assert names(goal) == {WEIGHTS, CARD}


def test_a_link_to_a_folder_keeps_pointing_there(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to("place")
    with replaced(tmp_path / "link", needed=2_000_000) as folder:
        write(folder)
    assert names(tmp_path / "place") == {WEIGHTS, CARD}


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("notes.txt", "mine", r"holds other files \(notes.txt\)"),
        (WEIGHTS, "trained on", "not as `detente export` wrote it"),
        (CARD, "# Another model", "not as `detente export` wrote it"),
        (CARD, "---\n[\n---\n", "not as `detente export` wrote it"),
        (CARD, "---\n- a list\n---\n", "not as `detente export` wrote it"),
    ],
)
def test_other_folders_are_refused(file: str, content: str, words: str, tmp_path: Path) -> None:
    write(tmp_path)
    refuse_other_folder(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=words):
        refuse_other_folder(tmp_path)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").touch()
    with pytest.raises(DataError, match="is a file"):
        refuse_other_folder(tmp_path / "model")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (SafetensorError("Error while serializing: No space left on device"), "No space left on device"),
    ],
)
def test_a_full_disk_changes_nothing(error: Exception, words: str, tmp_path: Path) -> None:
    goal = tmp_path / "model"
    goal.mkdir()
    write(goal, "old")
    with pytest.raises(DataError, match=words), replaced(goal, needed=2_000_000) as folder:
        write(folder, "new")
        raise error
    assert (goal / WEIGHTS).read_text() == "old"
    assert names(tmp_path) == {"model"}


def test_other_errors_pass_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replaced(tmp_path / "model", needed=2_000_000) as folder:
        write(folder)
        raise KeyboardInterrupt
    assert names(tmp_path) == set()


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match="could not be written"),
        replaced(tmp_path / "file" / "model", needed=2_000_000),
    ):
        pass


def test_a_killed_export_leaves_no_half_folder(tmp_path: Path) -> None:
    goal = tmp_path / "model"
    child = os.fork()
    if child == 0:
        with replaced(goal, needed=2_000_000) as folder:
            (folder / WEIGHTS).write_text("half")
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not goal.exists()
    assert len(names(tmp_path)) == 1, "what was begun lies beside"
    with replaced(goal, needed=2_000_000) as folder:
        write(folder)
    assert names(tmp_path) == {"model"}
