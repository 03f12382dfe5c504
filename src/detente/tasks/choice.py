"""The grid of fine-tunings, and the choice among its epochs."""

import shutil
from collections.abc import Collection, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from safetensors import SafetensorError

from detente.disk import AGAIN, flush, full, told_when_full
from detente.errors import DataError
from detente.results import write_atomic
from detente.settings.tasks import TaskSettings
from detente.task_results import Epoch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TRIALS_FILE = "trials.jsonl"
CHECKPOINTS = "checkpoints"


class Point(NamedTuple):
    """Of the grid."""

    trial: int
    batch_size: int
    rates: tuple[float, float]
    """Of the encoder and of the head."""


def grid(settings: TaskSettings) -> list[Point]:
    """All combinations; where the head has no rates of its own, it follows the encoder's."""
    rates = [(rate, head) for rate in settings.learning_rates for head in (settings.head_learning_rates or (rate,))]
    numbered = enumerate(product(settings.batch_sizes, rates), start=1)
    return [Point(trial, size, pair) for trial, (size, pair) in numbered]


def best(epochs: Sequence[Epoch], language: str) -> Epoch:
    """By the validation examples of `language`; of equals the earliest."""
    return max(epochs, key=lambda epoch: (epoch.validation[language], -epoch.trial, -epoch.epoch))


def chosen(epochs: Sequence[Epoch]) -> list[Epoch]:
    """Those that are the best by the validation examples of some language."""
    return [best(epochs, language) for language in (epochs[0].validation if epochs else ())]


class Trials:
    """What a fine-tuning's folder knows of its grid: the epochs that are done, and the checkpoints that may be chosen.

    Lines are added when a point of the grid is done; what an interrupted point left is made again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def epochs(self) -> list[Epoch]:
        """Of all points that are done."""
        return list(self._lines())

    def add(self, epochs: Sequence[Epoch]) -> None:
        """A point is done: all of its epochs are written down, or none."""
        lines = [epoch.model_dump_json() + "\n" for epoch in (*self.epochs(), *epochs)]
        write_atomic(self.folder / TRIALS_FILE, "".join(lines).encode())

    def checkpoint(self, epoch: Epoch) -> Path:
        """Where the model stands, if it is the best for some language."""
        return self.folder / CHECKPOINTS / f"trial{epoch.trial}-epoch{epoch.epoch}"

    def save(self, epoch: Epoch, model: "PreTrainedModel") -> None:
        """Write a model where it may be chosen. It is on the disk before `add` writes the lines that count on it.

        Raises:
            DataError: the disk is full; points of the grid that are done stay so.
        """
        folder, needed = self.checkpoint(epoch), sum(p.numel() * p.element_size() for p in model.parameters())
        try:
            with told_when_full("the fine-tuned model", folder, needed=needed):
                model.save_pretrained(folder)
                for path in (*folder.iterdir(), folder):
                    flush(path)
        except SafetensorError as error:
            raise DataError(f"{full('the fine-tuned model', folder, needed)} {AGAIN} ({error})") from None

    def keep_only(self, epochs: Collection[Epoch]) -> None:
        """Remove the checkpoints of all others."""
        kept = {self.checkpoint(epoch) for epoch in epochs}
        for folder in (self.folder / CHECKPOINTS).glob("*"):
            if folder not in kept:
                shutil.rmtree(folder)

    def _lines(self) -> Iterator[Epoch]:
        path = self.folder / TRIALS_FILE
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                yield Epoch.model_validate_json(line)
