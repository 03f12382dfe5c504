"""Gradient conflict along training: an observer of the loop, which changes no weight and draws no random number of its."""

from pathlib import Path

from detente.diagnose.gradient_passes import FEWEST_MICROBATCHES
from detente.diagnose.gradients import gradient_conflict
from detente.diagnosis_results.base import FOLDER
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.errors import DataError
from detente.examine.text import RunText, theta_loss
from detente.pretrain.data import RunData
from detente.pretrain.loop import Observer
from detente.pretrain.step import StepReport
from detente.settings import RunSettings
from detente.treatment import TreatedEncoder


def gradient_watch(
    settings: RunSettings, data: RunData, treated: TreatedEncoder, folder: Path, start: int
) -> Observer | None:
    """What the settings ask for; None when they ask for nothing.

    Args:
        folder: of the run.
        start: steps done: measurements of later ones, which are done again, are dropped.
    """
    every = settings.watch.gradients_every
    return GradientWatch(settings, data, treated, folder / FOLDER, start=start, every=every) if every else None


class GradientWatch:
    """Measures after every so many steps and keeps the series in `gradient-series.json`.

    Raises:
        DataError: a language has not two batches of text, or the settings ask for fewer.
    """

    def __init__(
        self, settings: RunSettings, data: RunData, treated: TreatedEncoder, folder: Path, *, start: int, every: int
    ) -> None:
        self._treated, self._folder, self._every = treated, folder, every
        self._loss = theta_loss(treated, settings.training.precision)
        text = RunText(settings, data, next(iter(treated.shared.values())).device)
        # The same text each time: what differs from step to step is the model.
        self._batches = {
            language: text.one_pass(language, settings.watch.gradient_blocks) for language in settings.mixture
        }
        # Here, and not after hours of training.
        if short := [language for language, batches in self._batches.items() if len(batches) < FEWEST_MICROBATCHES]:
            raise DataError(
                f"`watch.gradients_every`: noise can only be told from {FEWEST_MICROBATCHES} batches or more, {', '.join(short)} "
                f"{'have' if len(short) > 1 else 'has'} fewer. A batch has {settings.batches.blocks} blocks: raise "
                "`watch.gradient_blocks`, lower `batches.blocks`, or bring more text."
            )
        has_earlier = start > 0 and (folder / GradientConflictSeries.FILE).exists()
        earlier = GradientConflictSeries.read(folder).measurements if has_earlier else ()
        self._found = [each for each in earlier if each.step is not None and each.step <= start]

    def __call__(self, done: int, report: StepReport) -> None:  # noqa: ARG002 - Observer
        if done % self._every:
            return
        encoder = self._treated.encoder
        encoder.eval()
        try:
            self._found.append(gradient_conflict(self._loss, self._treated.shared, self._batches, step=done))
        finally:
            encoder.train()
        GradientConflictSeries(tuple(self._found)).write(self._folder)
