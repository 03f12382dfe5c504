"""The training batches of a run."""

from collections.abc import Iterator, Mapping

from detente.batches.batch import WHOLE, MaskedBatch, MaskedStream, Share, rows_in
from detente.batches.masking import SpecialTokens
from detente.batches.streams import LanguageDraws, Tokens, sampling_probabilities
from detente.settings import BatchSettings


class TrainBatches:
    """The masked batches of a run.

    Args:
        train: training tokens of each language of the mixture.
        accumulation: microbatches in a step.
        share: this process takes its share of the rows of every batch; the whole batch is the same whatever the share.
        drawn_evenly: draw languages evenly, whatever the temperature.

    Raises:
        DataError: a language has too little text.
        ConfigError: a batch has fewer blocks than there are processes.
    """

    def __init__(
        self,
        train: Mapping[str, Tokens],
        settings: BatchSettings,
        special: SpecialTokens,
        *,
        seed: int,
        accumulation: int = 1,
        share: Share = WHOLE,
        drawn_evenly: bool = False,
    ) -> None:
        self.settings, self.accumulation = settings, accumulation
        rows = rows_in(1.0, settings, share, setting="batches.blocks")
        self._streams = {
            label: MaskedStream(
                tokens, label, "train", rows=rows, settings=settings, special=special, seed=seed, share=share
            )
            for label, tokens in train.items()
        }
        probabilities = None if drawn_evenly else sampling_probabilities(train, settings.temperature)
        self.draws = LanguageDraws(tuple(train), probabilities, seed)

    def train(self, step: int) -> Iterator[MaskedBatch]:
        """The microbatches of a step (counted from 0)."""
        for microbatch in range(step * self.accumulation, (step + 1) * self.accumulation):
            language, earlier = self.draws[microbatch]
            yield self._streams[language][earlier]

    def epochs(self, steps: int) -> dict[str, float]:
        """How often each language's training text is seen in so many steps."""
        drawn = self.draws.counts(steps * self.accumulation)
        return {label: n * self.settings.blocks / self._streams[label].epoch_blocks for label, n in drawn.items()}
