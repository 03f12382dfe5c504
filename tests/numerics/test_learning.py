"""A masked LM learns the constructed languages, far beyond what counting words reaches."""

from pathlib import Path

import pytest

from detente.settings import study_from_mapping
from detente.study import run_study
from detente.study.demo import demo_study


@pytest.mark.slow
def test_a_tiny_model_leaves_the_unigram_and_the_bigram_baseline(tmp_path: Path) -> None:
    values = demo_study(1).model_dump(exclude={"treatments", "mixtures", "budget", "folder"}, exclude_none=True)
    study = study_from_mapping({**values, "mixtures": ["mono"]})
    for outcome in run_study(study, tmp_path):
        assert outcome.record is not None
        (result,) = outcome.record.languages.values()
        assert result.has_learned
        assert result.test.loss < 0.5 * result.baseline.unigram
        assert result.test.loss < result.baseline.bigram
