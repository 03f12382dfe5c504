"""Finding files: paths, globs, formats by name, and what is said when they lead nowhere."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.corpus.files import find_files, format_of
from detente.errors import DataError

Read = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", "text"),
        ("a.TXT.GZ", "text"),
        ("a.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
        ("fr_sequoia-ud-train.conllu.xz", "conllu"),
        ("swwiki-20240101-pages-articles.xml.bz2", "wikipedia"),
    ],
)
def test_format_by_name(name: str, expected: str) -> None:
    assert format_of(Path(name)) == expected


@pytest.mark.parametrize("name", ["text", "a.csv", "a.gz", "a.csv.gz"])
def test_unknown_format(name: str) -> None:
    with pytest.raises(DataError, match=r"does not tell its format .*\.txt, \.jsonl.*Set `format`"):
        format_of(Path(name))


def test_globs_by_name_and_folders_left_out(tmp_path: Path, read: Read) -> None:
    for name in ("b.txt", "a.txt", "deep/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.txt").mkdir()
    assert read(tmp_path / "*.txt") == ["a.txt", "b.txt"]
    assert read(tmp_path / "**" / "*.txt") == ["a.txt", "b.txt", "deep/c.txt"]


def test_a_file_named_twice_is_read_once(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.txt").write_text("once")
    assert read(tmp_path / "a.txt", tmp_path / "*.txt", tmp_path / "a.txt") == ["once"]


def test_a_name_with_brackets_is_no_glob(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("x")
    assert find_files(str(tmp_path / "a[1].txt")) == [tmp_path / "a[1].txt"]


def test_missing_file(tmp_path: Path) -> None:
    (tmp_path / "sw.txt.gz").touch()
    with pytest.raises(DataError, match=r"there is no file .*sw\.txt\. Correct `paths`.*Its folder has sw\.txt\.gz"):
        find_files(str(tmp_path / "sw.txt"))


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*Its folder .*nowhere is missing too"):
        find_files(str(tmp_path / "nowhere" / "sw.txt"))


def test_glob_without_a_match(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file matches .*\*\.txt\. Correct `paths`"):
        find_files(str(tmp_path / "*.txt"))


def test_folder_instead_of_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder\. Name its files in `paths`, for example .*\*\.txt"):
        find_files(str(tmp_path))


def test_pipe_instead_of_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(DataError, match="is not a regular file"):
        find_files(str(tmp_path / "pipe.txt"))


def test_path_that_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="could not be looked up: File name too long"):
        find_files(str(tmp_path / ("x" * 5000)))
