"""Checkpoints: whole or not at all, bitwise, and the newest good one is used."""

import errno
import json
from pathlib import Path

import pytest
import torch

from detente.encoder import Encoder
from detente.errors import CheckpointError, DataError
from detente.pretrain import checkpoint
from detente.pretrain.checkpoint import damage, load_checkpoint, newest_checkpoint, save_checkpoint
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.settings import EncoderSettings, TrainingSettings
from detente.treatment import TREATMENTS, TreatedEncoder, treat


def make(width: int = 8) -> tuple[TreatedEncoder, torch.optim.Optimizer]:
    settings = EncoderSettings(layers=1, width=width, heads=2, feed_forward_width=8)
    treated = treat(Encoder(settings, 20, block_length=8), TREATMENTS["adapter"], ("en", "te"))
    return treated, build_optimizer(treated, TrainingSettings())


def move(treated: TreatedEncoder, optimizer: torch.optim.Optimizer, seed: int) -> None:
    """An update of theta and of one language's phi; the other language has no moments yet."""
    random = torch.Generator().manual_seed(seed)
    moved = [*treated.shared.values(), *treated.specific["te"].values()]
    gradients = [torch.randn(p.shape, generator=random) for p in moved]
    Updater(optimizer, TrainingSettings(), 10).apply(5, moved, gradients)


def state_of(treated: TreatedEncoder, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    named = {name: p.detach() for name, p in treated.named_parameters()}
    moments = {
        f"{key} of {name}": value
        for name, p in treated.named_parameters()
        for key, value in optimizer.state.get(p, {}).items()
    }
    return {**named, **moments}


def test_round_trip_is_bitwise(tmp_path: Path) -> None:
    treated, optimizer = make()
    move(treated, optimizer, 1)
    save_checkpoint(tmp_path, 7, treated, optimizer, {"sittings": 2})
    other, other_optimizer = make()
    state = load_checkpoint(tmp_path, other, other_optimizer)
    assert state == {"sittings": 2, "step": 7}
    expected, actual = state_of(treated, optimizer), state_of(other, other_optimizer)
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
    # And they go on alike.
    move(treated, optimizer, 2)
    move(other, other_optimizer, 2)
    expected, actual = state_of(treated, optimizer), state_of(other, other_optimizer)
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    treated, optimizer = make()
    for step in (9, 10, 100):
        save_checkpoint(tmp_path, step, treated, optimizer, {}, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-10", "step-100"]
    assert newest_checkpoint(tmp_path).name == "step-100"


def test_those_of_every_so_many_steps_are_kept_besides(tmp_path: Path) -> None:
    treated, optimizer = make()
    for step in (5, 10, 15, 20, 25, 27):
        save_checkpoint(tmp_path, step, treated, optimizer, {}, keep=2, keep_every=10)
    assert {path.name for path in tmp_path.iterdir()} == {"step-10", "step-20", "step-25", "step-27"}
    for kept in ("step-27", "step-25"):
        (tmp_path / kept / checkpoint.WEIGHTS).write_bytes(b"")
    with pytest.warns(UserWarning):
        assert load_checkpoint(tmp_path, treated, optimizer) == {"step": 20}


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.OPTIMIZER, checkpoint.STATE, checkpoint.CHECKSUMS])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, name: str, harm: str) -> None:
    treated, optimizer = make()
    save_checkpoint(tmp_path, 1, treated, optimizer, {}, keep=2)
    move(treated, optimizer, 1)
    newest = save_checkpoint(tmp_path, 2, treated, optimizer, {}, keep=2)
    file = newest / name
    content = bytearray(file.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 255
        file.write_bytes(content)
    elif harm == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()
    assert damage(newest) is not None
    with pytest.warns(UserWarning, match=r"step-2 is damaged .*; trying the one before"):
        state = load_checkpoint(tmp_path, *make())
    assert state == {"step": 1}


def test_when_all_are_damaged_it_says_so(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, *make(), {})
    (tmp_path / "step-1" / checkpoint.WEIGHTS).write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match=r"every checkpoint in .* is damaged"):
        load_checkpoint(tmp_path, *make())
    with pytest.raises(CheckpointError, match="no undamaged checkpoint"):
        newest_checkpoint(tmp_path)


def test_a_damaged_newer_checkpoint_does_not_push_out_the_good_one(tmp_path: Path) -> None:
    treated, optimizer = make()
    save_checkpoint(tmp_path, 10, treated, optimizer, {}, keep=2)
    newest = save_checkpoint(tmp_path, 20, treated, optimizer, {}, keep=2)
    (newest / checkpoint.WEIGHTS).write_bytes(b"")
    (tmp_path / ".step-30.77").mkdir()
    with pytest.warns(UserWarning):
        load_checkpoint(tmp_path, treated, optimizer)
    save_checkpoint(tmp_path, 15, treated, optimizer, {}, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-15"]


def test_no_checkpoint_is_a_fresh_start(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none", *make()) is None


def test_a_folder_left_by_a_killed_save_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".step-5.123").mkdir(parents=True)
    (tmp_path / "step-x").mkdir()
    assert load_checkpoint(tmp_path, *make()) is None


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, *make(), {})
    with pytest.raises(CheckpointError, match=r"step-1 is of another model: `shared/.*` differs"):
        load_checkpoint(tmp_path, *make(width=16))


def test_a_full_disk_keeps_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    treated, optimizer = make()
    save_checkpoint(tmp_path, 1, treated, optimizer, {})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write_folder", full)
    with pytest.raises(
        DataError, match=r"step 2 could not be written .*No space left on device.*needs \d+\.\d kB, .* are free"
    ):
        save_checkpoint(tmp_path, 2, treated, optimizer, {})
    assert json.loads((tmp_path / "step-1" / checkpoint.STATE).read_text()) == {"step": 1}
    assert damage(tmp_path / "step-1") is None
