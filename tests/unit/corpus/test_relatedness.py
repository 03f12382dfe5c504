"""Matrices of what is known before training: scripts in common, and distances that were built in."""

import pytest

from detente.corpus.constructed import distance
from detente.corpus.relatedness import built_distances, same_script
from detente.settings.text import ConstructedSettings


def test_same_script() -> None:
    found = same_script({"en": "Latn", "ru": "Cyrl", "sw": "Latn"})
    assert found == ((None, 0.0, 1.0), (0.0, None, 0.0), (1.0, 0.0, None))


@pytest.mark.parametrize(
    ("first", "second", "expected"), [("Jpan", "Hant", 1.0), ("Hans", "Hant", 1.0), ("Jpan", "Hang", 0.0)]
)
def test_scripts_that_come_together_share_letters(first: str, second: str, expected: float) -> None:
    assert same_script({"a": first, "b": second})[0][1] == expected


def test_built_distances_and_real_languages_beside_them() -> None:
    a, b = ConstructedSettings(), ConstructedSettings(script="greek", lexicon_seed=2)
    found = built_distances({"a": a, "b": b, "en": None})
    assert found[0][1] == found[1][0] == distance(a, b) > 0
    assert [found[place][place] for place in range(3)] == [None, None, None]
    assert found[2] == (None, None, None)
    assert built_distances({"a": a, "again": a})[0][1] == 0.0
