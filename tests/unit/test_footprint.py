"""Memory and disk foretold: the counting of what is alive, its growth with the batch, and what cannot fit."""

from pathlib import Path
from typing import Any

import pytest
import torch

from detente import machine
from detente.errors import ConfigError
from detente.machine import memory_size
from detente.pretrain.checkpoint import save_checkpoint
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.run import build_model
from detente.settings import RunSettings
from detente.study import footprint as module
from detente.study import live_memory
from detente.study.footprint import Footprint, footprint, footprints, refuse_what_cannot_fit, size_of
from detente.study.live_memory import AliveBytes, alive_along, peak_of_step
from detente.study.plan import PlannedRun

CPU = torch.device("cpu")
VOCABULARY = 60


def settings(treatment: str = "none", *, blocks: int = 4, **training: Any) -> RunSettings:
    return RunSettings.model_validate(
        {
            "mixture": ("te", "en", "li"),
            "treatment": treatment,
            "encoder": {"layers": 2, "width": 16, "heads": 2, "feed_forward_width": 24, "dropout": 0.1},
            "meta": {
                "order": "fused",
                "second_order": "one-sided",
                "inner_fraction": 0.25,
                "meta_fraction": 0.25,
                "every": 2,
            },
            "batches": {"block_length": 16, "blocks": blocks},
            "training": {"steps": 20, "warmup_steps": 2, "checkpoint_every": 5, **training},
        }
    )


def test_bytes_are_counted_while_something_holds_them() -> None:
    before = torch.ones(10)
    with AliveBytes([before]) as alive:
        before.add_(1)
        first = torch.zeros(1000)
        second = first.view(10, 100).t()
        del first
        third = second.contiguous()
        del second
        torch.ones(50)
        del third
        torch.ones(50)
    assert alive.along[0] == 0, "what was there before does not count"
    assert max(alive.along) == 8000
    assert alive.along[-1] == 200


@pytest.mark.parametrize("treatment", ["none", "meta-adapter"])
def test_two_small_batches_tell_the_peak_of_a_large_one(treatment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_memory, "MOST_TOKENS", 128)
    large = settings(treatment, blocks=32)
    direct = max(alive_along(large, VOCABULARY, 32, CPU))
    # A norm's or an index's few bytes need not grow as the batch does.
    assert peak_of_step(large, VOCABULARY, CPU) == pytest.approx(direct, rel=0.01)
    assert direct > 2 * max(alive_along(large, VOCABULARY, 8, CPU))


@pytest.mark.parametrize("treatment", ["none", "adapter", "meta-adapter"])
def test_the_steps_that_are_watched_hold_as_much_as_more_of_them(
    treatment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings(treatment)
    watched = max(alive_along(run, VOCABULARY, 4, CPU))
    monkeypatch.setattr(live_memory, "_steps_to_watch", lambda _: 6)
    assert max(alive_along(run, VOCABULARY, 4, CPU)) == pytest.approx(watched, abs=8), "but for a step's loss"


def test_a_second_language_takes_nothing_in_a_step_without_treatment() -> None:
    alone = settings().model_copy(update={"mixture": ("te",)})
    assert peak_of_step(alone, VOCABULARY, CPU) == pytest.approx(peak_of_step(settings(), VOCABULARY, CPU), abs=8)


@pytest.mark.parametrize("treatment", ["none", "adapter"])
def test_a_checkpoint_is_as_large_as_foretold(treatment: str, tmp_path: Path) -> None:
    run = settings(treatment)
    treated = build_model(run, VOCABULARY)
    updater = Updater(build_optimizer(treated, run.training), run.training, 20)
    every = [parameter for _, parameter in treated.named_parameters()]
    updater.apply(0, every, [torch.ones_like(parameter) for parameter in every])
    save_checkpoint(tmp_path, 1, treated, updater.optimizer, {})
    weights = sum(p.numel() * 4 * 3 for p in every)
    found = footprint(run, VOCABULARY, base=0, step=0)
    assert found.checkpoint == weights
    # Names and shapes are half of so small a file, and nothing of a large one.
    assert size_of(tmp_path) - weights < 250 * 3 * len(every)


@pytest.mark.parametrize(
    ("training", "kept"),
    [
        ({}, 1),
        ({"keep_checkpoints": 3}, 3),
        ({"keep_checkpoints": 9}, 4),
        ({"keep_every": 10}, 3),
        ({"checkpoint_every": 50}, 1),
    ],
)
def test_the_disk_holds_what_is_kept_and_one_that_is_being_written(training: dict[str, int], kept: int) -> None:
    found = footprint(settings(**training), VOCABULARY, base=0, step=0)
    assert found.disk == (kept + 1) * found.checkpoint + 20 * module.LINE


def test_seeds_and_languages_take_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(module, "peak_of_step", lambda run, *_: looked.append(run.name) or 1)
    monkeypatch.setattr(module, "footprint", lambda *_, **__: Footprint(1, 2, 3))
    mixtures = [("te",), ("en",), ("te", "en"), ("te", "en")]
    runs = [
        PlannedRun(settings().model_copy(update={"mixture": mixture, "seed": seed}))
        for seed, mixture in enumerate(mixtures)
    ]
    assert footprints(runs, VOCABULARY) == [Footprint(1, 2, 3)] * 4
    assert looked == ["te_none_seed0"]
    assert footprints([], VOCABULARY) == []


def test_what_cannot_fit_is_refused_with_what_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [PlannedRun(settings()), PlannedRun(settings("adapter"))]
    found = [Footprint(2_000_000_000, 1, 4_000_000), Footprint(3_000_000_000, 1, 5_000_000)]
    monkeypatch.setattr(module, "memory_size", lambda _: 3_000_000_000)
    monkeypatch.setattr(module, "free", lambda _: 9_000_000)
    refuse_what_cannot_fit(runs, found, tmp_path)
    monkeypatch.setattr(module, "memory_size", lambda _: 2_500_000_000)
    monkeypatch.setattr(module, "free", lambda _: 8_000_000)
    with pytest.raises(ConfigError) as caught:
        refuse_what_cannot_fit(runs, found, tmp_path)
    memory, disk = caught.value.problems
    assert memory.startswith(
        "te+en+li_adapter_seed1 needs about 3.0 GB of memory, and this machine has 2.5 GB. Lower `batches.blocks`"
    )
    assert disk.startswith(
        f"the runs need about 9.0 MB more on the disk of {tmp_path}, where 8.0 MB are free. Make room, "
    )
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "weights").write_bytes(bytes(2_000_000))
    with pytest.raises(ConfigError) as caught:
        refuse_what_cannot_fit(runs, found, tmp_path)
    assert len(caught.value.problems) == 1, "what is there already is not needed again"


def test_a_container_has_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "CGROUP_LIMITS", (str(limit), str(tmp_path / "none")))
    whole = memory_size(CPU)
    limit.write_text("max\n")
    assert memory_size(CPU) == whole
    limit.write_text("1000000\n")
    assert memory_size(CPU) == 1_000_000
