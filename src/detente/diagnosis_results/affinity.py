"""What a step on one language does to the loss of another, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detente.diagnosis_results.agreement import Matrix
from detente.diagnosis_results.base import Diagnosis
from detente.errors import ConfigError
from detente.student import student_t

Numbers = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class AffinityDraw:
    """Of one draw of batches at one checkpoint."""

    step: int | None
    """Of training, at which the parameters were taken, where that is known."""
    rate: float
    """Of the SGD step."""
    values: Numbers
    """[i][j]: as in `LookaheadAffinity.mean`."""


@dataclass(frozen=True)
class LookaheadAffinity(Diagnosis):
    """Lookahead affinity Z (Fifty et al. 2021): asymmetric; above zero, language i's step helps j.

    The interval says where the mean would lie if other batches had been drawn at these training steps. All draws count as
    one sample, so that a trend over training widens it. One draw gives none.
    """

    FILE: ClassVar[str] = "affinity.json"
    languages: tuple[str, ...]
    mean: Numbers
    """[i][j]: the share of j's loss that a step on i takes away, over all draws. [i][i]: on another batch of i."""
    low: Numbers | None
    """Lower ends of the intervals."""
    high: Numbers | None
    """Upper ends."""
    draws: tuple[AffinityDraw, ...]
    """What the means are of."""

    @property
    def received(self) -> Matrix:
        """[i][j]: what a step on j does to i, as the matrix of interference has rows and columns; nothing on the diagonal."""
        places = range(len(self.languages))
        return tuple(tuple(None if i == j else self.mean[j][i] for j in places) for i in places)


def affinity_of(languages: Sequence[str], draws: Sequence[AffinityDraw]) -> LookaheadAffinity:
    """Mean and Student-t interval of every pair of languages over the draws."""
    assert draws, "an affinity needs a draw"
    values = np.array([draw.values for draw in draws])
    mean, low, high = values.mean(axis=0), None, None
    if len(draws) > 1:
        arm = student_t(len(draws)) * values.std(axis=0, ddof=1) / math.sqrt(len(draws))
        low, high = _numbers(mean - arm), _numbers(mean + arm)
    return LookaheadAffinity(tuple(languages), _numbers(mean), low, high, tuple(draws))


def mean_affinity(results: Sequence[LookaheadAffinity]) -> LookaheadAffinity:
    """Over checkpoints, as Fifty et al. average over training steps; every draw weighs the same.

    Raises:
        ConfigError: there are no results, or they are of other languages or in another order.
    """
    if len({result.languages for result in results}) != 1:
        found = ", ".join("+".join(result.languages) for result in results) or "none"
        raise ConfigError(f"affinities are averaged over results of the same languages, found {found}.")
    return affinity_of(results[0].languages, [draw for result in results for draw in result.draws])


def _numbers(values: np.ndarray) -> Numbers:
    return tuple(map(tuple, values.tolist()))
