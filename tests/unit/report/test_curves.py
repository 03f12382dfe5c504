"""Curves out of metrics files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.errors import RecordError
from detente.report.curves import Curve, CurveBook
from detente.report.inventory import mono, read_study

WriteStudy = Callable[..., Path]


def write_lines(folder: Path, name: str, lines: list[dict[str, Any]], tail: str = "") -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines) + tail
    (folder / "runs" / name / "metrics.jsonl").write_text(text)


@pytest.fixture
def folder(write_study: WriteStudy) -> Path:
    """Two seeds of one language: runs `run000-...` and `run001-...`."""
    return write_study(languages=("en",), mixtures=(), seeds=(1, 2))


def test_validation_is_averaged_where_all_seeds_are(folder: Path) -> None:
    def validation(step: int, bits: float) -> dict[str, Any]:
        return {"kind": "validation", "step": step, "loss": {"en": 9.0}, "bits_per_character": {"en": bits}}

    write_lines(folder, "run000-0123abcd", [validation(50, 3.0), validation(100, 2.0), validation(150, 1.5)])
    write_lines(folder, "run001-0123abcd", [validation(50, 2.0), validation(100, 1.0)], tail='{"kind": "val')
    curve = CurveBook(read_study(folder)).validation(mono("en"), "en")
    assert curve == Curve((50, 100), (2.5, 1.5), (2.0, 1.0), (3.0, 2.0), 2)


def test_early_loss_is_averaged_over_stretches_of_the_first_fifth(folder: Path) -> None:
    # 600 steps: the first fifth are 120, in 20 stretches of 6.
    lines = [{"kind": "train", "step": step, "loss": {"en": float(step)}} for step in range(1, 601)]
    for name in ("run000-0123abcd", "run001-0123abcd"):
        write_lines(folder, name, lines)
    curve = CurveBook(read_study(folder)).early_loss(mono("en"), "en")
    assert curve is not None
    assert len(curve.steps) == 20
    assert (curve.steps[0], curve.mean[0], curve.steps[-1], curve.mean[-1]) == (3, 3.5, 117, 117.5)


def test_seeds_without_a_step_in_common_have_no_curve(folder: Path) -> None:
    write_lines(folder, "run000-0123abcd", [{"kind": "train", "step": 1, "loss": {"en": 5.0}}])
    write_lines(folder, "run001-0123abcd", [{"kind": "train", "step": 100, "loss": {"en": 5.0}}])
    assert CurveBook(read_study(folder)).early_loss(mono("en"), "en") is None


def test_no_metrics_no_curve(folder: Path) -> None:
    for path in folder.glob("runs/*/metrics.jsonl"):
        path.unlink()
    book = CurveBook(read_study(folder))
    assert book.validation(mono("en"), "en") is None
    assert book.early_loss(mono("en"), "en") is None


@pytest.mark.parametrize(
    "line", ["{]", "[1]", "null", '{"kind": "validation", "step": 1}', '{"kind": "train", "step": 1}']
)
def test_damaged_metrics_name_the_run(folder: Path, line: str) -> None:
    write_lines(folder, "run001-0123abcd", [], tail=f"{line}\n")
    with pytest.raises(RecordError, match=r"run001-0123abcd/metrics\.jsonl is damaged"):
        CurveBook(read_study(folder))
