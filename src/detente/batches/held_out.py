"""The batches of L_val in the meta step (method 5): which languages validate, with which weight, on how much text."""

from collections.abc import Mapping
from typing import NamedTuple

from detente.batches.batch import WHOLE, MaskedBatch, MaskedStream, Share, rows_in
from detente.batches.masking import SpecialTokens
from detente.batches.streams import Tokens
from detente.seeds import generator
from detente.settings import BatchSettings, MetaSettings

PURPOSES = {"meta": "meta", "train": "held-out-train"}
"""Training text that validates comes in an order of its own: never the batch that is being trained on, but by chance."""


class HeldOut(NamedTuple):
    """A batch that validates, and its weight in the mean over languages."""

    batch: MaskedBatch
    weight: float


class HeldOutBatches:
    """For each step and training language, the batches that validate.

    Args:
        tokens: of each language of the mixture, from the split `settings.meta_split`.
        share: this process's rows, as in `TrainBatches`.

    Raises:
        DataError: a language has too little text in that split.
        ConfigError: a batch has fewer blocks than there are processes.
    """

    def __init__(
        self,
        tokens: Mapping[str, Tokens],
        settings: MetaSettings,
        batches: BatchSettings,
        special: SpecialTokens,
        *,
        seed: int,
        share: Share = WHOLE,
    ) -> None:
        self._settings, self._seed, self._languages = settings, seed, tuple(tokens)
        rows = rows_in(settings.meta_fraction, batches, share, setting="meta.meta_fraction")
        purpose = PURPOSES[settings.meta_split]
        self._streams = {
            label: MaskedStream(
                stream, label, purpose, rows=rows, settings=batches, special=special, seed=seed, share=share
            )
            for label, stream in tokens.items()
        }

    def of(self, step: int, language: str) -> MaskedBatch:
        """A language's own batch, another one each step."""
        return self._streams[language][step]

    def validating(self, step: int, language: str) -> list[HeldOut]:
        """What estimates the mean over all languages (or all others) when `language` is trained on.

        With a fixed number k of languages, `language` itself always validates, since only its own batch gives phi a direct
        gradient; k - 1 others are drawn anew each step and weigh so much that the mean over all is met on average.
        """
        weights = self._weights(step, language)
        return [HeldOut(self.of(step, label), weight) for label, weight in weights.items()]

    def _weights(self, step: int, language: str) -> dict[str, float]:
        number, wanted = len(self._languages), self._settings.meta_languages
        others = [label for label in self._languages if label != language]
        if wanted == "others":
            return dict.fromkeys(others, 1 / len(others))
        if isinstance(wanted, str) or wanted == number:
            return dict.fromkeys(self._languages, 1 / number)
        drawn = generator(self._seed, "validating", step, language).choice(len(others), wanted - 1, replace=False)
        return {language: 1 / number} | {others[i]: (number - 1) / number / (wanted - 1) for i in sorted(drawn)}
