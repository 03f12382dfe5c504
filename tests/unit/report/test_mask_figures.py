"""Figures of masks: the files, what they say in words, and what they do without."""

from pathlib import Path

import numpy as np
import pytest

from detente.diagnosis_results.masks import GatedPart, MaskRun, ParameterMasks
from detente.report.canvas import Drawing
from detente.report.mask_figures import draw_mask_extremes, draw_mask_shares, draw_mask_similarity

PARTS = tuple(
    GatedPart(f"blocks.{layer}.{name}.weight", layer, kind, 8)
    for layer in range(3)
    for name, kind in (("attention.value", "attention"), ("feed_forward.inner", "ffn"))
)


def make_masks(*languages: str) -> ParameterMasks:
    random = np.random.default_rng(0)

    def run(seed: int) -> MaskRun:
        logits = tuple((1 + 2 * random.standard_normal(48)).round(4).tolist())
        return MaskRun(seed=seed, logits=logits, sparsity_weight=3.0, expected_open=0.7, loss=1.5)

    return ParameterMasks(
        languages=languages,
        groups="rows",
        steps=200,
        target_open=None,
        parts=PARTS,
        runs={language: (run(0), run(1)) for language in languages},
        full_loss=dict.fromkeys(languages, 1.4),
        swaps={language: dict.fromkeys(languages, 1.6) for language in languages},
        removals={},
    )


def assert_files(drawing: Drawing, folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {f"{drawing.key}.{end}" for end in ("pdf", "png", "svg")}
    assert drawing.svg.startswith("<svg")
    assert drawing.description in drawing.svg.replace("&#8211;", "\N{EN DASH}")


def test_similarity_of_two_languages(tmp_path: Path) -> None:
    masks = make_masks("en", "ar")
    drawing = draw_mask_similarity(masks, ("en", "ar"), tmp_path)
    assert_files(drawing, tmp_path)
    assert drawing.key == "mask-similarity-en-ar"
    first, *_, last = (place for place in masks.similarity("en", "ar") if place.kind == "ffn")
    assert f"en\N{EN DASH}ar, ffn {first.cosine:.2f} to {last.cosine:.2f}" in drawing.description
    for label in ("en twice, attention", "ar twice, ffn", "mean taken off"):
        assert label in drawing.svg


def test_one_language_has_its_control_alone(tmp_path: Path) -> None:
    drawing = draw_mask_similarity(make_masks("en"), ("en",), tmp_path)
    assert_files(drawing, tmp_path)
    assert "en twice, attention" in drawing.description
    assert "\N{EN DASH}" not in drawing.description


def test_extremes(tmp_path: Path) -> None:
    masks = make_masks("en", "ar")
    drawing = draw_mask_extremes(masks, "ar", "en", tmp_path)
    assert_files(drawing, tmp_path)
    low = [extreme for extreme in masks.extremes("ar", "en") if extreme.value < 0]
    flipped = sum(extreme.other > 0 for extreme in low)
    assert 0 < flipped < len(low)
    assert drawing.description == f"Of the {len(low)} groups shown that ar closes, {flipped} are open for en."
    assert f">{masks.extremes('ar', 'en')[0].part.removesuffix('.weight')} " in drawing.svg


def test_shares(tmp_path: Path) -> None:
    masks = make_masks("en", "ar", "sw")
    drawing = draw_mask_shares(masks, tmp_path)
    assert_files(drawing, tmp_path)
    chance = np.mean([np.mean((masks.pi(label) > 0) != (masks.pi(label, 1) > 0)) for label in masks.languages])
    assert f"{masks.shares()[0].owned:.0%} for some ({chance:.0%} between two runs" in drawing.description
    for label in ("open for all", "for some", "for none", "for some, one language twice"):
        assert f">{label}<" in drawing.svg


@pytest.mark.parametrize("kind", ["attention", "ffn"])
def test_a_kind_without_gates_has_no_line(tmp_path: Path, kind: str) -> None:
    """As in masks of heads, or of neurons."""
    masks = make_masks("en", "ar")
    parts = tuple(part for part in PARTS if part.kind == kind)
    runs = {
        language: tuple(MaskRun(run.seed, run.logits[:24], 3.0, 0.7, 1.5) for run in both)
        for language, both in masks.runs.items()
    }
    masks = ParameterMasks(**{**vars(masks), "parts": parts, "runs": runs})
    drawing = draw_mask_similarity(masks, ("en", "ar"), tmp_path)
    assert drawing.description.count(kind) == 3
    assert drawing.description.count(", ") - drawing.description.count(f", {kind}") == 1
    draw_mask_shares(masks, tmp_path)


def test_labels_that_are_no_file_names_have_numbers(tmp_path: Path) -> None:
    drawing = draw_mask_extremes(make_masks("en", "../ar"), "../ar", "en", tmp_path / "figures")
    assert drawing.key == "mask-extremes-language-2-en"
    assert [path.name for path in tmp_path.iterdir()] == ["figures"]


def test_same_masks_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        draw_mask_similarity(make_masks("en", "ar"), ("en", "ar"), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
