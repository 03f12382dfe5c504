"""The Trainer as fine-tuning uses it: rates, what an epoch is, predictions in order, and an end to losses that are not finite."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainingArguments

from detente.errors import TrainingError
from detente.settings.tasks import TaskSettings
from detente.tasks.features import IGNORED, Collator, Encoded, Features
from detente.tasks.models import Loaded, load_model
from detente.tasks.trainer import FineTuner

NUMBER = 37
TAGGER, CLASSIFIER, READER = (
    f"AutoModelFor{kind}" for kind in ("TokenClassification", "SequenceClassification", "QuestionAnswering")
)
# Of one update, in float32.
RATE_TOLERANCE = 1e-6
MakeCheckpoint = Callable[..., str]


@pytest.fixture(name="bert", scope="module")
def _bert(make_checkpoint: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> str:
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.5}
    return make_checkpoint(tmp_path_factory.mktemp("models") / "bert", "bert", **still)


class Seen(Features):
    """Remembers what is asked of it."""

    def __init__(self, encoded: Encoded) -> None:
        super().__init__(encoded)
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.asked.append(index)
        return super().__getitem__(index)


def features(model_class: str = TAGGER, number: int = NUMBER) -> Seen:
    """Of many lengths in no order."""
    draw = random.Random(5)
    rows: list[dict[str, Any]] = []
    for _ in range(number):
        ids = [2, *(draw.randrange(5, 150) for _ in range(draw.randrange(1, 30))), 3]
        targets: dict[str, Any] = {"labels": [IGNORED, *(draw.randrange(3) for _ in ids[2:]), IGNORED]}
        if model_class == CLASSIFIER:
            targets = {"labels": draw.randrange(3)}
        if model_class == READER:
            targets = {"start_positions": draw.randrange(len(ids)), "end_positions": draw.randrange(len(ids))}
        rows.append({"input_ids": ids, **targets})
    return Seen(Encoded(rows, [None] * number))


def tuner_of(loaded: Loaded, train: Features | None, folder: Path, **options: Any) -> FineTuner:
    settings = {name: options.pop(name) for name in list(options) if name in TaskSettings.model_fields}
    defaults: dict[str, Any] = {"batch_size": 8, "rates": (1e-3, 1e-3), "seed": 1, "reduce": lambda logits: logits}
    return FineTuner(
        loaded,
        train,
        settings=TaskSettings(**{"epochs": 2, "warmup": 0.0, "weight_decay": 0.0, **settings}),
        pad_id=0,
        folder=folder,
        use_cpu=True,
        **{**defaults, **options},
    )


def tagger(checkpoint: str, seed: int = 1) -> Loaded:
    return load_model(checkpoint, TAGGER, ("A", "B", "C"), seed=seed)


def snapshot(loaded: Loaded) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in loaded.model.named_parameters()}


@pytest.mark.parametrize("rates", [(1e-3, 1e-1), (1e-1, 1e-3)])
def test_each_rate_reaches_its_parameters(bert: str, tmp_path: Path, rates: tuple[float, float]) -> None:
    """The first update of AdamW moves whatever has a gradient by the learning rate."""
    loaded = tagger(bert)
    before = snapshot(loaded)
    tuner_of(loaded, features(number=8), tmp_path, rates=rates, epochs=1).train()
    moved = {
        name: float((parameter.detach() - before[name]).abs().max())
        for name, parameter in loaded.model.named_parameters()
    }
    assert loaded.head == {"classifier.weight", "classifier.bias"}
    for name, distance in moved.items():
        # Softmax does not see what is added to all keys.
        if not name.endswith("key.bias"):
            rate = rates[name in loaded.head]
            assert distance == pytest.approx(rate, rel=0.05, abs=RATE_TOLERANCE), name


def test_norms_and_biases_do_not_decay(bert: str, tmp_path: Path) -> None:
    loaded = tagger(bert)
    tuner = tuner_of(loaded, features(), tmp_path, weight_decay=0.25, rates=(1e-3, 2e-3))
    groups = {id(p): group for group in tuner.optimizer.param_groups for p in group["params"]}
    for name, parameter in loaded.model.named_parameters():
        group = groups[id(parameter)]
        plain = name.endswith("bias") or "LayerNorm" in name
        assert group["weight_decay"] == (0.0 if plain else 0.25), name
        assert group["lr"] == (2e-3 if name in loaded.head else 1e-3), name


def test_frozen_parameters_stay(bert: str, tmp_path: Path) -> None:
    loaded = tagger(bert)
    frozen = "bert.embeddings.word_embeddings.weight"
    loaded.model.get_parameter(frozen).requires_grad_(False)
    before = snapshot(loaded)
    tuner_of(loaded, features(), tmp_path, weight_decay=0.5).train()
    after = snapshot(loaded)
    assert torch.equal(before[frozen], after[frozen])
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])


def test_the_rates_rise_and_fall_linearly(bert: str, tmp_path: Path) -> None:
    seen: list[list[float]] = []
    tuner = tuner_of(
        tagger(bert),
        features(),
        tmp_path,
        rates=(1e-3, 4e-3),
        warmup=0.2,
        epochs=4,
        after_step=lambda _: seen.append(sorted({group["lr"] for group in tuner.optimizer.param_groups})),
    )
    tuner.train()
    updates = 4 * -(-NUMBER // 8)
    rise = round(0.2 * updates)
    # After an update stands the rate of the next.
    shares = [min(n / rise, (updates - n) / (updates - rise)) for n in range(1, updates + 1)]
    expected = [[1e-3 * share, 4e-3 * share] if share else [0.0] for share in shares]
    assert [pytest.approx(pair) for pair in expected] == seen


def test_an_epoch_is_every_example_once(bert: str, tmp_path: Path) -> None:
    train, steps, ends = features(), list[int](), list[int]()

    def end(number: int, _: float) -> None:
        assert Counter(train.asked[-NUMBER:]) == Counter(range(NUMBER))
        ends.append(number)

    tuner = tuner_of(tagger(bert), train, tmp_path, epochs=3, after_step=steps.append, after_epoch=end)
    tuner.train()
    assert ends == [1, 2, 3]
    assert len(steps) == 3 * -(-NUMBER // 8)
    asked = train.asked[-3 * NUMBER :]
    orders = [asked[start : start + NUMBER] for start in range(0, 3 * NUMBER, NUMBER)]
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("draws", [16, 50])
def test_an_epoch_can_be_a_number_of_examples(bert: str, tmp_path: Path, draws: int) -> None:
    """Fewer than there are or more; drawn anew in each epoch, and alike in another run of the same seed."""
    found: list[list[int]] = []
    for seed in (1, 1, 2):
        train, steps = features(), list[int]()
        tuner = tuner_of(
            tagger(bert), train, tmp_path, examples_per_epoch=draws, epochs=2, seed=seed, after_step=steps.append
        )
        train.asked.clear()
        tuner.train()
        assert len(steps) == 2 * -(-draws // 8)
        assert len(train.asked) == 2 * draws
        assert train.asked[:draws] != train.asked[draws:]
        assert set(train.asked) <= set(range(NUMBER))
        found.append(list(train.asked))
    assert found[0] == found[1] != found[2]


def test_the_loss_of_an_epoch_is_the_mean_over_its_updates(bert: str, tmp_path: Path) -> None:
    """At a rate of next to nothing: of the model as it was, batch by batch."""
    train, losses = features(number=24), list[float]()
    loaded = tagger(bert)
    tuner = tuner_of(loaded, train, tmp_path, rates=(1e-20, 1e-20), after_epoch=lambda _, loss: losses.append(loss))
    tuner.train()
    asked = train.asked[-48:]
    batches = [asked[start : start + 8] for start in range(0, 48, 8)]
    loaded.model.eval()
    with torch.no_grad():
        each = [float(loaded.model(**Collator(0)([train[n] for n in batch])).loss) for batch in batches]
    assert losses == [pytest.approx(np.mean(each[:3]), rel=1e-5), pytest.approx(np.mean(each[3:]), rel=1e-5)]
    assert losses[0] != losses[1]


def alone(loaded: Loaded, some: Features) -> list[Any]:
    """Each feature's output, found without a batch and without padding."""
    loaded.model.eval()
    with torch.no_grad():
        return [loaded.model(**Collator(0)([some[number]])) for number in range(len(some))]


@pytest.mark.parametrize("number", [1, 5, 70])
def test_tags_come_back_in_order(bert: str, tmp_path: Path, number: int) -> None:
    loaded, some = tagger(bert), features(number=number)
    found = tuner_of(loaded, None, tmp_path, reduce=lambda logits: logits.argmax(-1)).outputs(some)
    expected = [output.logits[0].argmax(-1).tolist() for output in alone(loaded, some)]
    assert [row[: some.length(n)].tolist() for n, row in enumerate(found)] == expected
    assert len({tuple(row) for row in expected}) > number // 2


def test_labels_come_back_in_order(bert: str, tmp_path: Path) -> None:
    loaded, some = load_model(bert, CLASSIFIER, ("A", "B", "C"), seed=1), features(CLASSIFIER)
    found = tuner_of(loaded, None, tmp_path, reduce=lambda logits: logits.argmax(-1)).outputs(some)
    assert found.tolist() == [int(output.logits.argmax()) for output in alone(loaded, some)]
    assert len(set(found.tolist())) > 1


def test_both_ends_of_spans_come_back_in_order(bert: str, tmp_path: Path) -> None:
    loaded, some = load_model(bert, READER, (), seed=1), features(READER)
    starts, ends = tuner_of(loaded, None, tmp_path).outputs(some)
    for number, output in enumerate(alone(loaded, some)):
        length = some.length(number)
        np.testing.assert_allclose(starts[number, :length], output.start_logits[0], atol=1e-5)
        np.testing.assert_allclose(ends[number, :length], output.end_logits[0], atol=1e-5)


def test_predicting_does_not_disturb_training(bert: str, tmp_path: Path) -> None:
    """Scores after each epoch draw no random numbers and leave the model as it was."""

    def train(look: Callable[[FineTuner], object]) -> dict[str, torch.Tensor]:
        loaded = tagger(bert)
        for module in loaded.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.1
        tuner = tuner_of(loaded, features(), tmp_path, epochs=3, after_epoch=lambda *_: look(tuner))
        tuner.train()
        return snapshot(loaded)

    plain, watched = train(lambda _: None), train(lambda tuner: tuner.outputs(features(number=20)))
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_a_loss_that_is_not_finite_ends_it(bert: str, tmp_path: Path, value: float, said: str) -> None:
    loaded, steps, ends = tagger(bert), list[int](), list[int]()
    forward = loaded.model.forward

    def spoilt(*values: Any, **named: Any) -> Any:
        output = forward(*values, **named)
        if len(steps) == 2:
            output.loss = output.loss * value
        return output

    loaded.model.forward = spoilt  # type: ignore[method-assign]
    tuner = tuner_of(
        loaded,
        features(),
        tmp_path,
        rates=(3e-4, 1e-3),
        after_step=steps.append,
        after_epoch=lambda n, _: ends.append(n),
    )
    with pytest.raises(TrainingError, match=rf"^the loss of fine-tuning at the learning rate 0\.0003 is {said}\.$"):
        tuner.train()
    assert (len(steps), ends) == (2, [])
    assert all(bool(parameter.isfinite().all()) for parameter in loaded.model.parameters()), "before the update"


def test_the_same_seed_trains_the_same_model(bert: str, tmp_path: Path) -> None:
    def train(seed: int) -> dict[str, torch.Tensor]:
        loaded = tagger(bert)
        tuner_of(loaded, features(), tmp_path, seed=seed).train()
        return snapshot(loaded)

    first, same, other = train(1), train(1), train(2)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_several_gpus_do_not_multiply_the_batch(bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = TrainingArguments.__post_init__

    def find_two(arguments: TrainingArguments) -> None:
        prepare(arguments)
        arguments._n_gpu = 2

    monkeypatch.setattr(TrainingArguments, "__post_init__", find_two)
    assert TrainingArguments(output_dir=str(tmp_path), per_device_train_batch_size=8).train_batch_size == 16
    assert tuner_of(tagger(bert), features(), tmp_path, batch_size=8).args.train_batch_size == 8


def test_nothing_is_printed_and_nothing_is_saved(bert: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new"
    tuner = tuner_of(tagger(bert), features(), folder)
    tuner.train()
    tuner.outputs(features(number=4))
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")
    assert list(folder.rglob("*")) == []
