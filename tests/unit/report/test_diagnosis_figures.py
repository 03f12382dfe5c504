"""Figures of matrices, similarity and agreement: what is in them, and that the same numbers give the same files."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from detente.diagnosis_results.affinity import AffinityDraw, affinity_of
from detente.diagnosis_results.agreement import Agreement, PredictorAgreement
from detente.diagnosis_results.similarity import LayerSimilarity, PairSimilarity, RepresentationSimilarity
from detente.report.agreement_figure import draw_agreement
from detente.report.canvas import Drawing
from detente.report.interference_matrix import interference_matrix
from detente.report.inventory import read_study
from detente.report.matrix_figure import (
    BAD,
    GOOD,
    ON_DARK,
    ON_LIGHT,
    MatrixPicture,
    affinity_picture,
    draw_matrix,
    interference_picture,
)
from detente.report.palette import VARIANTS

SVG = "{http://www.w3.org/2000/svg}"
MINUS = "\N{MINUS SIGN}"
PICTURE = MatrixPicture(
    key="interference-matrix",
    title="Bits per character lost",
    rows="hurt",
    columns="trained with",
    languages=("en", "sw", "te"),
    values=((None, 0.126, None), (-0.06, None, 0.0), (0.011, 0.0004, None)),
    better="lower",
    clear=((False, True, False), (False, False, False), (False, False, False)),
)


def texts(drawing: Drawing) -> list[str]:
    """All that is written in the figure, its description left out."""
    return [(element.text or "").strip() for element in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


def style_of(drawing: Drawing, text: str) -> str:
    (element,) = [one for one in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text") if one.text == text]
    return element.attrib["style"]


def fills(drawing: Drawing) -> set[str]:
    return set(re.findall(r"fill: (#[0-9a-f]{6})", drawing.svg))


def test_matrix_has_a_number_in_every_cell_that_is_known(tmp_path: Path) -> None:
    drawing = draw_matrix(PICTURE, tmp_path)
    written = texts(drawing)
    for number in ("+0.126", f"{MINUS}0.060", "+0.000", "+0.011"):
        assert number in written
    assert len([text for text in written if text[:1] in {"+", MINUS}]) == 5
    assert written.count("en") == written.count("te") == 2, "beside the rows and over the columns"
    assert {"hurt", "trained with"} <= set(written)
    for ending in ("pdf", "png", "svg"):
        assert (tmp_path / f"interference-matrix.{ending}").stat().st_size > 1000


def test_the_matrix_is_told_in_words(tmp_path: Path) -> None:
    drawing = draw_matrix(PICTURE, tmp_path)
    assert drawing.description == (
        f"Rows: hurt; columns: trained with. en sw +0.126; en te missing; sw en {MINUS}0.060; sw te +0.000; "
        "te en +0.011; te sw +0.000."
    )
    assert drawing.description in drawing.svg


def test_missing_cells_are_hatched_and_the_empty_diagonal_is_not(tmp_path: Path) -> None:
    assert "pattern" in draw_matrix(PICTURE, tmp_path).svg
    whole = replace(PICTURE, values=((None, 0.1, 0.2), (0.1, None, 0.3), (0.1, 0.1, None)))
    assert "pattern" not in draw_matrix(whole, tmp_path).svg


def test_the_largest_number_has_the_colour_of_its_side(tmp_path: Path) -> None:
    hurt = draw_matrix(PICTURE, tmp_path)
    assert BAD in fills(hurt)
    assert GOOD not in fills(hurt), "half as large on the other side"
    helped = draw_matrix(replace(PICTURE, better="higher"), tmp_path)
    assert GOOD in fills(helped)
    assert BAD not in fills(helped)


def test_numbers_keep_their_ink_on_a_dark_page(tmp_path: Path) -> None:
    """They stand on a cell's own colour, and must not turn light with the page's type."""
    drawing = draw_matrix(PICTURE, tmp_path)
    assert ON_DARK in style_of(drawing, "+0.126")
    assert ON_LIGHT in style_of(drawing, "+0.011")
    assert "currentColor" in style_of(drawing, "hurt")


def test_only_numbers_that_are_clear_of_zero_are_bold(tmp_path: Path) -> None:
    drawing = draw_matrix(PICTURE, tmp_path)
    assert re.search(r"font-weight: 700", style_of(drawing, "+0.126"))
    assert not re.search(r"font-weight: 700", style_of(drawing, f"{MINUS}0.060"))


def test_the_same_matrix_gives_the_same_files(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        draw_matrix(PICTURE, tmp_path / folder)
    for ending in ("pdf", "png", "svg"):
        first, second = (tmp_path / folder / f"interference-matrix.{ending}" for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("languages", [("en",), ("a language", "another language")])
def test_matrices_of_one_and_two_languages(tmp_path: Path, languages: tuple[str, ...]) -> None:
    size = len(languages)
    values = tuple(tuple(None if i == j else 0.0 for j in range(size)) for i in range(size))
    drawing = draw_matrix(replace(PICTURE, languages=languages, values=values, clear=None), tmp_path)
    assert set(languages) <= set(texts(drawing))


def test_picture_of_a_studys_interference(write_study: Callable[..., Path], tmp_path: Path) -> None:
    study = read_study(write_study(treatments=("none", "ffn"), noise=1e-4))
    picture = interference_picture(interference_matrix(study))
    assert picture.title == "Bits per character lost in pairs, by steps"
    assert picture.clear == ((False, True), (True, False))
    drawing = draw_matrix(picture, tmp_path)
    assert drawing.key == "interference-matrix"
    assert f"{MINUS}0.06" in drawing.description
    treated = interference_picture(interference_matrix(study, system="ffn"))
    assert (treated.key, treated.title) == (
        "interference-matrix-ffn",
        "Bits per character lost in pairs, ffn, by steps",
    )


def test_picture_of_affinity_is_in_percent(tmp_path: Path) -> None:
    draws = [AffinityDraw(0, 0.1, ((0.02 + 1e-4 * k, -0.01), (0.001 * (-1) ** k, 0.03))) for k in range(4)]
    picture = affinity_picture(affinity_of(("en", "sw"), draws))
    assert picture.values[0][1] == pytest.approx(-1.0)
    assert picture.clear == ((True, True), (False, True))
    assert picture.better == "higher"
    assert f"{MINUS}1.00" in texts(draw_matrix(picture, tmp_path))
    assert affinity_picture(affinity_of(("en", "sw"), draws[:1])).clear is None


def layers(last: float, *, is_known: bool = True) -> tuple[LayerSimilarity, ...]:
    debiased = last if is_known else None
    return (LayerSimilarity(0.4, 0.1, 0.3, 0.0, 0.1, 0.2), LayerSimilarity(0.6, debiased, 0.3, 0.01, 0.5, 0.7))


def similarity(languages: tuple[str, ...]) -> RepresentationSimilarity:
    pairs = [
        PairSimilarity(a, b, 100, layers(0.1 + 0.02 * place)) for place, (a, b) in enumerate(combinations(languages, 2))
    ]
    return RepresentationSimilarity(languages, tuple(pairs))


def test_similarity_names_every_pair(tmp_path: Path) -> None:
    drawing = draw_similarity_of(("en", "sw", "te"), tmp_path)
    assert {"en\N{EN DASH}sw", "en\N{EN DASH}te", "sw\N{EN DASH}te", "shuffled, chance"} <= set(texts(drawing))
    assert {"linear CKA", "CKA, debiased", "translations found", "layer"} <= set(texts(drawing))
    assert "en\N{EN DASH}sw 0.10, 60% found" in drawing.description
    assert {f"var(--series-{look.name})" for look in VARIANTS[:3]} <= set(
        re.findall(r"var\(--series-[\w-]+\)", drawing.svg)
    )
    assert (tmp_path / "similarity.pdf").exists()


def draw_similarity_of(languages: tuple[str, ...], folder: Path) -> Drawing:
    from detente.report.similarity_figure import draw_similarity

    return draw_similarity(similarity(languages), folder)


def test_of_many_pairs_the_most_and_the_least_alike_are_named(tmp_path: Path) -> None:
    """21 pairs, of which the first is the least alike and the last the most."""
    written = texts(draw_similarity_of(tuple("abcdefg"), tmp_path))
    assert [text for text in written if "\N{EN DASH}" in text] == ["a\N{EN DASH}b", "f\N{EN DASH}g"]


def test_a_layer_without_a_number_is_a_gap(tmp_path: Path) -> None:
    from detente.report.similarity_figure import draw_similarity

    pair = PairSimilarity("en", "sw", 100, layers(0.1, is_known=False))
    drawing = draw_similarity(RepresentationSimilarity(("en", "sw"), (pair,)), tmp_path)
    assert "en\N{EN DASH}sw unknown, 60% found" in drawing.description


FOUND = PredictorAgreement("gradient cosine", "pairs", 15, -0.8, -0.95, -0.4, 0.01, -0.6, -1)
AGREEMENT = Agreement(
    ("en", "sw"),
    "interference, bits per character",
    (
        FOUND,
        replace(FOUND, predictor="distance", spearman=-0.5, expected=1),
        replace(FOUND, predictor="affinity", cells="ordered", num_cells=6, low=None, high=None),
        PredictorAgreement("same script", "pairs", 15, None, None, None, None, None, -1),
    ),
    {},
)


def test_agreement_in_figure_and_words(tmp_path: Path) -> None:
    drawing = draw_agreement(AGREEMENT, tmp_path)
    assert drawing is not None
    written = texts(drawing)
    assert "gradient cosine \N{LEFTWARDS ARROW}" in written
    assert "distance \N{RIGHTWARDS ARROW}" in written
    assert "both directions, 6 cells" in written
    assert "cannot be computed" in written
    assert "gradient cosine (pairs) \N{MINUS SIGN}0.80, 95\N{NO-BREAK SPACE}% interval" in drawing.description
    for word in ("as expected", "against expectation", "affinity (both directions) \N{MINUS SIGN}0.80, cannot tell"):
        assert word in drawing.description
    assert drawing.key == "agreement"


def test_agreement_of_nothing_is_not_drawn(tmp_path: Path) -> None:
    assert draw_agreement(replace(AGREEMENT, predictors=()), tmp_path) is None
