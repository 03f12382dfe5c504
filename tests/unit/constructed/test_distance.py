from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detente.corpus.constructed import DEMO_LANGUAGES, distance
from detente.settings.text import ConstructedSettings

FEATURES = ("lexicon_seed", "shared_vocabulary", "script", "word_order", "morphology", "adposition", "adjective")
ROUNDING = 1e-12
AT_ANY_SPEED = settings(deadline=None)

_CHOICES = {
    feature: st.sampled_from(get_args(ConstructedSettings.model_fields[feature].annotation))
    for feature in ("script", "word_order", "morphology", "adposition", "adjective")
}
LANGUAGES = st.builds(
    ConstructedSettings,
    lexicon_seed=st.integers(0, 3),
    shared_vocabulary=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    sentences=st.integers(1, 9),
    meaning_seed=st.integers(0, 3),
    **_CHOICES,
)


def is_same_language(a: ConstructedSettings, b: ConstructedSettings) -> bool:
    return all(getattr(a, feature) == getattr(b, feature) for feature in FEATURES)


@AT_ANY_SPEED
@given(LANGUAGES, LANGUAGES)
def test_symmetric_and_within_bounds(a, b):
    assert distance(a, b) == distance(b, a)
    assert 0 <= distance(a, b) <= 1


@AT_ANY_SPEED
@given(LANGUAGES, LANGUAGES)
def test_zero_means_the_same_language(a, b):
    assert (distance(a, b) == 0) == is_same_language(a, b)


@AT_ANY_SPEED
@given(LANGUAGES, LANGUAGES, LANGUAGES)
def test_triangle_inequality(a, b, c):
    assert distance(a, c) <= distance(a, b) + distance(b, c) + ROUNDING


@AT_ANY_SPEED
@given(LANGUAGES, LANGUAGES, st.sampled_from(FEATURES))
def test_agreeing_in_one_more_feature_never_takes_apart(a, b, feature):
    nearer = b.model_copy(update={feature: getattr(a, feature)})
    if feature == "shared_vocabulary" and a.lexicon_seed != b.lexicon_seed:
        nearer = b.model_copy(update={feature: max(a.shared_vocabulary, b.shared_vocabulary)})
    assert distance(a, nearer) <= distance(a, b) + ROUNDING


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lexicon_seed": 2}, 0.45),
        ({"lexicon_seed": 2, "shared_vocabulary": 1.0}, 0.45),
        ({"shared_vocabulary": 0.4}, 0.14),
        ({"script": "greek"}, 0.15),
        ({"word_order": "sov"}, 0.05),
        ({"word_order": "vso"}, 0.05),
        ({"word_order": "ovs"}, 0.15),
        ({"morphology": "isolating"}, 0.15),
        ({"adposition": "after"}, 0.05),
        ({"adjective": "after"}, 0.05),
        ({"sentences": 5, "meaning_seed": 4}, 0.0),
        (
            {
                "lexicon_seed": 2,
                "script": "greek",
                "word_order": "ovs",
                "morphology": "prefixing",
                "adposition": "after",
                "adjective": "after",
            },
            1.0,
        ),
    ],
)
def test_values(change, expected):
    assert distance(ConstructedSettings(), ConstructedSettings(**change)) == pytest.approx(expected, abs=ROUNDING)


def test_sharing_more_brings_together():
    pairs = [
        [ConstructedSettings(lexicon_seed=seed, shared_vocabulary=share) for seed in (1, 2)] for share in (0, 0.3, 0.9)
    ]
    far, middle, near = (distance(*pair) for pair in pairs)
    assert far > middle > near > 0


def test_demo_languages_have_something_at_stake():
    assert 0.5 < distance(*DEMO_LANGUAGES.values()) < 0.8
