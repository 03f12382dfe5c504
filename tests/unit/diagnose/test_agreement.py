"""Rank correlations of matrices: against scipy, against permutations counted by hand, and what cannot be told."""

from collections.abc import Sequence
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from detente.diagnosis_results.agreement import Agreement, Matrix, PredictorAgreement, rank_agreement
from detente.errors import ConfigError

Numbers = NDArray[np.float64]
NAMES = ("en", "fr", "ru", "ar", "sw", "te")


def matrix_of(values: Numbers) -> Matrix:
    """Nothing on the diagonal, and None for NaN."""
    size = len(values)
    return tuple(
        tuple(None if i == j or np.isnan(values[i, j]) else float(values[i, j]) for j in range(size))
        for i in range(size)
    )


def random_matrix(seed: int, size: int = 6) -> Numbers:
    return np.random.default_rng(seed).normal(size=(size, size))


def symmetric(values: Numbers) -> Numbers:
    return (values + values.T) / 2


def agreement(truth: Numbers, cheap: Numbers, name: str = "affinity") -> list[PredictorAgreement]:
    languages = [f"language{number}" for number in range(len(truth))]
    return list(rank_agreement(languages, matrix_of(truth), {name: matrix_of(cheap)}).predictors)


def ordered_cells(*matrices: Numbers, without: int | None = None) -> list[list[float]]:
    places = [(i, j) for i, j in permutations(range(len(matrices[0])), 2) if without not in (i, j)]
    return [[matrix[place] for place in places] for matrix in matrices]


def pair_cells(*matrices: Numbers, without: int | None = None) -> list[list[float]]:
    places = [(i, j) for i, j in combinations(range(len(matrices[0])), 2) if without not in (i, j)]
    return [[(matrix[i, j] + matrix[j, i]) / 2 for i, j in places] for matrix in matrices]


def jackknife(estimate: float, without: Sequence[float]) -> tuple[float, float]:
    """By pseudo-values (Tukey 1958), whose mean is not the centre here: the interval lies around the estimate."""
    count = len(without)
    pseudo = [count * estimate - (count - 1) * value for value in without]
    arm = stats.t.ppf(0.975, count - 1) * stats.sem(pseudo)
    return max(-1, estimate - arm), min(1, estimate + arm)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_scipy_on_ordered_cells_and_on_pairs(seed: int) -> None:
    truth, cheap = random_matrix(seed), random_matrix(seed) + 1.5 * random_matrix(seed + 10)
    for found, kind, cells, count in zip(
        agreement(truth, cheap), ("ordered", "pairs"), (ordered_cells, pair_cells), (30, 15), strict=True
    ):
        assert (found.cells, found.num_cells) == (kind, count)
        rho = stats.spearmanr(*cells(truth, cheap)).statistic
        assert found.spearman == pytest.approx(rho)
        assert found.kendall == pytest.approx(stats.kendalltau(*cells(truth, cheap)).statistic)
        without = [stats.spearmanr(*cells(truth, cheap, without=k)).statistic for k in range(6)]
        assert (found.low, found.high) == pytest.approx(jackknife(rho, without))


def test_a_symmetric_predictor_is_held_against_pairs_only() -> None:
    truth = random_matrix(0)
    (found,) = agreement(truth, symmetric(truth))
    assert (found.cells, found.num_cells) == ("pairs", 15)
    assert found.spearman == pytest.approx(1.0)
    # Products of gradients, taken in two orders, differ in the last bits.
    (nearly,) = agreement(truth, symmetric(truth) * (1 + 1e-13 * np.tri(6)))
    assert nearly.num_cells == 15


def test_ties_of_a_matrix_of_zeros_and_ones() -> None:
    truth, scripts = symmetric(random_matrix(0)), np.array([0, 0, 0, 1, 0, 2])
    same = (scripts[:, None] == scripts[None, :]).astype(float)
    (found,) = agreement(truth, same, "same script")
    assert found.spearman == pytest.approx(stats.spearmanr(*pair_cells(truth, same)).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(*pair_cells(truth, same)).statistic)


def test_mantel_of_a_perfect_predictor_counts_one_order() -> None:
    """All cells differ: of the 4! orders of the languages the given one alone brings a correlation of 1."""
    truth = random_matrix(5, 4)
    ordered, pairs = agreement(truth, 3 * truth + 1)
    assert ordered.p == pytest.approx(1 / 24)
    assert pairs.p == pytest.approx(1 / 24)


def test_mantel_has_two_sides() -> None:
    """Cells in the order of reading: the reverse order of the languages turns them round, to a correlation of -1."""
    truth = np.arange(16.0).reshape(4, 4)
    assert agreement(truth, truth)[0].p == pytest.approx(2 / 24)


def test_mantel_counts_orders_that_change_nothing() -> None:
    """The predictor knows two groups of two: swapping inside either, and the groups, leave it as it is: 2 * 2 * 2 of 4!."""
    truth = np.array([[0, 9, 1, 2], [9, 0, 3, 4], [1, 3, 0, 7], [2, 4, 7, 0]], dtype=float)
    groups = np.array([0, 0, 1, 1])
    cheap = (groups[:, None] == groups[None, :]).astype(float)
    (found,) = agreement(truth, cheap)
    assert found.p == pytest.approx(8 / 24)


def test_mantel_equals_a_count_over_all_orders() -> None:
    truth, cheap = random_matrix(3, 5), random_matrix(3, 5) + random_matrix(4, 5)
    ordered, _ = agreement(truth, cheap)
    rhos = [
        stats.spearmanr(*ordered_cells(truth, cheap[np.ix_(order, order)])).statistic
        for order in permutations(range(5))
    ]
    expected = np.mean([abs(rho) >= abs(rhos[0]) - 1e-12 for rho in rhos])
    assert ordered.p == pytest.approx(expected)


def test_many_languages_are_permuted_at_random_and_alike_each_time() -> None:
    """8! orders are too many: of 1,000 the given one alone is as good."""
    truth = random_matrix(0, 8)
    first, again = (agreement(truth, symmetric(truth))[0] for _ in range(2))
    assert first == again
    assert first.p == pytest.approx(1 / 1000)


def test_what_is_unrelated_is_rarely_told() -> None:
    """Of 60 unrelated matrices over 5 languages, whose rows and columns have effects, 3 or fewer look related."""
    told = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        truth, cheap = (
            random.normal(size=(5, 5)) + random.normal(size=(5, 1)) + random.normal(size=(1, 5)) for _ in range(2)
        )
        told += agreement(truth, cheap)[0].word != "cannot tell"
    assert told <= 3


def test_missing_cells_are_left_out() -> None:
    truth, cheap = random_matrix(0), random_matrix(0) + random_matrix(1)
    truth[0, 1] = np.nan
    cheap[2, 3] = np.nan
    ordered, pairs = agreement(truth, cheap)
    assert (ordered.num_cells, pairs.num_cells) == (28, 13)
    x, y = ordered_cells(truth, cheap)
    expected = stats.spearmanr(x, y, nan_policy="omit").statistic
    assert ordered.spearman == pytest.approx(expected)


def test_order_of_the_languages_does_not_matter() -> None:
    truth, cheap, order = random_matrix(0, 5), random_matrix(0, 5) + random_matrix(1, 5), np.array([3, 0, 4, 1, 2])
    turned = agreement(truth[np.ix_(order, order)], cheap[np.ix_(order, order)])
    for one, other in zip(agreement(truth, cheap), turned, strict=True):
        assert one.p == other.p
        assert (one.spearman, one.low, one.high) == pytest.approx((other.spearman, other.low, other.high))


def test_the_diagonal_does_not_count() -> None:
    truth, cheap = random_matrix(0), random_matrix(1)
    given = matrix_of(truth), matrix_of(cheap)
    filled = tuple(tuple(99.0 if value is None else value for value in row) for row in given[1])
    found, expected = (rank_agreement(NAMES, given[0], {"CKA": values}) for values in (given[1], filled))
    assert found.predictors == expected.predictors


@pytest.mark.parametrize(
    ("name", "sign", "word"),
    [
        ("gradient cosine", -1, "as expected"),
        ("gradient cosine", 1, "against expectation"),
        ("distance", 1, "as expected"),
        ("distance", -1, "against expectation"),
        ("something new", 1, "cannot tell"),
    ],
)
def test_words(name: str, sign: int, word: str) -> None:
    truth = symmetric(random_matrix(0))
    (found,) = agreement(truth, sign * truth + 0.05 * symmetric(random_matrix(1)), name)
    assert found.word == word


@pytest.mark.parametrize(
    ("size", "is_symmetric", "has_interval"), [(5, True, True), (4, True, False), (4, False, True), (3, False, False)]
)
def test_few_languages_have_no_interval(size: int, is_symmetric: bool, has_interval: bool) -> None:
    truth = random_matrix(0, size)
    cheap = truth + 0.1 * random_matrix(1, size)
    found = agreement(truth, symmetric(cheap) if is_symmetric else cheap)[0]
    assert found.spearman is not None
    assert (found.low is not None) == has_interval
    if not has_interval:
        assert found.word == "cannot tell"


def test_an_interval_that_hangs_on_one_language_is_none() -> None:
    """Without the only language of another script all cells are the same, and no correlation is left."""
    truth, scripts = symmetric(random_matrix(0)), np.array([0, 0, 0, 0, 0, 1])
    (found,) = agreement(truth, (scripts[:, None] == scripts[None, :]).astype(float), "same script")
    assert found.spearman is not None
    assert found.low is None


@pytest.mark.parametrize("cheap", [np.ones((6, 6)), np.full((6, 6), np.nan)])
def test_what_has_no_order_has_no_correlation(cheap: Numbers) -> None:
    (found,) = agreement(random_matrix(0), cheap)
    assert (found.spearman, found.kendall, found.p, found.low) == (None, None, None, None)
    assert found.word == "cannot tell"


def test_two_languages_have_one_pair(tmp_path: Path) -> None:
    (found,) = agreement(random_matrix(0, 2), symmetric(random_matrix(1, 2)))
    assert (found.num_cells, found.spearman) == (1, None)


def test_wrong_size_is_named() -> None:
    truth = matrix_of(random_matrix(0))
    with pytest.raises(ConfigError, match="the matrix of CKA needs 6 rows and columns"):
        rank_agreement(NAMES, truth, {"CKA": truth[:5]})
    with pytest.raises(ConfigError, match="the matrix of bits needs 5 rows"):
        rank_agreement(NAMES[:5], truth, {}, name="bits")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    truth = matrix_of(random_matrix(0))
    found = rank_agreement(NAMES, truth, {"CKA": matrix_of(symmetric(random_matrix(1))), "affinity": truth})
    assert [one.cells for one in found.predictors] == ["pairs", "ordered", "pairs"]
    assert found.write(tmp_path).name == "agreement.json"
    assert Agreement.read(tmp_path) == found


def test_rows_for_a_terminal(tmp_path: Path) -> None:
    """Signs of what is expected, blanks where nothing is known; and the matrices are kept as given."""
    truth = matrix_of(random_matrix(0))
    constant = tuple(tuple(None if i == j else 1.0 for j in range(len(NAMES))) for i in range(len(NAMES)))
    found = rank_agreement(NAMES, truth, {"distance": truth, "same script": constant})
    header, ordered, pairs, same = found.as_rows()
    assert header[:3] == ["predictor", "cells", "correlation"]
    assert ordered[:3] == ["distance", f"{len(NAMES) * (len(NAMES) - 1)} both ways", "+1.00"]
    assert (pairs[1], pairs[6], pairs[7]) == (
        f"{len(NAMES) * (len(NAMES) - 1) // 2} pairs",
        "above zero",
        "as expected",
    )
    assert same[2:6] == ["", "", "", ""]
    found.write(tmp_path)
    assert Agreement.read(tmp_path).matrices == {
        "interference, bits per character": truth,
        "distance": truth,
        "same script": constant,
    }
