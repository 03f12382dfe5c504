"""The four tasks behind one interface."""

from collections.abc import Sequence
from typing import Any, Protocol

from detente.tasks.answering import Answering
from detente.tasks.features import Encoded, Frame
from detente.tasks.inference import Inference
from detente.tasks.tagging import Tagging


class Kind(Protocol):
    """What a task asks of a model. A new one is a class and a line in `KINDS`."""

    model_class: str
    """Of transformers."""

    def labels(self, examples: Sequence[Any]) -> tuple[str, ...]:
        """What the head tells apart, in the order of its outputs; empty where it does not."""

    def encode(self, examples: Sequence[Any], frame: Frame, labels: Sequence[str]) -> Encoded:
        """Examples as what the model takes."""

    def reduce(self, logits: Any) -> Any:
        """What of a batch's logits is kept."""

    def rows(
        self, examples: Sequence[Any], encoded: Encoded, outputs: Any, labels: Sequence[str], frame: Frame
    ) -> list[dict[str, Any]]:
        """Predictions as they are saved: one for each example."""


KINDS: dict[str, Kind] = {"ner": Tagging(), "pos": Tagging(), "qa": Answering(), "nli": Inference()}
