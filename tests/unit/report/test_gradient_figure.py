"""Figures of gradient conflict, from made-up results: what is drawn, what is said, and what is left out."""

import math
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.gradients import (
    GradientConflict,
    GradientGroup,
    Interval,
    RegionIntervals,
    regions_of,
)
from detente.errors import ConfigError
from detente.report import gradient_figure
from detente.report.gradient_figure import MOST_PAIRS, draw_conflict, draw_conflict_over_training

PARTS = 8


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Fills as figures are made, in place of files."""
    found: list[Figure] = []

    def save(figure: Figure, folder: Path, drawing: Any) -> Any:
        found.append(figure)
        return drawing

    monkeypatch.setattr(gradient_figure, "save", save)
    return found


def made_up(
    cosines: Mapping[tuple[str, str], float], *, control: float = 0.5, told: bool = True, step: int | None = None
) -> GradientConflict:
    """Unit signals at these raw cosines over theta, twice as large for attention as for the ffn, and no less noise."""
    languages = tuple(sorted({label for pair in cosines for label in pair}))
    gram = np.eye(len(languages))
    for i, j in combinations(range(len(languages)), 2):
        gram[i, j] = gram[j, i] = cosines[languages[i], languages[j]]
    groups = tuple(
        GradientGroup(
            layer=0,
            kind=kind,
            num_parameters=100,
            gram=tuple(map(tuple, (weight * gram).tolist())),
            # control = (R - q) / (R - 1) for squares of 1.
            part_squares=(weight * (PARTS - control * (PARTS - 1)),) * len(languages),
            width=100,
            projection_error=0.0,
            largest_projection_error=0.0,
        )
        for kind, weight in (("attention", 2 / 3), ("ffn", 1 / 3))
    )
    middles = [gram[pair] / control for pair in combinations(range(len(languages)), 2)]
    intervals = tuple(Interval(middle - 0.1, middle + 0.1) if told else None for middle in middles)
    count = len(languages)
    return GradientConflict(
        languages=languages,
        step=step,
        parts=(PARTS,) * count,
        microbatches=(PARTS,) * count,
        left_out=(0,) * count,
        is_exact=True,
        groups=groups,
        cosine_error=0.0,
        intervals=tuple(
            RegionIntervals(region, (Interval(control - 0.2, control + 0.2),) * count, intervals)
            for region in regions_of(groups)
        ),
        resamples=1000,
        seed=0,
    )


def series_of(*pair: str, start: float) -> GradientConflictSeries:
    """Cosines that rise by 0.1 a measurement."""
    first, second = pair
    found = [made_up({(first, second): start + 0.1 * n}, step=10 * (n + 1)) for n in range(4)]
    return GradientConflictSeries(tuple(found))


def test_a_series_has_the_sources_lines(tmp_path: Path, drawn: list[Figure]) -> None:
    """Ar-En and En-Fr of two models with the controls of their languages, over steps."""
    series = [series_of("ar", "en", start=-0.25), series_of("en", "fr", start=-0.05)]
    drawing = draw_conflict_over_training(series, tmp_path)
    raw, corrected = drawn[0].axes
    lines = {line.get_label(): line for line in raw.lines if not line.get_label().startswith("_")}
    assert list(lines) == ["ar-en", "en-fr", "ar-ar", "en-en in ar+en", "en-en in en+fr", "fr-fr"]
    assert list(lines["ar-en"].get_xdata()) == [10, 20, 30, 40]
    assert list(lines["ar-en"].get_ydata()) == pytest.approx([-0.25, -0.15, -0.05, 0.05])
    assert list(lines["fr-fr"].get_ydata()) == pytest.approx([0.5] * 4)
    assert list(corrected.lines[0].get_ydata()) == pytest.approx([-0.5, -0.3, -0.1, 0.1])
    assert {line.get_label() for line in corrected.lines[:2]} == {"ar-en", "en-fr"}
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines.values()}
    assert len(looks) == len(lines)
    assert drawing.key == "gradient-series-theta"
    assert "ar-en +0.050, below zero at 75\N{NO-BREAK SPACE}% of steps" in drawing.description
    assert "en-en in en+fr +0.500, below zero at 0\N{NO-BREAK SPACE}% of steps" in drawing.description


def test_files_of_a_series_are_the_same_for_the_same_numbers(tmp_path: Path) -> None:
    kinds = ("pdf", "png", "svg")
    contents = []
    for name in ("one", "two"):
        drawing = draw_conflict_over_training([series_of("ar", "en", start=-0.2)], tmp_path / name)
        contents.append([(tmp_path / name / f"{drawing.key}.{kind}").read_bytes() for kind in kinds])
    assert contents[0] == contents[1]
    assert all(contents[0])
    assert "ar-en" in "".join(ElementTree.fromstring(drawing.svg).itertext())


def test_a_line_stops_where_nothing_can_be_told(tmp_path: Path, drawn: list[Figure]) -> None:
    told = [made_up({("ar", "en"): -0.2}, told=n != 1, step=n) for n in range(3)]
    draw_conflict_over_training([GradientConflictSeries(tuple(told))], tmp_path)
    raw, corrected = drawn[0].axes
    assert list(raw.lines[0].get_ydata()) == pytest.approx([-0.2] * 3)
    assert [math.isnan(y) for y in corrected.lines[0].get_ydata()] == [False, True, False]


def test_of_many_pairs_the_lowest_are_drawn(tmp_path: Path, drawn: list[Figure]) -> None:
    pairs = list(combinations(("ar", "en", "fr", "sw", "te"), 2))
    cosines = {pair: 0.05 * number for number, pair in enumerate(reversed(pairs))}
    series = GradientConflictSeries((made_up(cosines, step=1), made_up(cosines, step=2)))
    draw_conflict_over_training([series], tmp_path)
    labels = [line.get_label() for line in drawn[0].axes[1].lines if not line.get_label().startswith("_")]
    assert labels == ["-".join(pair) for pair in pairs[-MOST_PAIRS:]]


def test_points_of_one_measurement(tmp_path: Path, drawn: list[Figure]) -> None:
    drawing = draw_conflict(made_up({("ar", "en"): -0.2}), "en", "ar", tmp_path)
    (axes,) = drawn[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["theta", "layer 0", "attention", "ffn"]
    points = {line.get_label(): float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1}
    assert points["raw"] == pytest.approx(-0.2)
    assert points["raw if the same"] == pytest.approx(0.5)
    assert points["without noise"] == pytest.approx(-0.4)
    strokes = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == 3]
    assert strokes == [pytest.approx([-0.5, -0.3])]
    assert len(drawn[0].legends[0].get_texts()) == 3
    assert drawing.key == "gradients-en-ar"
    assert "theta \N{MINUS SIGN}0.400 (conflict)" in drawing.description


def test_what_cannot_be_told_says_so(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_conflict(made_up({("ar", "en"): -0.2}, told=False), "ar", "en", tmp_path)
    (axes,) = drawn[0].axes
    assert [text.get_text().strip() for text in axes.texts] == ["cannot tell"] * 4


def test_labels_that_are_no_file_names_are_numbered(tmp_path: Path) -> None:
    drawing = draw_conflict(made_up({("../x", "ar"): -0.2}), "ar", "../x", tmp_path)
    assert drawing.key == "gradients-ar-language-1"
    assert {path.name for path in tmp_path.iterdir()} == {f"{drawing.key}.{kind}" for kind in ("pdf", "png", "svg")}


def test_languages_that_were_not_measured_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not of `ru`"):
        draw_conflict(made_up({("ar", "en"): -0.2}), "ar", "ru", tmp_path)
