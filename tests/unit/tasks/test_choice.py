"""The grid, the choice among its epochs, and what a folder keeps of them."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from detente.errors import DataError
from detente.settings.tasks import TaskSettings
from detente.task_results import Epoch
from detente.tasks.choice import CHECKPOINTS, TRIALS_FILE, Point, Trials, best, chosen, grid


def epoch(trial: int, number: int, **validation: float) -> Epoch:
    rates: dict[str, Any] = {"batch_size": 16, "learning_rate": 1e-3, "head_learning_rate": 1e-3, "loss": 0.5}
    return Epoch(trial=trial, epoch=number, validation=validation, **rates)


def checkpoints(folder: Path) -> set[str]:
    return {path.name for path in (folder / CHECKPOINTS).glob("*")}


def test_every_batch_size_is_tried_with_every_rate() -> None:
    settings = TaskSettings(batch_sizes=(4, 8), learning_rates=(1e-5, 2e-5))
    assert grid(settings) == [
        Point(1, 4, (1e-5, 1e-5)),
        Point(2, 4, (2e-5, 2e-5)),
        Point(3, 8, (1e-5, 1e-5)),
        Point(4, 8, (2e-5, 2e-5)),
    ]


def test_the_head_can_have_rates_of_its_own() -> None:
    settings = TaskSettings(batch_sizes=(4,), learning_rates=(1e-5, 2e-5), head_learning_rates=(0.1, 0.2, 0.3))
    found = grid(settings)
    assert [point.trial for point in found] == [1, 2, 3, 4, 5, 6]
    assert {point.rates for point in found} == {(rate, head) for rate in (1e-5, 2e-5) for head in (0.1, 0.2, 0.3)}


def test_the_sources_grids() -> None:
    """Batches, encoder rates and head rates of method 8."""
    assert len(grid(TaskSettings())) == 2 * 3
    inference = {"batch_sizes": (4, 8), "learning_rates": (1e-6, 5e-6, 2e-5), "head_learning_rates": (5e-6, 2e-5, 5e-5)}
    assert len(grid(TaskSettings(**inference))) == 2 * 3 * 3


def test_the_best_by_a_languages_own_examples() -> None:
    epochs = [epoch(1, 1, en=50, sw=10), epoch(1, 2, en=60, sw=20), epoch(2, 1, en=55, sw=30)]
    assert best(epochs, "en") == epochs[1]
    assert best(epochs, "sw") == epochs[2]
    assert chosen(epochs) == [epochs[1], epochs[2]]
    assert chosen([]) == []


def test_of_equals_the_earliest() -> None:
    epochs = [epoch(2, 1, en=60), epoch(1, 3, en=60), epoch(1, 2, en=60), epoch(1, 1, en=59)]
    for order in (epochs, epochs[::-1]):
        found = best(order, "en")
        assert (found.trial, found.epoch) == (1, 2)


def test_points_that_are_done_are_written_down(tmp_path: Path) -> None:
    trials, first, second = Trials(tmp_path), [epoch(1, 1, en=0.1 + 0.2), epoch(1, 2, en=60)], [epoch(2, 1, en=70)]
    assert trials.epochs() == []
    trials.add(first)
    assert Trials(tmp_path).epochs() == first
    trials.add(second)
    assert Trials(tmp_path).epochs() == first + second
    assert len((tmp_path / TRIALS_FILE).read_text(encoding="utf-8").splitlines()) == 3


def test_a_point_is_written_down_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the process ends, half a point must not be taken for one that is done."""
    trials = Trials(tmp_path)
    trials.add([epoch(1, 1, en=1)])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"the disk is full: trials\.jsonl"):
        trials.add([epoch(2, 1, en=2), epoch(2, 2, en=3)])
    assert [done.trial for done in trials.epochs()] == [1]
    assert {path.name for path in tmp_path.iterdir()} == {TRIALS_FILE}


def test_only_checkpoints_that_may_be_chosen_stay(tmp_path: Path) -> None:
    trials, epochs = Trials(tmp_path), [epoch(1, 1, en=1), epoch(1, 2, en=2), epoch(2, 1, en=3)]
    trials.keep_only([])
    for one in epochs:
        trials.checkpoint(one).mkdir(parents=True)
        (trials.checkpoint(one) / "model.safetensors").write_bytes(b"weights")
    trials.keep_only([epochs[1], epochs[2], epochs[1]])
    assert checkpoints(tmp_path) == {"trial1-epoch2", "trial2-epoch1"}
    trials.keep_only([epochs[2]])
    assert checkpoints(tmp_path) == {"trial2-epoch1"}
    assert (trials.checkpoint(epochs[2]) / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_leaves_the_points_that_are_done(error: Exception, tmp_path: Path) -> None:
    class Model(torch.nn.Linear):
        def save_pretrained(self, folder: Path) -> None:
            raise error

    trials, done = Trials(tmp_path), [epoch(1, 1, en=70)]
    trials.add(done)
    words = r"^the disk is full: the fine-tuned model needs 48 bytes and could not be written to .*trial2-epoch1, where"
    with pytest.raises(DataError, match=words):
        trials.save(epoch(2, 1, en=80), Model(3, 3))
    assert Trials(tmp_path).epochs() == done
