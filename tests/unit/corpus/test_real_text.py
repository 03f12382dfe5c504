"""The gathered text: read whole, nothing lost, nothing taken for another language."""

from pathlib import Path

import pytest

from detente.corpus import build_corpus
from detente.settings.text import LanguageSettings, SplitSettings

# Lines and characters, from the README of the data.
SIZES = {
    "en": (91_125, 5_884_967),
    "ar": (60_589, 3_047_765),
    "fr": (109_898, 5_619_483),
    "ru": (44_999, 3_213_769),
    "hi": (35_840, 2_087_728),
    "sw": (36_752, 4_616_259),
    "te": (35_635, 2_166_957),
    "mr": (30_030, 1_995_705),
    "kn": (11_285, 668_950),
    "de": (65_008, 4_379_702),
}


@pytest.mark.parametrize("code", SIZES)
def test_already_clean_text_stays_as_it_is(tmp_path: Path, shared_data: Path, code: str) -> None:
    language = LanguageSettings(paths=(str(shared_data / "text" / f"{code}.txt.gz"),))
    manifest = build_corpus(code, language, SplitSettings(), tmp_path)
    assert (manifest.records, sum(counts.characters for counts in manifest.splits.values())) == SIZES[code]
    assert manifest.warnings == ()
