"""A corpus folder: what is in it, that it is complete or absent, and that the same text gives the same bytes."""

import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detente.corpus import SPLITS, CorpusManifest, build_corpus, clean, read_manifest
from detente.corpus import build as build_module
from detente.errors import DataError
from detente.settings.text import ConstructedSettings, LanguageSettings, SplitSettings

SHARES = SplitSettings(meta=0.1, validation=0.1, test=0.1)

Build = Callable[..., CorpusManifest]
Files = Callable[[], dict[str, bytes]]


def write(folder: Path, records: list[str], name: str = "a.txt") -> Path:
    path = folder / name
    path.write_bytes("\n".join(records).encode())
    return path


def lines(folder: Path) -> dict[str, list[str]]:
    return {split: (folder / f"{split}.txt").read_bytes().decode().split("\n")[:-1] for split in SPLITS}


def test_every_record_lands_once_in_reading_order(build: Build, tmp_path: Path, sentences: list[str]) -> None:
    manifest = build(tmp_path / "corpus", write(tmp_path, sentences))
    found = lines(tmp_path / "corpus")
    assert sorted(line for part in found.values() for line in part) == sorted(sentences)
    assert all(part == sorted(part, key=sentences.index) for part in found.values())
    assert manifest.records == len(sentences)


def test_manifest_counts_what_is_in_the_files(build: Build, tmp_path: Path, sentences: list[str]) -> None:
    raw = [*sentences, "", " \x00 ", sentences[0], f"  {sentences[1]}\t"]
    manifest = build(tmp_path / "corpus", write(tmp_path, raw))
    assert (manifest.records_read, manifest.empty, manifest.duplicates, manifest.cuts) == (len(raw), 2, 2, 0)
    for split, part in lines(tmp_path / "corpus").items():
        counts = manifest.splits[split]
        assert counts.records == len(part)
        assert counts.words == sum(len(line.split()) for line in part)
        assert counts.characters == sum(map(len, part))
        assert counts.bytes == (tmp_path / "corpus" / f"{split}.txt").stat().st_size
    assert read_manifest(tmp_path / "corpus") == manifest
    assert {path.name for path in (tmp_path / "corpus").iterdir()} == {
        "manifest.json",
        *(f"{split}.txt" for split in SPLITS),
    }


def test_manifest_knows_the_language(build: Build, tmp_path: Path, sentences: list[str]) -> None:
    path = write(tmp_path, sentences)
    known = build(tmp_path / "known", path, code="SWH")
    assert (known.label, known.code, known.name, known.script) == ("label", "sw", "Swahili", "Latn")
    other = build(tmp_path / "other", path, code="tlh", name="Klingon", script="Piqd")
    assert (other.code, other.name, other.script) == ("tlh", "Klingon", "Piqd")


def test_scripts_are_shares_of_letters(build: Build, tmp_path: Path) -> None:
    records = [f"ab \u0416\u0416 {number} \u05d0 \u00aa" for number in range(200)]
    scripts = build(tmp_path / "corpus", write(tmp_path, records)).scripts
    assert scripts == pytest.approx({"Cyrl": 2 / 6, "Latn": 2 / 6, "Hebr": 1 / 6, "Zyyy": 1 / 6})
    assert next(iter(scripts)) == "Cyrl"


@given(texts=st.lists(st.text(max_size=8), max_size=40), seed=st.integers())
@settings(max_examples=10)
def test_splits_share_no_record_and_never_move(build: Build, sentences: list[str], texts: list[str], seed: int) -> None:
    # Not `st.randoms`, which would search through every number that a shuffle draws.
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder / "before", write(folder, sentences))
        longer = [*sentences, *texts, *chance.sample(sentences, 20)]
        chance.shuffle(longer)
        build(folder / "after", write(folder, [text.replace("\n", " ") for text in longer]), errors="replace")
        before, after = lines(folder / "before"), lines(folder / "after")
    assert all(set(before[split]) <= set(after[split]) for split in SPLITS)
    everything = [line for part in after.values() for line in part]
    assert len(everything) == len(set(everything))


def test_same_text_same_bytes(build: Build, tmp_path: Path, sentences: list[str], corpus_files: Files) -> None:
    path = write(tmp_path, sentences)
    build(tmp_path / "corpus", path)
    first = corpus_files()
    for file in (tmp_path / "corpus").iterdir():
        file.unlink()
    build(tmp_path / "corpus", path)
    assert corpus_files() == first


def test_a_finished_corpus_is_not_built_again(
    build: Build, tmp_path: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, sentences)
    manifest = build(tmp_path / "corpus", path)
    monkeypatch.setattr(build_module, "read_text", None)
    assert build(tmp_path / "corpus", path) == manifest


def _touch(path: Path, corpus: Path) -> None:
    os.utime(path, ns=(1, 1))


def _append(path: Path, corpus: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\none more")


def _lose_a_split(path: Path, corpus: Path) -> None:
    (corpus / "meta.txt").unlink()


def _cut_a_split(path: Path, corpus: Path) -> None:
    (corpus / "train.txt").write_bytes(b"cut")


def _damage_the_manifest(path: Path, corpus: Path) -> None:
    (corpus / "manifest.json").write_text('{"label": "en"')


@pytest.mark.parametrize("change", [_touch, _append, _lose_a_split, _cut_a_split, _damage_the_manifest])
def test_a_change_is_noticed(
    build: Build, tmp_path: Path, sentences: list[str], change: Callable[[Path, Path], None]
) -> None:
    path = write(tmp_path, sentences)
    build(tmp_path / "corpus", path)
    change(path, tmp_path / "corpus")
    build(tmp_path / "corpus", path)
    read_manifest(tmp_path / "corpus")
    assert len(lines(tmp_path / "corpus")["train"]) > 100


@pytest.mark.parametrize("settings", [{"subsample": 5}, {"splits": SplitSettings(meta=0.2, validation=0.1, test=0.1)}])
def test_a_changed_setting_is_noticed(
    build: Build, tmp_path: Path, sentences: list[str], settings: dict[str, object]
) -> None:
    path = write(tmp_path, sentences)
    first = build(tmp_path / "corpus", path)
    assert build(tmp_path / "corpus", path, **settings).source != first.source


def test_subsample_leaves_the_other_splits_whole(build: Build, tmp_path: Path, sentences: list[str]) -> None:
    path = write(tmp_path, sentences)
    whole, sampled = build(tmp_path / "whole", path), build(tmp_path / "sampled", path, subsample=50)
    assert sampled.splits["train"].records == 50
    assert sampled.not_sampled == whole.splits["train"].records - 50
    for split in ("meta", "validation", "test"):
        assert lines(tmp_path / "whole")[split] == lines(tmp_path / "sampled")[split]


def test_long_records_are_cut_and_counted(
    build: Build, tmp_path: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (clean, build_module):
        monkeypatch.setattr(module, "MAX_RECORD_CHARACTERS", 50)
    long = " ".join(f"word{number}" for number in range(100))
    manifest = build(tmp_path / "corpus", write(tmp_path, [*sentences, long]))
    assert manifest.cuts > 10
    assert manifest.records_read == len(sentences) + 1
    assert manifest.records == len(sentences) + 1 + manifest.cuts
    assert max(len(line) for part in lines(tmp_path / "corpus").values() for line in part) <= 50


def test_progress_adds_up(tmp_path: Path) -> None:
    path = write(tmp_path, [f"record {number}" for number in range(10_000)])
    steps: list[int] = []
    build_corpus("en", LanguageSettings(paths=(str(path),)), SHARES, tmp_path / "corpus", progress=steps.append)
    assert sum(steps) == 10_000
    assert len(steps) == 3


def test_a_constructed_language(tmp_path: Path) -> None:
    language = LanguageSettings(constructed=ConstructedSettings(sentences=500, script="cyrillic"))
    manifest = build_corpus("north", language, SHARES, tmp_path)
    assert (manifest.label, manifest.name, manifest.script) == ("north", "north", "Cyrl")
    assert manifest.scripts["Cyrl"] > 0.9
    assert manifest.records_read == 500


def _interrupted(*arguments: object) -> Iterator[str]:
    yield from map(str, range(1000))
    raise KeyboardInterrupt


def test_interrupted_leaves_nothing_half_done(
    build: Build, tmp_path: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, sentences)
    with monkeypatch.context() as patch:
        patch.setattr(build_module, "read_text", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "corpus", path)
    assert list((tmp_path / "corpus").iterdir()) == []
    assert build(tmp_path / "corpus", path).records == len(sentences)


def test_what_a_killed_process_left_is_removed(build: Build, tmp_path: Path, sentences: list[str]) -> None:
    left = tmp_path / "corpus" / ".partial-x"
    left.mkdir(parents=True)
    (left / "records").touch()
    build(tmp_path / "corpus", write(tmp_path, sentences))
    assert not left.exists()


def test_failed_reading_keeps_the_old_corpus(
    build: Build, tmp_path: Path, sentences: list[str], corpus_files: Files
) -> None:
    path = write(tmp_path, sentences)
    build(tmp_path / "corpus", path)
    before = corpus_files()
    path.write_bytes(path.read_bytes() + b"\n\xff")
    with pytest.raises(DataError, match=r"a\.txt, line 401: byte \d+ \(0xff\) is not UTF-8"):
        build(tmp_path / "corpus", path)
    assert corpus_files() == before


def test_nothing_left(build: Build, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"`label`: no text is left of 3 records, .* Check `paths`, `format` and `field`"
    ):
        build(tmp_path / "corpus", write(tmp_path, [" ", "", "\x00"]))


def test_too_little_for_a_split(build: Build, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"`label`: none of its 2 records fell into \w+\. Give more text, or larger shares"
    ):
        build(tmp_path / "corpus", write(tmp_path, ["one", "two"]))


def test_folder_that_cannot_be_written(build: Build, tmp_path: Path, sentences: list[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"the corpus could not be written to .*file/corpus: Not a directory"):
        build(tmp_path / "file" / "corpus", write(tmp_path, sentences))


def test_disk_full(build: Build, tmp_path: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build_module, "decide_fates", full)
    with pytest.raises(
        DataError, match=r"^the disk is full: the corpus needs \d.* could not be written to .*, where .* free\."
    ):
        build(tmp_path / "corpus", write(tmp_path, sentences))
    assert list((tmp_path / "corpus").iterdir()) == []


def test_missing_corpus(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no finished corpus in .*\. Run `detente prepare`"):
        read_manifest(tmp_path)


def test_manifest_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 1}))
    with pytest.raises(DataError, match=r"manifest\.json is damaged .*Delete it"):
        read_manifest(tmp_path)


def test_warnings(build: Build, tmp_path: Path, sentences: list[str]) -> None:
    cyrillic = [f"\u0417\u0430\u043f\u0438\u0441\u044c {number}" for number in range(300)]
    path = write(tmp_path, cyrillic * 2)
    script, train, test, duplicates, subsample = build(tmp_path / "a", path, subsample=10_000).warnings
    assert "100% of the letters are Cyrl and only 0% Latn: is this English?" in script
    assert "the training text is very small" in train
    assert "the test text is very small" in test
    assert "50% of the records were duplicates" in duplicates
    assert "`subsample` asks for 10,000 training records, but there are only" in subsample


def test_no_warnings_without_reason(build: Build, tmp_path: Path) -> None:
    path = write(tmp_path, [f"An ordinary record of English, number {number}, with words." for number in range(5000)])
    assert build(tmp_path / "corpus", path).warnings == ()


def test_japanese_is_not_taken_for_another_language(build: Build, tmp_path: Path) -> None:
    path = write(tmp_path, [f"{number}\u500b\u306e\u30ea\u30f3\u30b4\u3092\u98df\u3079\u305f" for number in range(300)])
    assert not any("letters" in warning for warning in build(tmp_path / "corpus", path, code="ja").warnings)
