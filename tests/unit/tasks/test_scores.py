"""Scores by hand, and against seqeval, scikit-learn and torchmetrics on the same predictions."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import metrics as seqeval
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2
from sklearn import metrics as sklearn
from torchmetrics.functional.text import squad

from detente.errors import ConfigError, DataError
from detente.tasks.bootstrap import Resampling
from detente.tasks.predictions import Header, Predictions, collect_predictions
from detente.tasks.scores import MAIN_METRIC, TaskScore, compare, compare_over_seeds, score, score_over_seeds

FEW = Resampling(resamples=20)
UPOS = ["ADJ", "ADP", "AUX", "CCONJ", "INTJ", "NOUN", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"]

Tags = Sequence[str]


def predictions(task: str, rows: Sequence[dict[str, Any]], *, language: str = "sw", seed: int = 1) -> Predictions:
    values = {"task": task, "language": language, "model": f"joint/{seed}", "source": language, "setting": "within"}
    return collect_predictions(Header.model_validate({**values, "seed": seed}), rows)


def tagged(task: str, pairs: Sequence[tuple[Tags, Tags]], seed: int = 1) -> Predictions:
    rows = [{"words": ["w"] * len(gold), "gold": gold, "predicted": predicted} for gold, predicted in pairs]
    return predictions(task, rows, seed=seed)


def answered(pairs: Sequence[tuple[list[str], str]], language: str = "sw") -> Predictions:
    rows = [{"id": str(number), "gold": gold, "predicted": found} for number, (gold, found) in enumerate(pairs)]
    return predictions("qa", rows, language=language)


def judged(pairs: Sequence[tuple[str, str]], seed: int = 1) -> Predictions:
    rows = [{"premise": "p", "hypothesis": "h", "gold": gold, "predicted": found} for gold, found in pairs]
    return predictions("nli", rows, seed=seed)


def values(given: Predictions, **options: Any) -> dict[str, float]:
    return {name: found.value for name, found in score(given, resampling=FEW, **options).items()}


def split(*sentences: str) -> list[tuple[Tags, Tags]]:
    """`gold tags | predicted tags` of each sentence."""
    return [(gold.split(), predicted.split()) for gold, predicted in (each.split("|") for each in sentences)]


ENTITIES = split(
    "B-PER I-PER O B-LOC | B-PER I-PER O B-LOC",
    # The type is wrong, then the border.
    "B-LOC O B-ORG I-ORG | B-ORG O B-ORG O",
    # No entity to strict IOB2, one to XTREME, since no B- comes before.
    "O O O | O I-PER O",
    "B-LOC B-LOC | B-LOC I-LOC",
)


def test_entities_by_hand() -> None:
    found = values(tagged("ner", ENTITIES))
    # Gold: PER, LOC; LOC, ORG; LOC, LOC. Predicted: PER, LOC; ORG, ORG; one LOC of two words. Right: PER, LOC.
    assert found["precision"] == pytest.approx(100 * 2 / 5)
    assert found["recall"] == pytest.approx(100 * 2 / 6)
    assert found["f1"] == pytest.approx(100 * 4 / 11)
    assert found["xtreme_f1"] == pytest.approx(100 * 4 / 12)
    assert (found["f1/PER"], found["f1/ORG"], found["recall/LOC"]) == (100, 0, pytest.approx(25))
    assert set(found) == {"f1", "precision", "recall", "xtreme_f1"} | {
        f"{name}/{kind}" for name in ("f1", "precision", "recall") for kind in ("LOC", "ORG", "PER")
    }


def test_an_entity_ends_where_the_type_changes() -> None:
    found = values(tagged("ner", split("B-PER I-LOC I-LOC | B-PER O O")))
    assert found["f1"] == 100
    assert found["xtreme_f1"] == pytest.approx(100 * 2 / 3)


def test_words_by_hand() -> None:
    found = values(tagged("pos", split("NOUN NOUN VERB | NOUN PROPN VERB")))
    assert found["accuracy"] == found["f1"] == pytest.approx(100 * 2 / 3)
    # Chunks: two gold (NOUN NOUN, VERB), three predicted, VERB is right.
    assert found["xtreme_f1"] == pytest.approx(100 * 2 / 5)


@pytest.mark.parametrize(
    ("sentence", "f1"),
    [
        # The two nouns are one chunk, so neither of the predicted ones is right.
        ("NOUN NOUN | NOUN ADP", 0),
        # S begins a chunk of one word: two gold, two predicted, one right.
        ("SCONJ SCONJ | SCONJ ADP", 50),
        ("SYM SYM | SYM SYM", 100),
        ("CCONJ VERB | SCONJ VERB", 50),
        ("INTJ INTJ | INTJ INTJ", 100),
    ],
)
def test_parts_of_speech_as_xtreme_has_them(sentence: str, f1: float) -> None:
    assert values(tagged("pos", split(sentence)))["xtreme_f1"] == pytest.approx(f1)


def test_chunks_end_with_the_sentence() -> None:
    assert values(tagged("pos", split("NOUN | NOUN", "NOUN VERB | NOUN NOUN")))["xtreme_f1"] == pytest.approx(
        100 * 2 / 5
    )


def test_answers_by_hand() -> None:
    given = answered([(["May 1998", "1998"], "in 1998"), (["the cat"], "Cat."), (["Paris"], "")])
    assert values(given) == {"f1": pytest.approx(100 * (2 / 3 + 1) / 3), "exact_match": pytest.approx(100 / 3)}


def test_the_normalisation_is_stated() -> None:
    given = answered([(["der Hund"], "Hund")], language="de")
    assert values(given, normalisation="squad") == {"f1": pytest.approx(200 / 3), "exact_match": 0}
    assert values(given, normalisation="mlqa") == {"f1": 100, "exact_match": 100}
    assert score(given, resampling=FEW)["f1"].normalisation == "squad"
    assert score(given, normalisation="mlqa", resampling=FEW)["f1"].normalisation == "mlqa-de"
    assert score(judged([("neutral", "neutral")]), resampling=FEW)["accuracy"].normalisation is None


def test_inference_by_hand() -> None:
    given = judged([("neutral", "neutral"), ("entailment", "neutral"), ("contradiction", "contradiction")])
    assert values(given) == {"accuracy": pytest.approx(200 / 3)}


def sentences(tags: Tags) -> st.SearchStrategy[list[tuple[list[str], list[str]]]]:
    words = st.lists(st.tuples(st.sampled_from(tags), st.sampled_from(tags)), max_size=8)
    pairs = words.map(lambda both: ([gold for gold, _ in both], [found for _, found in both]))
    return st.lists(pairs, min_size=1, max_size=5)


# A type in another script, one with a hyphen of its own, and one that is called like no type.
TYPES = ["PER", "LOC", "\u4eba", "GEO-POL", "O"]
IOB2_TAGS = ["O", "O", "O", *(f"{begin}-{kind}" for kind in TYPES for begin in "BI")]


@given(sentences(IOB2_TAGS))
def test_entities_as_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    found = values(tagged("ner", pairs))
    gold, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    strict = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    assert found["f1"] == pytest.approx(100 * seqeval.f1_score(gold, predicted, **strict))
    assert found["precision"] == pytest.approx(100 * seqeval.precision_score(gold, predicted, **strict))
    assert found["recall"] == pytest.approx(100 * seqeval.recall_score(gold, predicted, **strict))
    assert found["xtreme_f1"] == pytest.approx(100 * seqeval.f1_score(gold, predicted, zero_division=0))


@given(sentences(IOB2_TAGS))
def test_types_as_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    found = values(tagged("ner", pairs))
    gold, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    reference = precision_recall_fscore_support(gold, predicted, average=None, scheme=IOB2, zero_division=0)
    kinds = sorted(name.partition("/")[2] for name in found if name.startswith("f1/"))
    assert len(kinds) == len(reference[0])
    for number, kind in enumerate(kinds):
        ours = [found[f"{name}/{kind}"] for name in ("precision", "recall", "f1")]
        assert ours == pytest.approx([100 * column[number] for column in reference[:3]])


@pytest.mark.filterwarnings("ignore:.*seems not to be NE tag:UserWarning")
@given(sentences([*UPOS, "BOUND", "EMO", "OTHER", "."]))
def test_parts_of_speech_as_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    found = values(tagged("pos", pairs))["xtreme_f1"]
    # `N-NOUN` is to the present seqeval what `NOUN` was to the one before 1.0: letter N, type NOUN.
    gold, predicted = ([[f"{tag[0]}-{tag}" for tag in pair[side]] for pair in pairs] for side in (0, 1))
    assert found == pytest.approx(100 * seqeval.f1_score(gold, predicted, zero_division=0))


@given(sentences([*UPOS, "_", "\u540d\u8a5e"]).filter(lambda pairs: any(gold for gold, _ in pairs)))
def test_words_as_sklearn(pairs: list[tuple[list[str], list[str]]]) -> None:
    found = values(tagged("pos", pairs))
    gold, predicted = ([tag for pair in pairs for tag in pair[side]] for side in (0, 1))
    assert found["accuracy"] == pytest.approx(100 * sklearn.accuracy_score(gold, predicted))
    assert found["f1"] == pytest.approx(100 * sklearn.f1_score(gold, predicted, average="micro"))


labels = st.sampled_from(["entailment", "neutral", "contradiction", ""])


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=20))
def test_inference_as_sklearn(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = zip(*pairs, strict=True)
    assert values(judged(pairs))["accuracy"] == pytest.approx(100 * sklearn.accuracy_score(gold, predicted))


texts = st.lists(st.sampled_from(["The", "cat", "a", "\u0642\u0637", "\u732b", "cat.", "1998"]), max_size=4).map(
    " ".join
)


@given(st.lists(st.tuples(st.lists(texts, min_size=1, max_size=3), texts.map("x ".__add__)), min_size=1, max_size=6))
def test_answers_as_torchmetrics(pairs: list[tuple[list[str], str]]) -> None:
    found = values(answered(pairs))
    predicted = [{"prediction_text": text, "id": str(number)} for number, (_, text) in enumerate(pairs)]
    gold = [
        {"answers": {"text": gold, "answer_start": [0] * len(gold)}, "id": str(number)}
        for number, (gold, _) in enumerate(pairs)
    ]
    reference = {name: value.item() for name, value in squad(predicted, gold).items()}
    assert found == pytest.approx(reference, rel=1e-5)


@pytest.mark.parametrize("tags", [[], ["O", "O"]])
def test_no_entities_at_all_is_zero(tags: Tags) -> None:
    found = score(tagged("ner", [(tags, tags)] * 3), resampling=FEW)
    assert {(each.value, each.low, each.high) for each in found.values()} == {(0, 0, 0)}
    assert set(found) == {"f1", "precision", "recall", "xtreme_f1"}


def test_a_type_that_gold_lacks() -> None:
    found = values(tagged("ner", split("B-PER O | B-PER B-FOO")))
    assert (found["f1/FOO"], found["recall/FOO"], found["precision"]) == (0, 0, 50)


ONE_EACH = {
    "ner": tagged("ner", ENTITIES),
    "pos": tagged("pos", split("NOUN X | NOUN X")),
    "qa": answered([(["a cat"], "cat")]),
    "nli": judged([("neutral", "neutral")]),
}


@pytest.mark.parametrize("task", MAIN_METRIC)
def test_every_task_has_its_main_metric(task: str) -> None:
    found = score(ONE_EACH[task], resampling=FEW)
    main = found[MAIN_METRIC[task]]  # type: ignore[index]
    assert (main.metric, main.examples, main.seeds) == (MAIN_METRIC[task], len(ONE_EACH[task].rows), 1)  # type: ignore[index]
    assert all(name == each.metric for name, each in found.items())
    assert TaskScore.model_validate_json(main.model_dump_json()) == main


def test_all_right_leaves_no_doubt() -> None:
    main = score(tagged("pos", split("NOUN X | NOUN X", "VERB | VERB")))["f1"]
    assert (main.value, main.low, main.high) == (100, 100, 100)


RUNS = [judged([("a", "a"), ("b", right), ("c", "c"), ("d", "a")] * 10, seed) for seed, right in [(2, "b"), (1, "a")]]


def test_mean_over_seeds() -> None:
    found = score_over_seeds(RUNS, resampling=FEW)
    assert (found.metric, found.value, found.examples, found.seeds) == ("accuracy", 62.5, 40, 2)
    assert found.low is not None and found.high is not None and found.low < 62.5 < found.high
    alone = score_over_seeds(RUNS[:1])
    assert (alone.value, alone.low, alone.high, alone.seeds) == (75, None, None, 1)


def test_two_systems_are_compared_in_pairs() -> None:
    difference = compare(RUNS[0], RUNS[1])
    assert difference.value == 25
    assert difference.low is not None and difference.low > 0
    assert compare(RUNS[0], RUNS[0]).low == compare(RUNS[0], RUNS[0]).high == 0
    # Paired by seed, not by place.
    both = compare_over_seeds(RUNS, RUNS[::-1])
    assert (both.value, both.low, both.high) == (0, 0, 0)


def test_another_metric_can_be_compared() -> None:
    first, second = tagged("ner", ENTITIES), tagged("ner", [(gold, gold) for gold, _ in ENTITIES])
    assert compare(second, first, metric="recall/LOC").value == pytest.approx(75)
    with pytest.raises(DataError, match=r"there is no metric `recal`, only f1, precision, .* Did you mean `recall`\?"):
        compare(first, second, metric="recal")


def test_errors_say_what_to_do() -> None:
    with pytest.raises(DataError, match="no predictions of joint/1 for ner in sw: nothing to score"):
        score(predictions("ner", []))
    for tag in ("X-PER", "PER", "B", "B-", "o"):
        with pytest.raises(DataError, match=f"`{tag}` is no IOB2 tag: those of ner are O, B-TYPE and I-TYPE"):
            score(tagged("ner", [(["O"], [tag])]))
    with pytest.raises(ConfigError, match=r"found `sw`\. Use `squad`"):
        score(ONE_EACH["qa"], normalisation="mlqa")
    with pytest.raises(DataError, match=r"must differ by seed, found \[1, 1\]"):
        score_over_seeds([RUNS[1], RUNS[1]])
    with pytest.raises(DataError, match=r"seed by seed, found the seeds \[1\] and \[2\]"):
        compare_over_seeds(RUNS[1:], RUNS[:1])
    with pytest.raises(DataError, match="joint/2 and joint/3 are not of the same examples with the same gold labels"):
        compare(RUNS[0], judged([("a", "a")], 3))
