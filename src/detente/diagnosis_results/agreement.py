"""Which cheap diagnosis predicts the expensive truth: rank correlations between matrices over the same languages.

The cells of one language depend on each other, so N languages are N observations and not N (N - 1). Hence

interval   the jackknife over languages: each is left out with its row and column; Student's t of N - 1, cut at -1 and 1. Simulated
           with 4 to 12 languages, with and without effects of rows and columns, it held the true correlation in 93 to 100 % of
           the cases, and told 0.9 from zero with 5 languages in 7 of 10. (On Fisher's scale in 1 of 10; and the bootstrap
           over languages held the truth in as few as 76 %.) It speaks of languages like these.
p          Mantel's test (1967): languages of the predictor are permuted, rows and columns together. Two-sided. It asks only
           whether these languages would agree as well if they were mixed up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from detente.diagnosis_results.base import Diagnosis
from detente.errors import ConfigError
from detente.seeds import generator
from detente.student import student_t

Matrix = tuple[tuple[float | None, ...], ...]
"""[i][j]: a number of two languages, of what j does to i where the order matters; None where it is not known."""
Word = Literal["as expected", "against expectation", "cannot tell"]
Numbers = NDArray[np.float64]

EXPECTED_SIGN = {
    "gradient cosine": -1,
    "gradient cosine along training": -1,
    "gradient cosine of pairs": -1,
    "affinity": -1,
    "mask overlap": -1,
    "CKA": -1,
    "same script": -1,
    "distance": 1,
}
"""Of the correlation with interference, which is above zero where a language is hurt."""

FEWEST_CELLS = 3
FEWEST_CELLS_LEFT = 6
"""When a language is left out: of fewer the jackknife says too little (three pairs of four languages held the truth in 80 %)."""
MOST_PERMUTATIONS = 1000


@dataclass(frozen=True)
class PredictorAgreement:
    """How the cells of one predictor are ordered beside those of the truth."""

    predictor: str
    cells: Literal["ordered", "pairs"]
    """`ordered`: i with j and j with i are two cells. `pairs`: they are averaged, in predictor and truth."""
    num_cells: int
    """Known in both."""
    spearman: float | None
    """None for fewer than three cells, or when all are the same."""
    low: float | None
    """Of the 95 % interval of Spearman's correlation; None with fewer than four languages (five, for pairs), or where all hangs on one."""
    high: float | None
    p: float | None
    """Share of the permutations of languages that correlate as strongly: not below 1 / N! for N languages, nor below 1 / 1000."""
    kendall: float | None
    """Tau-b."""
    expected: int | None
    """Sign that the correlation should have: -1 where higher values promise less interference."""

    @property
    def word(self) -> Word:
        """Nothing can be told when the interval covers zero, or is missing, or when nobody knows what to expect."""
        if self.low is None or self.high is None or self.expected is None or self.low <= 0 <= self.high:
            return "cannot tell"
        return "as expected" if (self.low > 0) == (self.expected > 0) else "against expectation"


@dataclass(frozen=True)
class Agreement(Diagnosis):
    """Of several predictors with one truth."""

    FILE: ClassVar[str] = "agreement.json"
    languages: tuple[str, ...]
    truth: str
    """What is predicted, with its unit."""
    predictors: tuple[PredictorAgreement, ...]
    matrices: dict[str, Matrix]
    """What was compared: the truth and each predictor, by name."""

    def as_rows(self) -> list[list[str]]:
        """Header, then a row for each predictor, for a terminal."""
        header = ["predictor", "cells", "correlation", "low", "high", "p", "expected", "verdict"]
        return [header, *map(_row, self.predictors)]


def rank_agreement(
    languages: Sequence[str],
    truth: Matrix,
    predictors: Mapping[str, Matrix],
    *,
    name: str = "interference, bits per character",
) -> Agreement:
    """Spearman's and Kendall's correlation of each predictor with the truth, over the cells that both know; the diagonal is left out.

    A symmetric predictor is held against the mean of both directions. An asymmetric one is held against the ordered pairs, and
    again, averaged, against the means: only there can it be compared with the symmetric ones.

    Args:
        truth: [i][j]: what i loses when trained with j; above zero it is hurt.
        predictors: name -> [i][j], what should foretell it. `EXPECTED_SIGN` says in which direction, by name.
        name: of the truth.

    Raises:
        ConfigError: a matrix does not have a row and a column for each language.
    """
    expensive = _array(name, truth, len(languages))
    found = []
    for predictor, values in predictors.items():
        cheap = _array(predictor, values, len(languages))
        is_symmetric = np.allclose(cheap, cheap.T, rtol=1e-9, equal_nan=True)
        if not is_symmetric:
            found.append(_agreement(predictor, "ordered", expensive, cheap))
        # Of the truth the upper half is enough, and makes a pair one cell.
        found.append(_agreement(predictor, "pairs", _upper(_both_ways(expensive)), _both_ways(cheap)))
    return Agreement(tuple(languages), name, tuple(found), {name: truth, **predictors})


def _agreement(
    predictor: str, cells: Literal["ordered", "pairs"], truth: Numbers, cheap: Numbers
) -> PredictorAgreement:
    rho = _spearman(truth, cheap)
    low, high = _jackknife(truth, cheap, rho) or (None, None)
    return PredictorAgreement(
        predictor=predictor,
        cells=cells,
        num_cells=len(_cells(truth, cheap)[0]),
        spearman=rho,
        low=low,
        high=high,
        p=None if rho is None else _mantel(truth, cheap, rho),
        kendall=None if rho is None else _kendall(truth, cheap),
        expected=EXPECTED_SIGN.get(predictor),
    )


def _row(found: PredictorAgreement) -> list[str]:
    numbers = [found.spearman, found.low, found.high]
    return [
        found.predictor,
        f"{found.num_cells} {'pairs' if found.cells == 'pairs' else 'both ways'}",
        *("" if number is None else f"{number:+.2f}" for number in numbers),
        "" if found.p is None else f"{found.p:.3f}",
        {None: "", -1: "below zero", 1: "above zero"}[found.expected],
        found.word,
    ]


def _array(name: str, values: Matrix, size: int) -> Numbers:
    """NaN where nothing is known, and on the diagonal."""
    if len(values) != size or any(len(row) != size for row in values):
        raise ConfigError(f"the matrix of {name} needs {size} rows and columns, one for each language.")
    found = np.array([[np.nan if value is None else value for value in row] for row in values], dtype=np.float64)
    np.fill_diagonal(found, np.nan)
    return found


def _both_ways(values: Numbers) -> Numbers:
    """The mean of both directions, where both are known."""
    return (values + values.T) / 2


def _upper(values: Numbers) -> Numbers:
    return np.where(np.triu(np.ones_like(values)) > 0, values, np.nan)


def _cells(truth: Numbers, cheap: Numbers) -> tuple[Numbers, Numbers]:
    known = np.isfinite(truth) & np.isfinite(cheap)
    return truth[known], cheap[known]


def _spearman(truth: Numbers, cheap: Numbers, *, fewest: int = FEWEST_CELLS) -> float | None:
    from scipy.stats import rankdata  # slow to import

    x, y = (rankdata(cells) for cells in _cells(truth, cheap))
    if len(x) < fewest or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / math.sqrt((x @ x) * (y @ y)))


def _kendall(truth: Numbers, cheap: Numbers) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(*_cells(truth, cheap)).statistic)


def _jackknife(truth: Numbers, cheap: Numbers, rho: float | None) -> tuple[float, float] | None:
    known = np.isfinite(truth) & np.isfinite(cheap)
    present = np.flatnonzero(known.any(axis=0) | known.any(axis=1))
    rests = [[np.delete(np.delete(matrix, k, 0), k, 1) for matrix in (truth, cheap)] for k in present]
    without = [_spearman(*rest, fewest=FEWEST_CELLS_LEFT) for rest in rests]
    parts = np.array([value for value in without if value is not None])
    if rho is None or len(parts) < len(present):
        return None
    count = len(parts)
    error = math.sqrt((count - 1) / count * np.square(parts - parts.mean()).sum())
    arm = student_t(count) * error
    return max(-1.0, rho - arm), min(1.0, rho + arm)


def _mantel(truth: Numbers, cheap: Numbers, rho: float) -> float:
    found = [_spearman(truth, cheap[np.ix_(order, order)]) for order in _orders(len(truth))]
    # As strong but for rounding counts as strong.
    return sum(value is not None and abs(value) >= abs(rho) - 1e-12 for value in found) / len(found)


def _orders(count: int) -> list[NDArray[np.intp]]:
    """All orders of the languages where they are few, else so many drawn at random; the given one is always among them."""
    if math.factorial(count) <= MOST_PERMUTATIONS:
        return [np.array(order) for order in permutations(range(count))]
    random = generator("mantel", count)
    return [np.arange(count), *(random.permutation(count) for _ in range(MOST_PERMUTATIONS - 1))]
