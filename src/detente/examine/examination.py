"""A run opened for diagnoses. Nothing of it is changed but its folder `diagnosis`."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from detente.corpus.parallel import ParallelText
from detente.diagnose.affinity import Draw, lookahead_affinity
from detente.diagnose.gradient_cost import ConflictCost, conflict_cost
from detente.diagnose.gradients import gradient_conflict
from detente.diagnose.mask_effects import try_masks
from detente.diagnose.masks import learn_masks
from detente.diagnose.similarity import mean_pool, representation_similarity
from detente.diagnosis_results.affinity import LookaheadAffinity
from detente.diagnosis_results.base import FOLDER
from detente.diagnosis_results.gradients import GradientConflict
from detente.diagnosis_results.masks import ParameterMasks
from detente.diagnosis_results.similarity import RepresentationSimilarity
from detente.examine.text import AT_ONCE, RunText, theta_loss
from detente.prepare import Counter
from detente.pretrain.opened_run import open_run

TRIED_ON = 4
"""Validation batches that masks are tried on."""


class Examination:
    """A run at its newest checkpoint, without dropout.

    Raises:
        DataError, RecordError, CheckpointError: see `open_run`.
    """

    def __init__(self, folder: Path) -> None:
        self.run = open_run(folder)
        self.folder = folder / FOLDER
        self.languages = self.run.settings.mixture
        self.text = RunText(self.run.settings, self.run.data, self.run.device)
        self.loss = theta_loss(self.run.treated, self.run.settings.training.precision)
        self.run.treated.encoder.eval()

    def conflict_cost(self, blocks: int, *, parts: int = 8) -> ConflictCost:
        """Of `gradients`, before it starts."""
        languages, microbatches = len(self.languages), self.text.batches_of(blocks)
        return conflict_cost(self.run.treated.shared, languages=languages, microbatches=microbatches, parts=parts)

    def gradients(self, *, blocks: int = 4096, parts: int = 8, progress: Counter | None = None) -> GradientConflict:
        """Gradient conflict on so many blocks of training text of each language; fewer where its text has fewer.

        Raises:
            DataError: a language has not two batches of text.
            TrainingError: a gradient is not finite.
        """
        batches = {language: self.text.one_pass(language, blocks) for language in self.languages}
        theta = self.run.treated.shared
        found = gradient_conflict(self.loss, theta, batches, step=self.run.step, parts=parts, progress=progress)
        found.write(self.folder)
        return found

    def affinity(self, *, draws: int = 16, rate: float = 0.01) -> LookaheadAffinity:
        """Lookahead affinity: steps on training text, their effect on validation text.

        Raises:
            TrainingError: a loss is not finite.
        """
        drawn = {language: self._draws(language, draws) for language in self.languages}
        found = lookahead_affinity(self.loss, self.run.treated.shared, drawn, rate=rate, step=self.run.step)
        found.write(self.folder)
        return found

    def masks(
        self,
        *,
        groups: str = "rows",
        steps: int = 200,
        sparsity_weight: float | None = None,
        target_open: float | None = None,
        progress: Counter | None = None,
    ) -> ParameterMasks:
        """Masks of each language over theta, learned on training text, tried on validation text.

        Raises:
            ConfigError: `groups` is unknown, or a number is out of its range.
            TrainingError: a loss is not finite, or a mask prunes everything.
        """
        theta, heads = self.run.treated.shared, self.run.settings.encoder.heads
        streams = {language: partial(self.text.small_batch, language) for language in self.languages}
        learned = learn_masks(
            self.loss,
            theta,
            streams,
            groups=groups,
            heads=heads if groups == "heads" else None,
            steps=steps,
            sparsity_weight=sparsity_weight,
            target_open=target_open,
            seed=self.run.settings.seed,
            progress=progress,
        )
        held_out = {language: self.text.validation(language, TRIED_ON) for language in self.languages}
        found = try_masks(self.loss, theta, learned, held_out)
        found.write(self.folder)
        return found

    def similarity(self, text: ParallelText) -> RepresentationSimilarity:
        """CKA and retrieval between languages of the mixture, those of the text, on sentences that say the same."""
        batches = {language: self._sentences(sentences) for language, sentences in text.sentences.items()}
        found = representation_similarity(self._states, batches)
        found.write(self.folder)
        return found

    def _draws(self, language: str, count: int) -> list[Draw]:
        """Of a short validation split, batches come again."""
        watched = self.text.validation(language, count)
        return [Draw(self.text.batch(language, number), watched[number % len(watched)]) for number in range(count)]

    def _sentences(self, sentences: tuple[str, ...]) -> list[tuple[Tensor, Tensor]]:
        """Tokens and mask; a sentence longer than a block is cut."""
        encoded = self.run.data.vocabulary.encode_batch(list(sentences))
        return [self._padded(encoded[first : first + AT_ONCE]) for first in range(0, len(encoded), AT_ONCE)]

    def _padded(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        longest, pad_id = self.run.settings.batches.block_length, self.run.data.vocabulary.pad_id
        cut = [torch.tensor(ids[:longest], dtype=torch.long) for ids in rows]
        tokens = pad_sequence(cut, batch_first=True, padding_value=pad_id).to(self.run.device)
        return tokens, tokens != pad_id

    def _states(self, language: str, batch: tuple[Tensor, Tensor]) -> list[Tensor]:
        tokens, mask = batch
        return [mean_pool(layer, mask) for layer in self.run.treated.hidden_states(language, tokens, mask)]
