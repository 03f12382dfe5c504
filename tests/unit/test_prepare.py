"""The stages together, on real corpora of a few languages."""

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.errors import ConfigError, DataError
from detente.lock import locked
from detente.prepare import prepare, vocabulary_name
from detente.settings import StudySettings, study_from_mapping
from detente.store import Store
from detente.vocabulary import Vocabulary, read_vocabulary_manifest

LANGUAGES = ("en", "sw", "te")
TELUGU = (
    "\u0c24\u0c46 \u0c32\u0c41\u0c17\u0c41 \u0c2d\u0c3e \u0c37\u0c32\u0c4b \u0c35\u0c4d\u0c30\u0c3e \u0c38\u0c3f\u0c28"
)
TEXTS = {
    "en": "the a cat dog house tree sees finds loves large small red and or never often",
    "sw": "paka mbwa nyumba mti anaona anapata anapenda kubwa dogo nyekundu na au kamwe mara",
    "te": TELUGU,
}
WORDS = {label: text.split() for label, text in TEXTS.items()}


def write_text(path: Path, label: str, *, records: int = 1500, seed: int = 1) -> None:
    draw = random.Random(f"{label} {seed}")
    lines = [" ".join(draw.choices(WORDS[label], k=draw.randint(5, 12))) for _ in range(records)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def make_study(folder: Path, **settings: Any) -> StudySettings:
    values = {
        "preset": "tiny",
        "languages": {label: {"paths": str(folder / f"{label}.txt")} for label in LANGUAGES},
        "vocabulary": {"size": 320},
        "splits": {"meta": 0.05, "validation": 0.05, "test": 0.05},
        "batches": {"block_length": 16, "blocks": 8},
    }
    return study_from_mapping(values | settings)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    for label in LANGUAGES:
        write_text(tmp_path / f"{label}.txt", label)
    return tmp_path


class Counters:
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}

    def __call__(self, description: str, unit: str, total: int | None) -> Callable[[int], None]:
        assert unit in {"records", "characters", "bytes"}
        assert total is None or total > 0
        self.done[description] = 0

        def advance(more: int) -> None:
            self.done[description] += more

        return advance


def worked_on(study: StudySettings, folder: Path, mixtures: list[tuple[str, ...]]) -> set[str]:
    """The stages that had something to do."""
    counters = Counters()
    prepare(study, folder, mixtures=mixtures, progress=counters)
    return set(counters.done)


MIXTURES = [("en",), ("sw",), ("en", "sw")]
EVERYTHING = {
    "reading en",
    "reading sw",
    "reading te",
    "vocabulary shared",
    "tokens shared/en",
    "tokens shared/sw",
}


def test_a_shared_vocabulary_serves_every_mixture(texts: Path) -> None:
    study = make_study(texts)
    paths = prepare(study, texts / "study", mixtures=MIXTURES)
    assert paths == {"shared": texts / "study" / "data" / "shared"}
    vocabulary = Vocabulary.load(paths["shared"])
    store = Store.open(paths["shared"] / "store", ["en", "sw"], vocabulary=vocabulary.checksum)
    store.verify()
    first = store.tokens("sw", "train")[:200].tolist()
    text = (texts / "study/data/corpus/sw/train.txt").read_text(encoding="utf-8")
    assert text.startswith(vocabulary.tokenizer.decode(first[: first.index(vocabulary.end_id)]) + "\n")


def test_a_shared_vocabulary_does_not_depend_on_the_mixtures_asked_for(texts: Path) -> None:
    study = make_study(texts)
    prepare(study, texts / "some", mixtures=[("en",)])
    prepare(study, texts / "all", mixtures=[LANGUAGES])
    some, every = (read_vocabulary_manifest(texts / name / "data" / "shared") for name in ("some", "all"))
    assert some == every
    assert set(some.languages) == set(LANGUAGES)


def test_a_vocabulary_for_each_mixture(texts: Path) -> None:
    study = make_study(texts, vocabulary={"size": 300, "scope": "run"})
    paths = prepare(study, texts / "study", mixtures=MIXTURES)
    assert list(paths) == ["en", "sw", "en+sw"]
    assert [set(read_vocabulary_manifest(path).languages) for path in paths.values()] == [{"en"}, {"sw"}, {"en", "sw"}]
    assert not (texts / "study" / "data" / "corpus" / "te").exists()
    assert [vocabulary_name(study, mixture) for mixture in MIXTURES] == list(paths)


def test_what_is_there_is_not_made_again(texts: Path) -> None:
    study = make_study(texts)
    assert worked_on(study, texts / "study", MIXTURES) == EVERYTHING
    assert worked_on(study, texts / "study", MIXTURES) == set()
    assert worked_on(study, texts / "study", [*MIXTURES, ("te",)]) == {"tokens shared/te"}


def test_counters_reach_their_totals(texts: Path) -> None:
    counters = Counters()
    prepare(make_study(texts), texts / "study", mixtures=MIXTURES, progress=counters)
    corpus = texts / "study" / "data" / "corpus"
    assert counters.done["tokens shared/en"] == sum(path.stat().st_size for path in (corpus / "en").glob("*.txt"))


def test_changed_text_is_noticed(texts: Path) -> None:
    study = make_study(texts)
    prepare(study, texts / "study", mixtures=MIXTURES)
    before = Vocabulary.load(texts / "study/data/shared").checksum
    write_text(texts / "sw.txt", "sw", seed=2)
    done = worked_on(study, texts / "study", MIXTURES)
    assert {"reading sw", "vocabulary shared", "tokens shared/sw"} <= done
    assert not done & {"reading en", "reading te"}
    vocabulary = Vocabulary.load(texts / "study/data/shared")
    assert vocabulary.checksum != before
    Store.open(texts / "study/data/shared/store", ["en", "sw"], vocabulary=vocabulary.checksum).verify()


def test_changed_vocabulary_settings_are_noticed(texts: Path) -> None:
    prepare(make_study(texts), texts / "study", mixtures=MIXTURES)
    done = worked_on(make_study(texts, vocabulary={"size": 310}), texts / "study", MIXTURES)
    assert done == {"vocabulary shared", "tokens shared/en", "tokens shared/sw"}


def test_settings_of_training_change_nothing(texts: Path) -> None:
    prepare(make_study(texts), texts / "study", mixtures=MIXTURES)
    assert worked_on(make_study(texts, training={"steps": 3}), texts / "study", MIXTURES) == set()


@pytest.mark.parametrize("path", ["shared/tokenizer.json", "shared/manifest.json", "shared/store/en/train.bin"])
def test_what_is_lost_is_made_again(texts: Path, path: str) -> None:
    study = make_study(texts)
    prepare(study, texts / "study", mixtures=MIXTURES)
    lost = texts / "study" / "data" / path
    before = lost.read_bytes()
    lost.unlink()
    assert worked_on(study, texts / "study", MIXTURES)
    assert lost.read_bytes() == before


def test_a_ready_tokenizer(texts: Path) -> None:
    trained = prepare(make_study(texts), texts / "first", mixtures=MIXTURES)["shared"]
    study = make_study(texts, vocabulary={"path": str(trained)})
    done = worked_on(study, texts / "second", [("sw",)])
    assert "vocabulary shared" not in done
    assert Vocabulary.load(texts / "second/data/shared").checksum == Vocabulary.load(trained).checksum
    assert worked_on(study, texts / "second", [("sw",)]) == set()


def test_a_text_too_small_for_a_batch_says_what_to_do(texts: Path) -> None:
    write_text(texts / "sw.txt", "sw", records=60)
    study = make_study(texts, batches={"block_length": 256, "blocks": 16}, treatments=["none", "meta-adapter"])
    with pytest.raises(DataError) as caught:
        prepare(study, texts / "study", mixtures=MIXTURES)
    problems = str(caught.value).splitlines()
    assert [problem.split(" split")[0] for problem in problems] == [
        "`sw`: the train",
        "`sw`: the validation",
        "`sw`: the test",
        "`sw`: the meta",
    ]
    assert (
        "of 256 tokens, 17 are needed. Give more text, lower `batches.blocks`, or lower `batches.block_length`"
        in problems[0]
    )
    assert "raise `splits.test`" in problems[2]


def test_no_meta_text_is_needed_without_the_meta_step(texts: Path) -> None:
    study = make_study(texts, splits={"meta": 0, "validation": 0.05, "test": 0.05})
    prepare(study, texts / "study", mixtures=MIXTURES)
    for label in {label for mixture in MIXTURES for label in mixture}:
        assert (texts / "study" / "data" / "shared" / "store" / label / "meta.bin").stat().st_size == 0


def test_a_variant_too_needs_meta_text_unless_training_text_validates(texts: Path) -> None:
    def make(**meta: str) -> StudySettings:
        variants = {"fast": {"treatment": "meta-adapter", "meta": meta}}
        return make_study(texts, splits={"meta": 1e-5, "validation": 0.05, "test": 0.05}, variants=variants)

    with pytest.raises(
        DataError, match=r"`sw`: the meta split .* raise `splits.meta`, set `meta.meta_split: train`, or"
    ):
        prepare(make(), texts / "study", mixtures=MIXTURES)
    prepare(make(meta_split="train"), texts / "study", mixtures=MIXTURES)


def test_too_large_a_vocabulary_names_the_setting(texts: Path) -> None:
    with pytest.raises(ConfigError, match=r"`vocabulary.size` is 5000, but the text supports only \d+ entries"):
        prepare(make_study(texts, vocabulary={"size": 5000}), texts / "study", mixtures=MIXTURES)


def test_a_second_process_is_told_who_prepares(texts: Path) -> None:
    """Two at once would both append to the same token files."""
    with locked(texts / "study" / "data"), pytest.raises(DataError, match=r"data is in use by process \d+ on .* since"):
        prepare(make_study(texts), texts / "study", mixtures=MIXTURES)


def test_a_full_disk_is_told(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(make_study(texts), texts / "study", mixtures=MIXTURES)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        DataError, match=r"^the disk is full: .* needs \d.* could not be written to .*data.*, where .* are free\."
    ):
        prepare(make_study(texts, vocabulary={"size": 310}), texts / "study", mixtures=MIXTURES)


def test_constructed_languages(tmp_path: Path) -> None:
    languages = {
        label: {"constructed": {"sentences": 3000, "lexicon_seed": seed}} for label, seed in (("qa", 1), ("qb", 2))
    }
    study = study_from_mapping({"preset": "tiny", "languages": languages, "vocabulary": {"size": 400}})
    paths = prepare(study, tmp_path, mixtures=[("qa",), ("qa", "qb")])
    manifest = Store.open(
        paths["shared"] / "store", ["qa", "qb"], vocabulary=Vocabulary.load(paths["shared"]).checksum
    ).manifest("qb")
    assert manifest.baseline.bigram < manifest.baseline.unigram
