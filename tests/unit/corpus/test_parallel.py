"""Parallel text: files that agree line by line, and constructed languages told the same meanings."""

import bz2
import gzip
from pathlib import Path

import pytest

from detente.corpus.constructed import DEMO_LANGUAGES, generate_text
from detente.corpus.parallel import constructed_parallel, read_parallel
from detente.errors import ConfigError, DataError
from detente.settings.text import ConstructedSettings

ENGLISH = ("One.", "Two.", "", "Four.", "Five.")
ARABIC = (
    "\u0648\u0627\u062d\u062f.",
    " ",
    "\u062b\u0644\u0627\u062b\u0629.",
    "\u0623\u0631\u0628\u0639\u0629.",
    "\u062e\u0645\u0633\u0629.",
)
TELUGU = tuple(f"\u0c12\u0c15\u0c1f\u0c3f {number}." for number in range(5))


def write(folder: Path, **lines: tuple[str, ...]) -> dict[str, Path]:
    paths = {language: folder / f"{language}.txt" for language in lines}
    for language, path in paths.items():
        path.write_text("".join(f"{line}\n" for line in lines[language]), encoding="utf-8")
    return paths


def test_lines_that_are_empty_anywhere_are_dropped_everywhere(tmp_path: Path) -> None:
    found = read_parallel(write(tmp_path, en=ENGLISH, ar=ARABIC, te=TELUGU))
    kept = (0, 3, 4)
    assert found.sentences == {
        "en": tuple(ENGLISH[n] for n in kept),
        "ar": tuple(ARABIC[n] for n in kept),
        "te": tuple(TELUGU[n] for n in kept),
    }
    assert found.dropped == 2


def test_lines_are_cleaned_like_other_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffO\u0075\u0300  est\tl'\u00e9t\u00e9?\r\ntwo\u2028still two\r\n".encode())
    (tmp_path / "b.txt").write_bytes(b"where\nsecond")
    found = read_parallel({"a": tmp_path / "a.txt", "b": tmp_path / "b.txt"})
    assert found.sentences == {"a": ("O\u00f9 est l'\u00e9t\u00e9?", "two still two"), "b": ("where", "second")}


def test_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    (tmp_path / "b.en.bz2").write_bytes(bz2.compress(b"eins\nzwei\n"))
    found = read_parallel({"a": tmp_path / "a.gz", "b": tmp_path / "b.en.bz2"})
    assert found.sentences == {"a": ("one", "two"), "b": ("eins", "zwei")}


def test_other_numbers_of_lines(tmp_path: Path) -> None:
    paths = write(tmp_path, en=ENGLISH, ar=ARABIC[:3])
    with pytest.raises(DataError, match=r"same number of lines: .*en\.txt has 5, .*ar\.txt has 3\. Align them anew"):
        read_parallel(paths)
    with pytest.raises(DataError, match=r"has 5, .* has 3"):
        read_parallel(paths, limit=1)


def test_limit_counts_what_is_kept(tmp_path: Path) -> None:
    found = read_parallel(write(tmp_path, en=ENGLISH, te=TELUGU), limit=3)
    assert found.sentences["en"] == ("One.", "Two.", "Four.")
    assert found.dropped == 1


def test_a_broken_file_is_named_and_no_other(tmp_path: Path) -> None:
    """The second is sound, and open while the first breaks."""
    (tmp_path / "first.gz").write_bytes(gzip.compress(b"line\n" * 100)[:-12])
    (tmp_path / "second.gz").write_bytes(gzip.compress(b"line\n" * 100))
    with pytest.raises(DataError, match=r"first\.gz is truncated"):
        read_parallel({"a": tmp_path / "first.gz", "b": tmp_path / "second.gz"})


def test_nothing_in_common(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no line of .*a\.txt, .*b\.txt has text in every language"):
        read_parallel(write(tmp_path, a=("one", "", ""), b=("", "two", "three")))


def test_one_file_is_not_parallel(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found 1"):
        read_parallel(write(tmp_path, en=ENGLISH))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt could not be read"):
        read_parallel({**write(tmp_path, en=ENGLISH), "sw": tmp_path / "nowhere.txt"})


def test_constructed_languages_say_the_same() -> None:
    """Languages that differ in the order of words alone, with other texts of their own: the words show the meaning."""
    languages = {
        "a": ConstructedSettings(word_order="svo", text_seed=1),
        "b": ConstructedSettings(word_order="vos", adjective="after", text_seed=2, sentences=7),
    }
    found = constructed_parallel(languages, 200)
    assert len(found.sentences["a"]) == len(found.sentences["b"]) == 200
    assert found.sentences["a"] != found.sentences["b"]
    words = [[sorted(line.rstrip(".?").split()) for line in found.sentences[label]] for label in languages]
    assert words[0] == words[1]


def test_it_is_not_the_text_of_training() -> None:
    """Of 500 sentences, not more come up again in 5,000 of training than one text says of another: some short ones."""
    found = constructed_parallel(DEMO_LANGUAGES, 500)
    for label, settings in DEMO_LANGUAGES.items():
        trained = set(generate_text(settings.model_copy(update={"sentences": 5000})))
        repeated = [line for line in found.sentences[label] if line in trained]
        assert len(repeated) < 0.1 * 500
        assert max(len(line.split()) for line in repeated) < 8


def test_the_text_of_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="`qab` is trained on text seed 1: choose another"):
        constructed_parallel(DEMO_LANGUAGES, 10, text_seed=1)


def test_other_worlds_have_nothing_parallel_to_say() -> None:
    languages = {"a": ConstructedSettings(), "b": ConstructedSettings(meaning_seed=3)}
    with pytest.raises(ConfigError, match="`meaning_seed` is 0 of a, 3 of b"):
        constructed_parallel(languages, 10)
    with pytest.raises(ConfigError, match="two languages or more, found 1"):
        constructed_parallel({"a": ConstructedSettings()}, 10)
