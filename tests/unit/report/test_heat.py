"""Matrices of the page: their numbers, shades and words."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from detente.diagnosis_results.affinity import AffinityDraw, affinity_of
from detente.report.diagnoses import read_diagnoses
from detente.report.heat import (
    HeatCell,
    affinity_heat,
    cosine_heat,
    heat_cell,
    interference_heat,
    symmetric_heat,
)
from detente.report.interference_matrix import interference_matrix
from detente.report.inventory import Study, read_study
from detente.report.statistics import Estimate, estimate
from detente.report.verdict import places_of, verdicts

MINUS = "\N{MINUS SIGN}"
LABELS = ("en", "sw", "te")


def shown(value: float, **options: str) -> HeatCell:
    return heat_cell(estimate([value]), 0.4, **{"is_better": "lower", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "shade"),
    [(0.4, "bad-4"), (0.31, "bad-4"), (0.29, "bad-3"), (0.05, "bad-1"), (0.01, ""), (-0.01, ""), (-0.11, "good-2")],
)
def test_the_stronger_the_more(value: float, shade: str) -> None:
    assert shown(value).shade == shade
    turned = shade.replace("bad", "x").replace("good", "bad").replace("x", "good")
    assert shown(value, is_better="higher").shade == turned


def test_words_and_intervals() -> None:
    assert shown(-0.1) == HeatCell(f"{MINUS}0.100", "", "good-1", "", False)
    clear = heat_cell(Estimate(0.2, 0.1, 0.3, 3), 0.4, is_better="lower", word="hurt")
    assert clear == HeatCell("+0.200", "\N{PLUS-MINUS SIGN}\N{NO-BREAK SPACE}0.100", "bad-2", "hurt", True)
    assert heat_cell(Estimate(0.2, -0.1, 0.5, 3), 0.4, is_better="lower").word == "cannot tell"
    stuck = heat_cell(Estimate(0.2, 0.1, 0.3, 3), 0.4, is_better="lower", word="cannot tell", has_learned=False)
    assert (stuck.text, stuck.shade, stuck.is_clear) == ("+0.200\N{DAGGER}", "", False)
    assert heat_cell(estimate([float("nan")]), 0.4, is_better="lower").text == "not finite"


def test_interference(make_study: Callable[..., Study]) -> None:
    study = make_study(languages=LABELS, mixtures=tuple(combinations(LABELS, 2)), treatments=("none",))
    heat = interference_heat(interference_matrix(study))
    assert heat.columns == (*LABELS, "mean")
    assert [[bool(cell.text) for cell in row.cells] for row in heat.rows] == [
        [False, True, True, True],
        [True, False, True, True],
        [True, True, False, True],
    ]
    assert [row.cells[-1].shade[:-2] for row in heat.rows] == ["bad", "good", "bad"]
    assert heat.foot is not None
    assert heat.foot.cells[-1].text == ""


def test_one_seed_says_that_nothing_follows(make_study: Callable[..., Study]) -> None:
    study = make_study(languages=LABELS, mixtures=tuple(combinations(LABELS, 2)), treatments=("none",), seeds=(1,))
    heat = interference_heat(interference_matrix(study))
    assert heat.notes[0].startswith("One seed gives no interval")
    assert not any(cell.is_clear for row in heat.rows for cell in row.cells)


def test_gradients_by_layer_and_the_sentence_on_them(write_everything: Callable[..., Path]) -> None:
    study = read_study(write_everything(treatments=("none",)))
    found = read_diagnoses(study, LABELS)
    heat = cosine_heat(list(found.gradients.values()))
    assert heat.columns == ("all shared", "layer 0", "attention", "ffn")
    assert [row.languages for row in heat.rows] == list(combinations(LABELS, 2))
    assert {(row.cells[2].shade[:3], row.cells[3].shade[:4]) for row in heat.rows} == {("bad", "good")}
    assert {(place.where, place.cosine.is_below_zero) for place in places_of(list(found.gradients.values()))} >= {
        ("attention", True),
        ("ffn", False),
    }
    (verdict, *_) = verdicts(study, {LABELS: found})
    assert verdict.places.startswith("Gradients conflict beyond doubt in attention (")
    assert "ffn" not in verdict.places
    one = cosine_heat([found.gradients[1]])
    assert "interval of its measurement alone" in one.caption
    assert one.rows[0].cells[0].word == "cannot tell", "the measurement's own interval holds zero"


def test_affinity_and_likeness() -> None:
    draws = [AffinityDraw(1, 0.1, ((0.02, -0.01), (0.0, 0.01))), AffinityDraw(1, 0.1, ((0.02, -0.03), (0.0, 0.02)))]
    heat = affinity_heat(affinity_of(("en", "sw"), draws))
    assert [[cell.text for cell in row.cells] for row in heat.rows] == [["+2.00", f"{MINUS}2.00"], ["+0.00", "+1.50"]]
    assert [cell.shade for cell in heat.rows[0].cells] == ["good-4", "bad-4"]
    alike = symmetric_heat("cka", "", "", ("en", "sw"), ((None, 0.5), (0.5, None)))
    assert [cell.text for cell in alike.rows[0].cells] == ["", "+0.500"]
    assert not alike.has_intervals
