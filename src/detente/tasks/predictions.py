"""What one model predicted on one test set, as JSON Lines: enough to score it again, at any time, without the model.

The first line is the header with the number of examples, then comes one line an example: words with gold and predicted tags
(ner, pos), gold answers and the predicted one (qa), a pair with gold and predicted label (nli). A name that ends in `.gz` is
compressed.
"""

import gzip
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, FiniteFloat, JsonValue, NonNegativeInt, ValidationError, model_validator

from detente.errors import DataError
from detente.results import Part, write_atomic
from detente.settings.tasks import TaskName

PREDICTIONS_VERSION: Literal[1] = 1

Tag = Annotated[str, Field(min_length=1)]
PartType = TypeVar("PartType", bound=Part)


class Header(Part):
    """Whose predictions, and on what."""

    version: Literal[1] = PREDICTIONS_VERSION
    task: TaskName
    language: str
    """Of the test set."""
    model: str
    """The pretraining run, or the name of a model from outside."""
    source: str
    """Language that was fine-tuned on."""
    setting: Literal["within", "zero-shot"]
    """Whether source and test language are the same."""
    seed: int
    """Of the fine-tuning, or of the pretraining where that is what varies: runs are paired by it."""
    split: str = "test"
    notes: dict[str, JsonValue] = Field(default_factory=dict)
    """Anything else, such as the learning rate that was selected."""

    @model_validator(mode="after")
    def _setting_fits(self) -> Self:
        if (self.setting == "within") != (self.source == self.language):
            raise ValueError(f"`{self.setting}` does not fit the source {self.source} and the language {self.language}")
        return self


class TagPrediction(Part):
    """A sentence of ner or pos."""

    words: tuple[str, ...]
    gold: tuple[Tag, ...]
    predicted: tuple[Tag, ...]

    @model_validator(mode="after")
    def _lengths_fit(self) -> Self:
        words, gold, predicted = map(len, (self.words, self.gold, self.predicted))
        if not words == gold == predicted:
            raise ValueError(f"{words} words need as many tags, found {gold} gold and {predicted} predicted ones")
        return self

    @property
    def asked(self) -> tuple[object, ...]:
        """What is the same for every model."""
        return self.words, self.gold


class AnswerPrediction(Part):
    """A question of qa; any of the gold answers is right, and the predicted one may be empty."""

    id: str
    gold: tuple[str, ...] = Field(min_length=1)
    predicted: str
    score: FiniteFloat | None = None
    """How sure the model was, in its own unit."""

    @property
    def asked(self) -> tuple[object, ...]:
        """What is the same for every model."""
        return self.id, self.gold


class LabelPrediction(Part):
    """A pair of nli."""

    premise: str
    hypothesis: str
    gold: str
    predicted: str

    @property
    def asked(self) -> tuple[object, ...]:
        """What is the same for every model."""
        return self.premise, self.hypothesis, self.gold


Row = TagPrediction | AnswerPrediction | LabelPrediction

ROWS: dict[TaskName, type[Row]] = {
    "ner": TagPrediction,
    "pos": TagPrediction,
    "qa": AnswerPrediction,
    "nli": LabelPrediction,
}


@dataclass(frozen=True)
class Predictions:
    """One model on one test set, in the order of the test set."""

    header: Header
    rows: tuple[Row, ...]


class _FirstLine(Header):
    # Nothing else tells a whole file from one that was cut between two lines.
    examples: NonNegativeInt


def collect_predictions(header: Header, rows: Iterable[Mapping[str, Any]]) -> Predictions:
    """Predictions from plain values, those that stand in the file.

    Raises:
        DataError: a row is not what the task needs, or two questions have one id.
    """
    kind = ROWS[header.task]
    found = []
    for number, row in enumerate(rows, start=1):
        try:
            found.append(kind.model_validate(dict(row)))
        except ValidationError as error:
            raise DataError(f"{header.task} predictions, example {number}: {_first_problem(error)}.") from None
    return _checked(Predictions(header, tuple(found)), f"{header.task} predictions")


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Written whole or not at all; the same predictions give the same bytes."""
    first = _FirstLine(**predictions.header.model_dump(), examples=len(predictions.rows))
    lines = [part.model_dump_json(exclude_none=True) for part in (first, *predictions.rows)]
    content = "".join(f"{line}\n" for line in lines).encode()
    write_atomic(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def read_predictions(path: Path) -> Predictions:
    """What `write_predictions` wrote.

    Raises:
        DataError: the file is missing, damaged, cut short or of a newer version; names the line.
    """
    lines = _bytes_of(path).splitlines()
    first = _parse(_FirstLine, lines[0] if lines else b"", f"{path}, line 1")
    kind = ROWS[first.task]
    rows = tuple(_parse(kind, line, f"{path}, line {number}") for number, line in enumerate(lines[1:], start=2))
    if len(rows) != first.examples:
        raise DataError(
            f"{path}: the header promises {first.examples:,} examples, found {len(rows):,}. Copy the file again."
        )
    return _checked(Predictions(Header(**first.model_dump(exclude={"examples"})), rows), str(path))


def _bytes_of(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except FileNotFoundError:
        raise DataError(f"there are no predictions at {path}.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None


def _parse(kind: type[PartType], line: bytes, where: str) -> PartType:
    try:
        return kind.model_validate_json(line, strict=True)
    except ValidationError as error:
        raise DataError(f"{where}: {_first_problem(error)}.") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    text = problem["msg"].removeprefix("Value error, ")
    return f"`{place}`: {text}" if place else text


def _checked(predictions: Predictions, where: str) -> Predictions:
    seen = set[str]()
    for row in predictions.rows:
        if isinstance(row, AnswerPrediction):
            if row.id in seen:
                raise DataError(f"{where}: the question `{row.id}` stands there twice. Keep one of its answers.")
            seen.add(row.id)
    return predictions
