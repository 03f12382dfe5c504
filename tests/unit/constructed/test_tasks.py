import json
from collections import Counter
from pathlib import Path

import conllu
import pytest

from detente.corpus.constructed import DEMO_LANGUAGES, write_tasks
from detente.settings.text import ConstructedSettings

COUNTS = {"train": 200, "validation": 40, "test": 80}
LANGUAGES = {
    **DEMO_LANGUAGES,
    "iso": ConstructedSettings(lexicon_seed=5, morphology="isolating", word_order="vos", script="cherokee"),
}
UNIVERSAL = {"ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "VERB"}
Paths = dict[str, dict[str, Path]]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Paths]:
    folder = tmp_path_factory.mktemp("tasks")
    return {label: write_tasks(settings, folder, label=label, **COUNTS) for label, settings in LANGUAGES.items()}


@pytest.fixture(params=LANGUAGES)
def files(request, written) -> Paths:
    return written[request.param]


def sentences(path: Path) -> list[conllu.TokenList]:
    return conllu.parse(path.read_text(encoding="utf-8"))


def tagged(path: Path) -> list[list[list[str]]]:
    blocks = path.read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n")
    return [[line.split("\t") for line in block.split("\n")] for block in blocks]


def questions(path: Path) -> list[tuple[str, dict]]:
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [
        (paragraph["context"], qa)
        for article in articles
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


def pairs(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def assert_disjoint(items_by_split: dict[str, set]) -> None:
    assert all(items_by_split.values())
    assert sum(map(len, items_by_split.values())) == len(set.union(*items_by_split.values()))


def test_pos_is_conllu(files):
    for split, path in files["pos"].items():
        parsed = sentences(path)
        assert len(parsed) == COUNTS[split]
        for sentence in parsed:
            assert [token["id"] for token in sentence] == list(range(1, len(sentence) + 1))
            assert {token["upos"] for token in sentence} <= UNIVERSAL
            assert sentence.metadata["text"] == spoken(sentence)


def spoken(sentence: conllu.TokenList) -> str:
    spaces = ["" if token["misc"] == {"SpaceAfter": "No"} else " " for token in sentence]
    return "".join(token["form"] + space for token, space in zip(sentence, spaces, strict=True)).rstrip()


def test_pos_splits_are_disjoint(files):
    texts = {split: [s.metadata["text"] for s in sentences(path)] for split, path in files["pos"].items()}
    assert_disjoint({split: set(lines) for split, lines in texts.items()})
    assert all(len(set(lines)) == len(lines) for lines in texts.values())


def test_ner_is_valid_iob2(files):
    tags = set()
    for split, path in files["ner"].items():
        parsed = tagged(path)
        assert len(parsed) == COUNTS[split]
        for sentence in parsed:
            before = "O"
            for _, tag in sentence:
                assert not tag.startswith("I-") or before[2:] == tag[2:]
                before = tag
                tags.add(tag)
    assert tags == {"O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"}


def test_ner_splits_are_disjoint(files):
    assert_disjoint({split: {str(s) for s in tagged(path)} for split, path in files["ner"].items()})


def test_qa_answers_stand_where_the_offset_says(files):
    for split, path in files["qa"].items():
        asked = questions(path)
        assert len(asked) == COUNTS[split]
        for context, qa in asked:
            (answer,) = qa["answers"]
            start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
            assert answer["text"]
            assert context[start:end] == answer["text"]
            assert f" {context} "[start] == " "
            assert context[end] in " .?"
            assert qa["question"].endswith("?")


def test_qa_splits_are_disjoint_and_ids_differ(files):
    asked = {split: questions(path) for split, path in files["qa"].items()}
    assert_disjoint({split: {context for context, _ in items} for split, items in asked.items()})
    assert_disjoint({split: {qa["id"] for _, qa in items} for split, items in asked.items()})


def test_nli_labels_are_balanced(files):
    for split, path in files["nli"].items():
        counts = Counter(label for _, _, label in pairs(path))
        assert counts.total() == COUNTS[split]
        assert counts.keys() == {"entailment", "neutral", "contradiction"}
        assert max(counts.values()) - min(counts.values()) <= 1
        assert all(premise != hypothesis for premise, hypothesis, _ in pairs(path))


def test_nli_premises_are_disjoint(files):
    assert_disjoint({split: {premise for premise, _, _ in pairs(path)} for split, path in files["nli"].items()})


def test_labels_are_parallel_across_languages(written):
    first, second, third = (written[label] for label in LANGUAGES)
    for split in COUNTS:
        labels = [[label for _, _, label in pairs(paths["nli"][split])] for paths in (first, second, third)]
        assert labels[0] == labels[1] == labels[2]
        entities = [
            [Counter(tag for _, tag in s if tag != "O") for s in tagged(p["ner"][split])]
            for p in (first, second, third)
        ]
        assert entities[0] == entities[1] == entities[2]
        parts = [[Counter(t["upos"] for t in s) for s in sentences(p["pos"][split])] for p in (first, second)]
        assert parts[0] == parts[1]
        lengths = [[len(context.split()) for context, _ in questions(p["qa"][split])] for p in (first, second)]
        assert lengths[0] == lengths[1]


def test_writing_is_deterministic_and_the_seed_draws_other_items(tmp_path):
    def contents(folder: str, **options) -> list[bytes]:
        paths = write_tasks(LANGUAGES["qaa"], tmp_path / folder, label="qaa", train=30, validation=5, test=5, **options)
        return [path.read_bytes() for by_split in paths.values() for path in by_split.values()]

    assert contents("a") == contents("b")
    assert all(one != other for one, other in zip(contents("c"), contents("d", seed=1), strict=True))


def test_names_of_the_files(written, tmp_path):
    paths = write_tasks(LANGUAGES["qaa"], tmp_path, label="qaa", train=3, validation=1, test=1)
    assert {task: path["train"].relative_to(tmp_path).as_posix() for task, path in paths.items()} == {
        "pos": "pos/train-qaa.conllu",
        "ner": "ner/train-qaa.tsv",
        "qa": "qa/train-qaa.json",
        "nli": "nli/train-qaa.tsv",
    }
    assert sorted(tmp_path.rglob("*.part")) == []
