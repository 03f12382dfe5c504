"""How alike the representations of parallel sentences are, layer by layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from detente.diagnosis_results.agreement import Matrix
from detente.diagnosis_results.base import Diagnosis


@dataclass(frozen=True)
class LayerSimilarity:
    """Of one layer's representations of the same sentences in two languages. None where one of them is the same for all sentences."""

    cka: float | None
    """Linear CKA, in [0, 1]. High by itself where sentences are few beside the width: see `shuffled_cka`."""
    debiased_cka: float | None
    """From unbiased estimates: in [-1, 1], about zero for sentences that have nothing to do with each other."""
    shuffled_cka: float | None
    """The control: no sentence stands beside its translation."""
    shuffled_debiased_cka: float | None
    """The control of `debiased_cka`."""
    found_second: float
    """Share of the first language's sentences whose nearest neighbour in the second, by cosine, is the translation."""
    found_first: float
    """The other way round."""


@dataclass(frozen=True)
class PairSimilarity:
    """Of two languages."""

    first: str
    second: str
    sentences: int
    """1 / `sentences` of them are found by chance."""
    layers: tuple[LayerSimilarity, ...]
    """In the order in which the network computes them."""


@dataclass(frozen=True)
class RepresentationSimilarity(Diagnosis):
    """Of every pair of languages (method 7)."""

    FILE: ClassVar[str] = "similarity.json"
    languages: tuple[str, ...]
    pairs: tuple[PairSimilarity, ...]

    def matrix(
        self, layer: int, pick: Callable[[LayerSimilarity], float | None] = lambda found: found.debiased_cka
    ) -> Matrix:
        """[i][j]: one number of a layer, -1 being the last; symmetric, nothing on the diagonal and for pairs that were not compared."""
        found = {frozenset((pair.first, pair.second)): pick(pair.layers[layer]) for pair in self.pairs}
        return tuple(tuple(found.get(frozenset((a, b))) for b in self.languages) for a in self.languages)
