"""Every gathered file is read, with the numbers of sentences, words and questions that the README beside it states."""

import re
from pathlib import Path

import pytest

from detente.errors import DataError
from detente.tasks.overlap import count_repeats, count_shared, leave_out_shared
from detente.tasks.read import read_examples
from detente.tasks.reading import Reading
from detente.tasks.tagsets import compare_tags

# Tags that are not among the 17: UD v1 has CONJ, and the development branch of a Marathi treebank has NST.
OLD_TAGS = {"CONJ": "CCONJ", "NST": "NOUN"}
ROW = re.compile(r"\| (pos|ner|qa)/(\S+) \| ([\d,]+) \| ([\d,]+) \|")

# Sentences of dev that stand in train, and of train that stand in it before. The README says one less of some (de, mr, sw; ar,
# mr): its counts leave out the last sentence of a file, since no blank line comes after it.
SHARED = {"en": 325, "ar": 1797, "fr": 1353, "ru": 913, "de": 1175, "hi": 320, "mr": 293, "sw": 118, "te": 85}
REPEATED = {"en": 366, "ar": 2295, "fr": 1889, "ru": 1203, "de": 1483, "hi": 1050, "mr": 939, "sw": 75, "te": 50}


def readme(folder: Path, task: str) -> dict[str, tuple[int, int]]:
    """File -> the two numbers in its row."""
    rows = ROW.findall((folder / "README.md").read_text(encoding="utf-8"))
    return {
        name: (int(first.replace(",", "")), int(second.replace(",", "")))
        for kind, name, first, second in rows
        if kind == task
    }


def sizes(reading: Reading) -> tuple[int, int]:
    return len(reading.examples), sum(len(sentence.words) for sentence in reading.examples)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["ner", "pos"])
def test_sentences_and_words(shared_data: Path, task: str) -> None:
    """Of all files but WikiAnn's, whose turn comes below."""
    expected = {name: numbers for name, numbers in readme(shared_data, task).items() if "wikiann/" not in name}
    old = ("UD_Hindi-HDTB-v1.2", "UD_Marathi-CMUPAN")
    found = {
        name: sizes(read_examples(task, shared_data / task / name, tags=OLD_TAGS if name.startswith(old) else None))
        for name in expected
    }
    assert len(expected) > 14
    assert found == expected


def test_questions(shared_data: Path) -> None:
    expected = {name: questions for name, (_, questions) in readme(shared_data, "qa").items()}
    blank = [name for name in expected if "goldp" in name and ".dev." in name]
    found = {
        name: len(read_examples("qa", shared_data / "qa" / name, strict=True).examples)
        for name in expected
        if name not in blank
    }
    assert len(found) > 10
    assert found == {name: number for name, number in expected.items() if name not in blank}


def test_questions_whose_answers_are_blank(shared_data: Path) -> None:
    """XTREME hands out TyDiQA's development questions as a test set: every answer is empty."""
    paths = sorted((shared_data / "qa" / "tydiqa_goldp").glob("*.dev.json.gz"))
    assert len(paths) == 5
    for path in paths:
        with pytest.raises(DataError, match="has no labels"):
            read_examples("qa", path)


def test_pairs(shared_data: Path) -> None:
    paths = sorted((shared_data / "nli" / "xnli").glob("*.gz"))
    assert len(paths) == 14
    for path in paths:
        labels = [pair.label for pair in read_examples("nli", path).examples]
        assert len(labels) == (2490 if path.name.startswith("dev") else 5010)
        assert {labels.count(label) * 3 for label in set(labels)} == {len(labels)}


@pytest.mark.parametrize("code", SHARED)
def test_wikiann_repeats_itself(shared_data: Path, code: str) -> None:
    names = [f"wikiann/{split}-{code}.tsv.gz" for split in ("train", "dev")]
    train, dev = (read_examples("ner", shared_data / "ner" / name) for name in names)
    expected = readme(shared_data, "ner")
    assert [sizes(train), sizes(dev)] == [expected[name] for name in names]
    assert count_shared(dev.examples, train.examples) == SHARED[code]
    assert count_repeats(train.examples) == REPEATED[code]
    assert len(leave_out_shared(dev, train).examples) == len(dev.examples) - SHARED[code]


def test_repairs_of_real_tags(shared_data: Path) -> None:
    def notes(name: str) -> str:
        return " ".join(read_examples("ner", shared_data / "ner" / name).notes)

    assert "73 of 925 sentences" in notes("anercorp/ANERCorp_CamelLab_test.txt.gz")
    assert "1 of 1,883 sentences" in notes("masakhaner2_swa/test.txt.gz")
    assert "1,133 of 1,999 sentences" in notes("mahaner/test_iob.txt.gz")
    assert "invalid" not in notes("wikiann/dev-sw.tsv.gz")
    with pytest.raises(DataError, match=r"ANERCorp_CamelLab_test\.txt\.gz, sentence \d+: `I-[A-Z]+` after `"):
        read_examples("ner", shared_data / "ner/anercorp/ANERCorp_CamelLab_test.txt.gz", strict=True)


def test_real_tags_that_differ(shared_data: Path) -> None:
    train = read_examples("ner", shared_data / "ner/wikiann/train-sw.tsv.gz")
    arabic = shared_data / "ner/anercorp/ANERCorp_CamelLab_test.txt.gz"
    with pytest.raises(DataError, match=r"`PERS` in .*ANERCorp.*Write `tags: {PERS: PER}`"):
        compare_tags("ner", [train], [read_examples("ner", arabic)])
    (doubt,) = compare_tags("ner", [train], [read_examples("ner", arabic, tags={"PERS": "PER"})])
    assert re.search(r"has `MISC` \(243x\), which .*train-sw\.tsv\.gz has not", doubt)
    for name, tag in (("Hindi-HDTB-v1.2/hi-ud-dev", "CONJ: CCONJ"), ("Marathi-CMUPAN/mr_cmupan-ud-dev", "NST: NOUN")):
        with pytest.raises(DataError, match=f"write `tags: {{{tag}}}`"):
            read_examples("pos", shared_data / f"pos/UD_{name}.conllu.gz")


def test_treebank_in_two_formats(shared_data: Path) -> None:
    """XTREME's Russian test file holds the test sentences of GSD, to the word."""
    xtreme = read_examples("pos", shared_data / "pos/xtreme_udpos/test-ru.tsv.gz")
    treebank = read_examples("pos", shared_data / "pos/UD_Russian-GSD/ru_gsd-ud-test.conllu.gz")
    assert count_shared(treebank.examples, xtreme.examples) == len(treebank.examples) == 601
    with pytest.raises(DataError, match=r"all of .*GSD"):
        leave_out_shared(treebank, xtreme)
