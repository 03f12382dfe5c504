"""The scores of a run's model on its data: quick ones for the curves, thorough ones for the record."""

from collections.abc import Mapping
from pathlib import Path

from detente.batches import TrainBatches, evaluation_batches
from detente.pretrain.data import RunData
from detente.pretrain.evaluate import evaluate
from detente.results import LanguageResult, Score, read_metrics
from detente.settings import RunSettings
from detente.treatment import TreatedEncoder


class Scorer:
    """Evaluates the languages of a run."""

    def __init__(self, settings: RunSettings, data: RunData, treated: TreatedEncoder) -> None:
        self.settings, self.data, self.treated = settings, data, treated

    def validation(self) -> Mapping[str, Score]:
        """A sample of the validation split, for the curves."""
        blocks = self.settings.training.validation_blocks
        return {label: self._score(label, "validation", blocks) for label in self.settings.mixture}

    def final(self, split: str, *, every_token: bool) -> Mapping[str, Score]:
        """Up to `test_blocks` blocks of a split, masked once or until every token of them has been a target."""
        blocks = self.settings.training.test_blocks
        return {label: self._score(label, split, blocks, every_token=every_token) for label in self.settings.mixture}

    def language_results(self, batches: TrainBatches, folder: Path) -> dict[str, LanguageResult]:
        """What the record says of each language at the end of training."""
        steps, accumulation = self.settings.training.steps, self.settings.training.accumulation
        # No verdict reads validation: passes over every token of it would only take time.
        test, validation = self.final("test", every_token=True), self.final("validation", every_token=False)
        drawn, epochs = batches.draws.counts(steps * accumulation), batches.epochs(steps)
        early = early_losses(folder, steps)
        return {
            label: LanguageResult(
                test=test[label],
                validation=validation[label],
                baseline=self.data.store.manifest(label).baseline,
                early_loss=early[label],
                blocks_seen=drawn[label] * self.settings.batches.blocks,
                epochs=epochs[label],
                data=self.data.checksum(label),
            )
            for label in self.settings.mixture
        }

    def _score(self, label: str, split: str, max_blocks: int, *, every_token: bool = False) -> Score:
        tokens = self.data.store.tokens(label, split)
        chosen, special = self.settings.batches, self.data.special
        batches = evaluation_batches(
            tokens, label, split, chosen, special, max_blocks=max_blocks, every_token=every_token
        )
        density = self.data.store.manifest(label).splits[split].tokens_per_character
        precision = self.settings.training.precision
        return evaluate(self.treated, batches, tokens_per_character=density, precision=precision)


def early_losses(folder: Path, total_steps: int) -> dict[str, float]:
    """Mean training loss per language over the first fifth of the steps (all of them for a language first seen later)."""
    seen: dict[str, list[tuple[int, float]]] = {}
    for line in read_metrics(folder):
        for label, loss in line["loss"].items() if line["kind"] == "train" else ():
            seen.setdefault(label, []).append((line["step"], loss))
    early = {label: [loss for step, loss in losses if step <= total_steps / 5] for label, losses in seen.items()}
    chosen = {label: early[label] or [loss for _, loss in losses] for label, losses in seen.items()}
    return {label: sum(losses) / len(losses) for label, losses in chosen.items()}
