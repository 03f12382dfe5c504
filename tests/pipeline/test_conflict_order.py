"""Gradient conflict against a truth: on constructed languages, pairs are ordered by how far apart they were built."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from statistics import fmean

import pytest

from detente.corpus.constructed import distance
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.examine import FOLDER
from detente.settings import study_from_mapping
from detente.settings.text import ConstructedSettings
from detente.study import run_study

LANGUAGES = {
    "qaa": {"lexicon_seed": 1, "shared_vocabulary": 0.5},
    # The same words in another order.
    "qab": {"lexicon_seed": 1, "shared_vocabulary": 0.5, "word_order": "sov", "adposition": "after", "text_seed": 1},
    # Half of the words.
    "qac": {"lexicon_seed": 2, "shared_vocabulary": 0.5, "text_seed": 2},
    # Nothing but the world that is spoken of.
    "qad": {
        "lexicon_seed": 6,
        "script": "georgian",
        "word_order": "vos",
        "adjective": "after",
        "morphology": "prefixing",
        "text_seed": 3,
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("order")
    languages = {
        label: {"name": label, "script": "Latn", "constructed": {"sentences": 3000, **settings}}
        for label, settings in LANGUAGES.items()
    }
    values = {
        "preset": "tiny",
        "languages": languages,
        "mixtures": ["joint"],
        "treatments": ["none"],
        "seeds": [1, 2],
        "budget": "examples",
        "vocabulary": {"size": 1000},
        "training": {"steps": 75, "warmup_steps": 25, "validate_every": 600, "checkpoint_every": 600},
        "watch": {"gradients_every": 50, "gradient_blocks": 256},
    }
    assert all(outcome.record for outcome in run_study(study_from_mapping(values), folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_pairs_are_ordered_by_their_distance(folder: Path, seed: int, by_distance: Callable) -> None:
    """Mean over training; at one step chance of the weights decides. Near: 0.10, 0.28, 0.38. Far: 0.90 and more."""
    found = GradientConflictSeries.read(next(folder.glob(f"runs/*_seed{seed}-*")) / FOLDER)
    cosines = {pair: fmean(one.corrected or 0.0 for one in found.of_pair(*pair)) for pair in found.pairs}
    nearest, *rest = (cosines[pair] for pair in by_distance)
    near, far = [nearest, *rest[:2]], rest[2:]
    assert nearest > max(rest)
    assert min(near) > max(far)


@pytest.fixture(scope="module")
def by_distance() -> list[tuple[str, str]]:
    """Pairs, the nearest first."""
    spoken = {label: ConstructedSettings(**settings) for label, settings in LANGUAGES.items()}
    return sorted(combinations(spoken, 2), key=lambda pair: distance(spoken[pair[0]], spoken[pair[1]]))
