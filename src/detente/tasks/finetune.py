"""Fine-tune one model on one language's labelled examples, choose among the grid and its epochs, and test on every language.

    for each point of the grid: train; after each epoch score the validation examples of every language
    the checkpoint that is best on the source's validation examples -> `within` and `zero-shot` scores
    the one that is best on a target's own                          -> that target's `oracle` score

A target goes through its own language-specific parameters. A point of the grid that is done is written down: an interrupted
fine-tuning goes on with the next.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from detente.errors import DataError, TrainingError
from detente.seeds import derive_seed
from detente.settings.tasks import TaskName, TaskSettings
from detente.task_results import Epoch, LanguageScore, Setting
from detente.tasks.choice import Point, Trials, best, chosen, grid
from detente.tasks.data import TaskData
from detente.tasks.features import Encoded, Features, Frame
from detente.tasks.kinds import KINDS
from detente.tasks.models import (
    Loaded,
    freeze_specific,
    language_feature,
    load_config,
    load_model,
    load_tokenizer,
    max_length,
)
from detente.tasks.predictions import Header, Predictions, collect_predictions, write_predictions
from detente.tasks.scores import MAIN_METRIC, score, tally
from detente.tasks.trainer import FineTuner

Progress = Callable[[str, str, int | None], Callable[[int], None]]
"""As `detente.prepare.Counter`: given what is counted, its unit and how much there is, gives what is told how much more is done."""


@dataclass(frozen=True)
class Model:
    """What is fine-tuned.

    Attributes:
        name: for records.
        checkpoint: a folder that transformers' Auto classes load, or a name on the hub.
    """

    name: str
    checkpoint: str


@dataclass(frozen=True)
class Found:
    """What came out.

    Attributes:
        cuts: what did not fit the model.
        diverged: what the points of the grid said that diverged.
    """

    labels: tuple[str, ...]
    epochs: tuple[Epoch, ...]
    scores: tuple[LanguageScore, ...]
    cuts: tuple[str, ...]
    diverged: tuple[str, ...]


@dataclass(frozen=True)
class FineTuning:
    """A model, a task and a source language.

    Attributes:
        folder: where trials, checkpoints and predictions are written.
        progress: told of the examples of each point of the grid.
    """

    model: Model
    kind: TaskName
    data: TaskData
    settings: TaskSettings
    source: str
    seed: int
    folder: Path
    use_cpu: bool = True
    progress: Progress = lambda *_: lambda _: None

    def run(self) -> Found:
        """Do what is missing.

        Raises:
            DataError: the model does not know a language, or the source has no training examples.
            ConfigError: a setting does not go with the model.
            TrainingError: every point of the grid diverged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for language in self.data.languages:
            language_feature(self._config, language)
        diverged = self._train_missing()
        epochs = self._trials.epochs()
        if not epochs:
            raise TrainingError(f"{diverged[0]} So it was for the whole grid. Try lower `learning_rates`.")
        scores = tuple(self._test(epochs))
        return Found(self._labels, tuple(epochs), scores, tuple(self._cuts()), tuple(diverged))

    @cached_property
    def _trials(self) -> Trials:
        return Trials(self.folder)

    @cached_property
    def _config(self) -> Any:
        return load_config(self.model.checkpoint)

    @cached_property
    def _frame(self) -> Frame:
        tokenizer = load_tokenizer(self.model.checkpoint)
        length = max_length(self._config, tokenizer, self.settings.max_length)
        return Frame(tokenizer, length, self.settings.stride, self.settings.max_answer_length)

    @cached_property
    def _labels(self) -> tuple[str, ...]:
        train = self.data.languages[self.source].train
        if not train:
            raise DataError(f"{self.source} has no training examples.")
        return KINDS[self.kind].labels(train)

    @cached_property
    def _encoded(self) -> dict[tuple[str, str], Encoded]:
        """(language, split) -> features: the source's training examples, and all that is scored."""
        scored = [(language, split) for language in self.data.languages for split in ("validation", "test")]
        return {key: self._encode(*key) for key in [(self.source, "train"), *scored]}

    def _encode(self, language: str, split: str) -> Encoded:
        return KINDS[self.kind].encode(self.data.examples(language, split), self._frame, self._labels)

    def _features(self, language: str, split: str) -> Features:
        encoded = self._encoded[language, split]
        return Features(encoded.labelled() if split == "train" else encoded, language_feature(self._config, language))

    def _cuts(self) -> Iterator[str]:
        for (language, split), encoded in self._encoded.items():
            yield from (f"{language}, {split}: {note}." for note in encoded.notes)

    def _train_missing(self) -> list[str]:
        """What the points of the grid that diverged said."""
        done, diverged = {epoch.trial for epoch in self._trials.epochs()}, []
        for point in grid(self.settings):
            if point.trial not in done:
                try:
                    self._trials.add(self._train(point))
                except TrainingError as error:
                    diverged.append(str(error))
                self._trials.keep_only(chosen(self._trials.epochs()))
        return diverged

    def _train(self, point: Point) -> list[Epoch]:
        loaded = load_model(self.model.checkpoint, KINDS[self.kind].model_class, self._labels, seed=self.seed)
        if self.settings.specific == "frozen":
            freeze_specific(loaded.model)
        before, done = self._trials.epochs(), list[Epoch]()

        def after_epoch(number: int, loss: float) -> None:
            done.append(self._validated(tuner, point, number, loss))
            leading = chosen([*before, *done])
            if done[-1] in leading:
                self._trials.save(done[-1], loaded.model)
            # Those that led before stay until this point is done: it may yet diverge.
            self._trials.keep_only([*chosen(before), *leading])

        tuner = self._tuner(loaded, point, after_epoch)
        tuner.train()
        return done

    def _tuner(
        self, loaded: Loaded, point: Point, after_epoch: Callable[[int, float], None] | None = None
    ) -> FineTuner:
        """Without `after_epoch`, for predictions alone."""
        train = self._features(self.source, "train") if after_epoch else None
        return FineTuner(
            loaded,
            train,
            settings=self.settings,
            batch_size=point.batch_size,
            rates=point.rates,
            reduce=KINDS[self.kind].reduce,
            pad_id=self._frame.tokenizer.pad_token_id,
            seed=derive_seed(self.seed, "fine-tuning", point.trial) % 2**32,
            folder=self.folder,
            use_cpu=self.use_cpu,
            after_epoch=after_epoch,
            after_step=self._counter(point, len(train)) if train else None,
        )

    def _counter(self, point: Point, examples: int) -> Callable[[int], None]:
        name = f"{self.model.name}, {self.kind}, {self.source}: {point.trial} of {len(grid(self.settings))}"
        return self.progress(name, "examples", (self.settings.examples_per_epoch or examples) * self.settings.epochs)

    def _validated(self, tuner: FineTuner, point: Point, number: int, loss: float) -> Epoch:
        validated = [language for language, splits in self.data.languages.items() if splits.validation]
        return Epoch(
            trial=point.trial,
            epoch=number,
            batch_size=point.batch_size,
            learning_rate=point.rates[0],
            head_learning_rate=point.rates[1],
            loss=loss,
            validation={language: self._main_value(tuner, language) for language in validated},
        )

    def _main_value(self, tuner: FineTuner, language: str) -> float:
        return tally(self._predictions(tuner, language, "validation"))[MAIN_METRIC[self.kind]].value

    def _predictions(self, tuner: FineTuner, language: str, split: str, **notes: object) -> Predictions:
        outputs = tuner.outputs(self._features(language, split))
        rows = KINDS[self.kind].rows(
            self.data.examples(language, split), self._encoded[language, split], outputs, self._labels, self._frame
        )
        header = Header(
            task=self.kind,
            language=language,
            model=self.model.name,
            source=self.source,
            setting="within" if language == self.source else "zero-shot",
            seed=self.seed,
            split=split,
            notes=notes,
        )
        return collect_predictions(header, rows)

    def _test(self, epochs: list[Epoch]) -> Iterator[LanguageScore]:
        tested = [language for language, splits in self.data.languages.items() if splits.test]
        plain: dict[str, Setting] = {
            language: "within" if language == self.source else "zero-shot" for language in tested
        }
        yield from self._test_epoch(best(epochs, self.source), plain)
        for language in tested:
            if language != self.source and self.data.languages[language].validation:
                yield from self._test_epoch(best(epochs, language), {language: "oracle"})

    def _test_epoch(self, epoch: Epoch, settings: dict[str, Setting]) -> Iterator[LanguageScore]:
        checkpoint = str(self._trials.checkpoint(epoch))
        loaded = load_model(checkpoint, KINDS[self.kind].model_class, self._labels, seed=self.seed)
        tuner = self._tuner(
            loaded, Point(epoch.trial, epoch.batch_size, (epoch.learning_rate, epoch.head_learning_rate))
        )
        for language, setting in settings.items():
            predictions = self._predictions(
                tuner, language, "test", chosen_by=language if setting == "oracle" else self.source
            )
            yield self._score(predictions, setting, epoch)

    def _score(self, predictions: Predictions, setting: Setting, epoch: Epoch) -> LanguageScore:
        language, metric = predictions.header.language, MAIN_METRIC[self.kind]
        file = f"predictions-{setting}-{language}.jsonl.gz"
        write_predictions(self.folder / file, predictions)
        found = score(predictions)
        return LanguageScore(
            language=language,
            setting=setting,
            metric=metric,
            value=found[metric].value,
            low=found[metric].low,
            high=found[metric].high,
            others={name: each.value for name, each in found.items() if name != metric},
            examples=found[metric].examples,
            trial=epoch.trial,
            epoch=epoch.epoch,
            predictions=file,
        )
