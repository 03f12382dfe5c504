"""NLI: what a premise makes of a hypothesis, read off the first position."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from detente.tasks.examples import SentencePair
from detente.tasks.features import IGNORED, Encoded, Frame, inputs


class Inference:
    """Between two sentences."""

    model_class = "AutoModelForSequenceClassification"

    def labels(self, examples: Sequence[SentencePair]) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted({example.label for example in examples}))

    def encode(self, examples: Sequence[SentencePair], frame: Frame, labels: Sequence[str]) -> Encoded:
        """Pairs, the longer sentence cut where both do not fit."""
        if not examples:
            return Encoded([], [])
        premises, hypotheses = [e.premise for e in examples], [e.hypothesis for e in examples]
        framed = {"truncation": "longest_first", "max_length": frame.max_length, "verbose": False}
        encoded = frame.tokenizer(premises, hypotheses, **framed)
        number_of = {label: number for number, label in enumerate(labels)}
        features = [
            {**inputs(encoded, row), "labels": number_of.get(example.label, IGNORED)}
            for row, example in enumerate(examples)
        ]
        full = sum(len(feature["input_ids"]) == frame.max_length for feature in features)
        notes = (f"{full:,} of {len(examples):,} pairs fill {frame.max_length} tokens, and may be cut",) if full else ()
        return Encoded(features, list(range(len(examples))), notes)

    def reduce(self, logits: Any) -> Any:
        """The most likely label."""
        return logits.argmax(-1)

    def rows(
        self,
        examples: Sequence[SentencePair],
        encoded: Encoded,
        outputs: np.ndarray,
        labels: Sequence[str],
        frame: Frame,
    ) -> list[dict[str, Any]]:
        """Predictions as they are saved."""
        del encoded, frame
        return [
            {
                "premise": example.premise,
                "hypothesis": example.hypothesis,
                "gold": example.label,
                "predicted": labels[output],
            }
            for example, output in zip(examples, outputs, strict=True)
        ]
