"""Which languages have parallel text, and which may lack it."""

from pathlib import Path

import pytest

from detente.errors import ConfigError
from detente.examine import parallel_text
from detente.foretelling import _of_matrix


def test_some_of_the_languages_suffice_in_the_order_of_the_run(tmp_path: Path) -> None:
    files = {label: tmp_path / f"{label}.txt" for label in ("en", "te")}
    for label, path in files.items():
        path.write_text(f"one {label}\ntwo {label}\n", encoding="utf-8")
    found = parallel_text(tmp_path, ("te", "sw", "en"), files)
    assert found is not None
    assert list(found.sentences.items()) == [("te", ("one te", "two te")), ("en", ("one en", "two en"))]


@pytest.mark.parametrize("labels", [("en",), ("en", "fr")])
def test_one_language_or_an_unknown_one_is_refused(tmp_path: Path, labels: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"the run has te, en, sw\. Give a file for two of these or more"):
        parallel_text(tmp_path, ("te", "en", "sw"), {label: tmp_path / label for label in labels})


def test_a_language_that_a_diagnosis_lacks_is_unknown_to_it() -> None:
    pick = _of_matrix(("en", "te"), ((1.0, 0.2), (0.3, 1.0)))
    assert [pick("en", "te"), pick("te", "en"), pick("en", "sw"), pick("sw", "te")] == [0.2, 0.3, None, None]
