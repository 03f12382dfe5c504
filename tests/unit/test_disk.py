"""A full disk at any write: one line with the file, what it needs and what is free; what was there before stays as it was."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from detente import disk
from detente.disk import free, size, told_when_full
from detente.errors import DataError
from detente.pretrain.observers import MetricsLog
from detente.pretrain.step import StepReport
from detente.results import METRICS_FILE, read_metrics, write_atomic

REPORT = StepReport({"te": 2.5}, tokens=10, gradient_norm=1.0, learning_rate=0.1)


@pytest.fixture
def full_device() -> Iterator[Path]:
    """A device of the system that takes no byte."""
    path = Path("/dev/full")
    if not path.exists():
        pytest.skip("this system has no /dev/full")
    yield path


@pytest.mark.parametrize("number", disk.FULL)
def test_what_needs_how_much_and_what_is_free_are_said(number: int, tmp_path: Path) -> None:
    def write() -> None:
        with told_when_full("the record", tmp_path / "not" / "there", needed=2_500_000):
            raise OSError(number, os.strerror(number))

    with pytest.raises(DataError) as caught:
        write()
    assert str(caught.value).startswith(
        f"the disk is full: the record needs 2.5 MB and could not be written to {tmp_path}/not/there, where "
    )
    assert str(caught.value).endswith(f" are free. {disk.AGAIN}")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), told_when_full("the record", tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize(
    ("number", "expected"), [(12, "12 bytes"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (3 * 10**9, "3.0 GB")]
)
def test_sizes_for_people(number: int, expected: str) -> None:
    assert size(number) == expected


def test_free_space_is_that_of_the_next_folder_there_is(tmp_path: Path) -> None:
    assert free(tmp_path / "not" / "there") == pytest.approx(
        os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize, rel=0.1
    )


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace"), "mkdir": (Path, "mkdir")}[name], full)


@pytest.mark.parametrize("stage", ["fsync", "replace", "mkdir"])
def test_a_file_stays_as_it_was(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "record.json", b"old")
    fail_at(monkeypatch, stage)
    with pytest.raises(DataError, match=r"^the disk is full: record.json needs 4 bytes and could not be written to "):
        write_atomic(tmp_path / "record.json", b"new\n")
    monkeypatch.undo()
    assert (tmp_path / "record.json").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_metrics_go_on_from_the_last_whole_line(
    tmp_path: Path, full_device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MetricsLog(tmp_path, start=0)
    log(1, REPORT)
    log(2, REPORT)
    opened = log._file
    with full_device.open("w", encoding="utf-8") as device:
        log._file = device
        with pytest.raises(
            DataError, match=r"^the disk is full: metrics.jsonl needs \d+ bytes .* free\. What was there"
        ):
            log(3, REPORT)
        log.close()
    opened.write('{"kind": "train", "st')
    opened.close()
    MetricsLog(tmp_path, start=2).close()
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]
    assert (tmp_path / METRICS_FILE).read_bytes().count(b"\n") == 2
