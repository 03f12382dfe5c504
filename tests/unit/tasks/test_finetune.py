"""A whole fine-tuning, on tasks that a tiny model learns in seconds: what is chosen, what is tested, and what an interruption leaves."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from detente.errors import ConfigError, DataError, TrainingError
from detente.settings.tasks import TaskName, TaskSettings
from detente.task_results import LanguageScore
from detente.tasks.choice import CHECKPOINTS, TRIALS_FILE, best
from detente.tasks.data import Splits, TaskData
from detente.tasks.examples import Answer, Example, Question, SentencePair, TaggedSentence
from detente.tasks.finetune import FineTuning, Found, Model
from detente.tasks.predictions import read_predictions
from detente.tasks.scores import MAIN_METRIC, score

MakeCheckpoint = Callable[..., str]
SOURCE, TARGET = "qaa", "qab"
LEARNT = 90.0
# Words and their tags in two languages: what a tag looks like has to be learnt by heart.
WORDS = {
    SOURCE: {"fox": "B-A", "quick": "I-A", "dog": "B-B", "the": "O", "over": "O", "times": "O"},
    TARGET: {"fox": "B-A", "brown": "I-A", "dog": "B-B", "lazy": "O", "over": "O", "done": "O"},
}


def tagged(language: str, number: int, seed: int) -> tuple[TaggedSentence, ...]:
    draw, tags = random.Random(f"{language} {seed}"), WORDS[language]
    names = [word for word, tag in tags.items() if tag != "I-A"]
    (inside,) = (word for word, tag in tags.items() if tag == "I-A")
    found = []
    for _ in range(number):
        words: list[str] = []
        for word in draw.choices(names, k=draw.randrange(3, 8)):
            words += [word, inside] if tags[word] == "B-A" and draw.random() < 0.5 else [word]
        found.append(TaggedSentence(tuple(words), tuple(tags[word] for word in words)))
    return tuple(found)


def asked(language: str, number: int, seed: int) -> tuple[Question, ...]:
    """The answer is the word after `dog`."""
    found = []
    for place, sentence in enumerate(tagged(language, number, seed)):
        context = " ".join([word for word in sentence.words if word != "dog"] + ["dog"] + ["times"])
        found.append(Question(f"{language}{place}", "over?", context, (Answer("times", len(context) - 5),)))
    return tuple(found)


def paired(language: str, number: int, seed: int) -> tuple[SentencePair, ...]:
    """What the hypothesis is says it all."""
    draw, labels = random.Random(seed), {"fox": "entailment", "dog": "neutral", "over": "contradiction"}
    sentences = tagged(language, number, seed)
    words = [draw.choice(list(labels)) for _ in sentences]
    pairs = zip(sentences, words, strict=True)
    return tuple(SentencePair(" ".join(s.words[:3]), " ".join([word] * 3), labels[word]) for s, word in pairs)


def parts_of_speech(language: str, number: int, seed: int) -> tuple[TaggedSentence, ...]:
    names = {"B-A": "NOUN", "I-A": "ADJ", "B-B": "NOUN", "O": "X"}
    return tuple(TaggedSentence(s.words, tuple(names[tag] for tag in s.tags)) for s in tagged(language, number, seed))


MAKERS: dict[TaskName, Callable[..., tuple[Example, ...]]] = {
    "ner": tagged,
    "pos": parts_of_speech,
    "qa": asked,
    "nli": paired,
}


def data_of(kind: TaskName, languages: Sequence[str] = (SOURCE, TARGET), *, train: int = 48) -> TaskData:
    make = MAKERS[kind]
    return TaskData(
        {
            language: Splits(
                make(language, train, 1) if language == SOURCE else (), make(language, 24, 2), make(language, 24, 3)
            )
            for language in languages
        }
    )


@pytest.fixture(name="ours", scope="module")
def _ours(make_checkpoint: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_checkpoint(tmp_path_factory.mktemp("models") / "ours", "detente")


@pytest.fixture(name="bert", scope="module")
def _bert(make_checkpoint: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_checkpoint(tmp_path_factory.mktemp("models") / "bert", "bert")


class Watch:
    """Notes which points of the grid are trained, and can do something at one of their updates."""

    def __init__(self, at: tuple[int, int] | None = None, what: BaseException | None = None) -> None:
        self.points: list[str] = []
        self.counted = 0
        self._at, self._what = at, what

    def __call__(self, description: str, unit: str, total: int | None) -> Callable[[int], None]:
        self.points.append(description)
        self.totals = (unit, total)
        point, steps = len(self.points), 0

        def step(examples: int) -> None:
            nonlocal steps
            steps += 1
            self.counted += examples
            if self._what is not None and (point, steps) == self._at:
                raise self._what

        return step


def tuning(checkpoint: str, folder: Path, kind: TaskName = "ner", **options: Any) -> FineTuning:
    settings = {
        name: options.pop(name) for name in list(options) if name in TaskSettings.model_fields and name != "data"
    }
    defaults: dict[str, Any] = {"epochs": 4, "batch_sizes": (8,), "learning_rates": (1e-2,)}
    given: dict[str, Any] = {"data": data_of(kind), "source": SOURCE, "seed": 1, **options}
    return FineTuning(
        Model("tiny", checkpoint), kind, settings=TaskSettings(**{**defaults, **settings}), folder=folder, **given
    )


def scores_of(found: Found, setting: str) -> dict[str, LanguageScore]:
    return {each.language: each for each in found.scores if each.setting == setting}


def checkpoints(folder: Path) -> set[str]:
    return {path.name for path in (folder / CHECKPOINTS).glob("*")}


def files(folder: Path) -> dict[str, bytes]:
    """Predictions by the name of their file."""
    return {path.name: path.read_bytes() for path in folder.glob("predictions-*")}


@pytest.mark.parametrize("family", ["ours", "bert"])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_task_is_learnt(kind: TaskName, family: str, ours: str, bert: str, tmp_path: Path) -> None:
    found = tuning(ours if family == "ours" else bert, tmp_path, kind, epochs=12, learning_rates=(5e-3,)).run()
    within, others = scores_of(found, "within"), scores_of(found, "zero-shot")
    assert within[SOURCE].value > LEARNT
    assert set(others) == {TARGET}
    assert set(scores_of(found, "oracle")) == {TARGET}
    assert (within[SOURCE].metric, within[SOURCE].examples) == (MAIN_METRIC[kind], 24)
    assert [epoch.epoch for epoch in found.epochs] == list(range(1, 13))
    assert found.epochs[-1].loss < 0.3 * found.epochs[0].loss
    assert all(set(epoch.validation) == {SOURCE, TARGET} for epoch in found.epochs)
    assert (found.cuts, found.diverged) == ((), ())
    assert found.labels == tuple(sorted(found.labels))


def test_scores_are_those_of_the_saved_predictions(ours: str, tmp_path: Path) -> None:
    data = data_of("ner")
    found = tuning(ours, tmp_path, data=data, seed=7, epochs=2).run()
    assert len(found.scores) == 3
    for each in found.scores:
        predictions = read_predictions(tmp_path / each.predictions)
        header, rows = predictions.header, predictions.rows
        assert each.predictions == f"predictions-{each.setting}-{each.language}.jsonl.gz"
        assert (header.language, header.source, header.seed, header.split) == (each.language, SOURCE, 7, "test")
        assert (header.task, header.model) == ("ner", "tiny")
        assert header.setting == ("within" if each.language == SOURCE else "zero-shot")
        assert header.notes == {"chosen_by": TARGET if each.setting == "oracle" else SOURCE}
        assert [(row.words, row.gold) for row in rows] == [
            (e.words, e.tags) for e in data.examples(each.language, "test")
        ]
        again = score(predictions)
        assert (each.value, each.low, each.high) == tuple(
            getattr(again["f1"], part) for part in ("value", "low", "high")
        )
        assert each.others == {name: value.value for name, value in again.items() if name != "f1"}


def test_what_is_tested_is_what_was_validated(ours: str, tmp_path: Path) -> None:
    """A checkpoint that is saved and loaded scores as it did after its epoch."""
    plain = data_of("pos")
    same = TaskData({label: Splits(s.train, s.validation, s.validation) for label, s in plain.languages.items()})
    found = tuning(ours, tmp_path, "pos", data=same, learning_rates=(3e-3, 1e-2), epochs=3).run()
    for each in found.scores:
        chooser = TARGET if each.setting == "oracle" else SOURCE
        winner = best(found.epochs, chooser)
        assert (each.trial, each.epoch) == (winner.trial, winner.epoch)
        assert each.value == winner.validation[each.language]
    assert len({value for epoch in found.epochs for value in epoch.validation.values()}) > 4, "or equality says little"


def test_an_oracle_chooses_by_the_target(ours: str, tmp_path: Path) -> None:
    """Whose tags are such that what is learnt of the source makes it worse."""
    data = data_of("pos")
    same = tuple(TaggedSentence(s.words, ("X",) * len(s.words)) for s in parts_of_speech(TARGET, 24, 2))
    odd = TaskData({SOURCE: data.languages[SOURCE], TARGET: Splits(validation=same, test=same)})
    found = tuning(ours, tmp_path, "pos", data=odd, epochs=6, learning_rates=(3e-3,)).run()
    within, other, oracle = (
        scores_of(found, setting)[language]
        for setting, language in (("within", SOURCE), ("zero-shot", TARGET), ("oracle", TARGET))
    )
    assert within.epoch == other.epoch == best(found.epochs, SOURCE).epoch
    assert oracle.epoch == best(found.epochs, TARGET).epoch != other.epoch
    assert oracle.value == max(epoch.validation[TARGET] for epoch in found.epochs) > other.value
    assert checkpoints(tmp_path) == {f"trial1-epoch{epoch}" for epoch in (within.epoch, oracle.epoch)}


def test_only_chosen_checkpoints_are_kept(ours: str, tmp_path: Path) -> None:
    found = tuning(ours, tmp_path, learning_rates=(1e-3, 3e-3, 1e-2), epochs=3).run()
    winners = [best(found.epochs, language) for language in (SOURCE, TARGET)]
    assert checkpoints(tmp_path) == {f"trial{epoch.trial}-epoch{epoch.epoch}" for epoch in winners}


def test_every_point_of_the_grid_is_tried(ours: str, tmp_path: Path) -> None:
    watch = Watch()
    options: dict[str, Any] = {"batch_sizes": (8, 16), "learning_rates": (1e-3, 1e-2), "head_learning_rates": (1e-2,)}
    found = tuning(ours, tmp_path, progress=watch, epochs=2, **options).run()
    assert watch.points == [f"tiny, ner, {SOURCE}: {number} of 4" for number in (1, 2, 3, 4)]
    assert watch.totals == ("examples", 96)
    assert watch.counted == 4 * 96
    assert [(e.trial, e.epoch, e.batch_size, e.learning_rate, e.head_learning_rate) for e in found.epochs] == [
        (trial, epoch, size, rate, 1e-2)
        for trial, (size, rate) in enumerate(((8, 1e-3), (8, 1e-2), (16, 1e-3), (16, 1e-2)), start=1)
        for epoch in (1, 2)
    ]


def change_phi(checkpoint: str, folder: Path, language: int) -> str:
    """A copy with other parameters of one language."""
    folder.mkdir()
    for path in Path(checkpoint).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    changed = {
        name: value + torch.randn(value.shape, generator=torch.Generator().manual_seed(1)) * 3
        if name.startswith(f"detente.specific.{language}.")
        else value
        for name, value in weights.items()
    }
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    assert changed.keys() == weights.keys()
    return str(folder)


def test_zero_shot_goes_through_the_targets_own_parameters(ours: str, tmp_path: Path) -> None:
    plain = tuning(ours, tmp_path / "plain").run()
    changed = tuning(change_phi(ours, tmp_path / "model", 1), tmp_path / "changed").run()
    before, after = files(tmp_path / "plain"), files(tmp_path / "changed")
    within, others = f"predictions-within-{SOURCE}.jsonl.gz", f"predictions-zero-shot-{TARGET}.jsonl.gz"
    assert before[within] == after[within]
    assert before[others] != after[others]
    assert scores_of(plain, "within") == scores_of(changed, "within")
    assert scores_of(plain, "zero-shot")[TARGET].value != scores_of(changed, "zero-shot")[TARGET].value
    for one, other in zip(plain.epochs, changed.epochs, strict=True):
        assert (one.loss, one.validation[SOURCE]) == (other.loss, other.validation[SOURCE])
    assert plain.epochs != changed.epochs


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    (checkpoint,) = (folder / CHECKPOINTS).iterdir()
    return load_file(checkpoint / "model.safetensors")


@pytest.mark.parametrize("specific", ["trainable", "frozen"])
def test_which_parameters_follow(ours: str, tmp_path: Path, specific: str) -> None:
    """The target's stay bit for bit as they were pretrained; the source's, if they are frozen."""
    data = data_of("ner", (SOURCE,))
    both = TaskData({**data.languages, TARGET: Splits(test=data_of("ner").examples(TARGET, "test"))})
    tuning(ours, tmp_path, data=both, specific=specific, epochs=1).run()
    before, after = load_file(Path(ours) / "model.safetensors"), weights_of(tmp_path)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    own = {name for name in before if name.startswith("detente.specific.0.")}
    assert not {name for name in moved if name.startswith("detente.specific.1.")}
    assert bool(moved & own) == (specific == "trainable")
    assert moved - own, "theta follows"


def test_frozen_is_refused_where_nothing_can_be(bert: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`specific: frozen` is for models that detente has trained"):
        tuning(bert, tmp_path, specific="frozen").run()


def test_the_same_seed_gives_the_same_predictions(ours: str, tmp_path: Path) -> None:
    found = {
        name: tuning(ours, tmp_path / name, seed=seed, epochs=1).run() for name, seed in (("a", 1), ("b", 1), ("c", 2))
    }
    assert found["a"] == found["b"]
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert [epoch.loss for epoch in found["a"].epochs] != [epoch.loss for epoch in found["c"].epochs]


def test_what_is_tested_does_not_change_what_is_trained(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    """Dropout draws the same numbers, whatever else is looked at after each epoch."""
    shape = {"layers": 1, "width": 32, "heads": 2, "feed_forward_width": 32, "dropout": 0.2}
    checkpoint = make_checkpoint(tmp_path / "model", "detente", encoder_settings=shape)
    both = tuning(checkpoint, tmp_path / "both", epochs=3).run()
    alone = tuning(checkpoint, tmp_path / "alone", data=data_of("ner", (SOURCE,)), epochs=3).run()
    assert scores_of(both, "within") == scores_of(alone, "within")
    assert [epoch.loss for epoch in both.epochs] == [epoch.loss for epoch in alone.epochs]


RATES = {"learning_rates": (1e-3, 1e-2, 3e-3), "epochs": 2}
STEPS = 6
"""Updates of an epoch."""


@pytest.fixture(name="whole", scope="module")
def _whole(ours: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, dict[str, bytes]]:
    """A fine-tuning of three points that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    return tuning(ours, folder, **RATES).run(), files(folder)


@pytest.mark.parametrize("at", [(1, 3), (2, 1), (2, STEPS + 2), (3, 2 * STEPS)])
def test_an_interrupted_one_goes_on(
    ours: str, tmp_path: Path, whole: tuple[Found, dict[str, bytes]], at: tuple[int, int]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tuning(ours, tmp_path, progress=Watch(at, KeyboardInterrupt()), **RATES).run()
    rest = Watch()
    found = tuning(ours, tmp_path, progress=rest, **RATES).run()
    assert [description.split(": ")[1] for description in rest.points] == [f"{n} of 3" for n in range(at[0], 4)]
    assert found == whole[0]
    assert files(tmp_path) == whole[1]
    assert checkpoints(tmp_path) == {
        f"trial{epoch.trial}-epoch{epoch.epoch}" for epoch in (best(found.epochs, label) for label in (SOURCE, TARGET))
    }


def test_a_second_call_trains_nothing(ours: str, tmp_path: Path) -> None:
    first = tuning(ours, tmp_path, epochs=1).run()
    watch, before = Watch(), files(tmp_path)
    assert tuning(ours, tmp_path, epochs=1, progress=watch).run() == first
    assert (watch.points, files(tmp_path)) == ([], before)


def test_a_rate_that_diverges_is_noted_and_the_rest_goes_on(ours: str, tmp_path: Path) -> None:
    found = tuning(ours, tmp_path, learning_rates=(1e25, 1e-2), epochs=4).run()
    assert {epoch.trial for epoch in found.epochs} == {2}
    (said,) = found.diverged
    assert said.startswith("the loss of fine-tuning at the learning rate 1e+25 is ")
    assert scores_of(found, "within")[SOURCE].value > LEARNT


def test_where_every_rate_diverges_it_says_so(ours: str, tmp_path: Path) -> None:
    expected = r"the learning rate 1e\+25 is nan\. So it was for the whole grid\. Try lower `learning_rates`\.$"
    with pytest.raises(TrainingError, match=expected):
        tuning(ours, tmp_path, learning_rates=(1e25, 1e26)).run()
    assert not (tmp_path / TRIALS_FILE).exists()


def test_a_point_that_leads_and_then_diverges_does_not_take_the_others_checkpoint(ours: str, tmp_path: Path) -> None:
    """The second point is better from its first epoch on, but its later loss is not finite."""
    watch = Watch((2, 3 * STEPS + 2), TrainingError("the loss is nan."))
    found = tuning(ours, tmp_path, learning_rates=(1e-4, 1e-2), epochs=4, progress=watch).run()
    assert found.diverged == ("the loss is nan.",)
    assert {epoch.trial for epoch in found.epochs} == {1}
    alone = tuning(ours, tmp_path / "alone", learning_rates=(1e-4,), epochs=4).run()
    assert found.scores == alone.scores
    leading = {epoch.epoch for epoch in (best(found.epochs, SOURCE), best(found.epochs, TARGET))}
    assert checkpoints(tmp_path) == {f"trial1-epoch{epoch}" for epoch in leading}
    both = tuning(ours, tmp_path / "both", learning_rates=(1e-4, 1e-2), epochs=4).run()
    assert both.scores[0].trial == 2, "the second would have been chosen"


def test_a_language_that_the_model_does_not_know(ours: str, tmp_path: Path) -> None:
    data = TaskData({**data_of("ner").languages, "te": Splits(test=tagged(TARGET, 3, 3))})
    watch = Watch()
    with pytest.raises(DataError, match=r"the model was not trained on te: it knows qaa, qab"):
        tuning(ours, tmp_path, data=data, progress=watch).run()
    assert watch.points == [], "before anything is trained"


def test_a_model_that_is_the_same_for_all_takes_any_language(bert: str, tmp_path: Path) -> None:
    found = tuning(bert, tmp_path, data=TaskData({**data_of("ner").languages, "te": Splits(test=tagged(TARGET, 3, 3))}))
    assert {each.language for each in found.run().scores} == {SOURCE, TARGET, "te"}


def test_a_source_without_training_examples(ours: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^qab has no training examples"):
        tuning(ours, tmp_path, source=TARGET).run()


def test_a_language_without_test_examples_is_not_tested(ours: str, tmp_path: Path) -> None:
    languages = dict(data_of("ner").languages)
    languages[SOURCE] = Splits(languages[SOURCE].train, languages[SOURCE].validation)
    found = tuning(ours, tmp_path, data=TaskData(languages), epochs=1).run()
    assert {(each.setting, each.language) for each in found.scores} == {("zero-shot", TARGET), ("oracle", TARGET)}


def test_a_language_without_validation_examples_has_no_oracle(ours: str, tmp_path: Path) -> None:
    languages = dict(data_of("ner").languages)
    languages[TARGET] = Splits(test=languages[TARGET].test)
    found = tuning(ours, tmp_path, data=TaskData(languages), epochs=1).run()
    assert {(each.setting, each.language) for each in found.scores} == {("within", SOURCE), ("zero-shot", TARGET)}


def test_a_length_that_the_model_does_not_take(ours: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`max_length` is 99, but the model takes 32"):
        tuning(ours, tmp_path, max_length=99).run()


def test_what_was_cut_is_said_with_its_language_and_split(ours: str, tmp_path: Path) -> None:
    languages = dict(data_of("ner").languages)
    long = TaggedSentence(("fox", "dog") * 40, ("B-A", "B-B") * 40)
    languages[TARGET] = Splits(validation=languages[TARGET].validation, test=(*languages[TARGET].test, long))
    found = tuning(ours, tmp_path, data=TaskData(languages), epochs=1).run()
    (said,) = found.cuts
    assert said.startswith("qab, test: ")
    assert said.endswith(" times a sentence of more than 32 tokens was cut between words.")
    (row,) = read_predictions(tmp_path / scores_of(found, "zero-shot")[TARGET].predictions).rows[-1:]
    assert len(row.predicted) == 80


def test_an_epoch_of_some_examples(ours: str, tmp_path: Path) -> None:
    watch = Watch()
    tuning(ours, tmp_path, progress=watch, examples_per_epoch=16, epochs=3).run()
    assert (watch.counted, watch.totals) == (48, ("examples", 48))


def test_a_training_sentence_of_nothing_is_left_out(bert: str, tmp_path: Path) -> None:
    """BERT drops control characters; a batch of nothing else has no loss."""
    languages = dict(data_of("ner").languages)
    empty = (TaggedSentence(("\u200e",), ("O",)),) * 3
    languages[SOURCE] = Splits((*empty, *languages[SOURCE].train), languages[SOURCE].validation, languages[SOURCE].test)
    found = tuning(bert, tmp_path, data=TaskData(languages), batch_sizes=(1,), epochs=1, learning_rates=(1e-3,)).run()
    assert found.diverged == ()


def test_lines_of_the_folder_are_plain_json(ours: str, tmp_path: Path) -> None:
    found = tuning(ours, tmp_path, epochs=2).run()
    lines = (tmp_path / TRIALS_FILE).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [epoch.model_dump(mode="json") for epoch in found.epochs]
