"""What is known of two languages before anything is trained: whether they share a script, and how far apart they were built.

Matrices as `rank_agreement` takes them; symmetric, nothing on the diagonal.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from detente.corpus.constructed import distance
from detente.diagnosis_results.agreement import Matrix
from detente.languages import scripts_within
from detente.settings.text import ConstructedSettings

T = TypeVar("T")


def same_script(scripts: Mapping[str, str]) -> Matrix:
    """1 where two languages have letters in common, else 0.

    Args:
        scripts: label -> ISO 15924 code, as in `CorpusManifest.script`.
    """
    found = [frozenset(scripts_within(script)) for script in scripts.values()]
    return _matrix(found, lambda a, b: float(bool(a & b)))


def built_distances(languages: Mapping[str, ConstructedSettings | None]) -> Matrix:
    """`distance` of every two constructed languages; None beside real ones, which are given as None."""
    return _matrix(list(languages.values()), lambda a, b: distance(a, b) if a and b else None)


def _matrix(items: Sequence[T], between: Callable[[T, T], float | None]) -> Matrix:
    return tuple(tuple(None if i == j else between(a, b) for j, b in enumerate(items)) for i, a in enumerate(items))
