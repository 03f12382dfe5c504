"""Side effects of training: metrics, validation curves, checkpoints, progress. One call each."""

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar, TextIO

from detente.disk import told_when_full
from detente.errors import RecordError, TrainingError
from detente.pretrain.not_finite import CURE, INTACT, LEFT_OUT
from detente.pretrain.spikes import Spikes
from detente.pretrain.step import StepReport
from detente.results import METRICS_FILE, Score, read_metrics, write_atomic
from detente.seal import sealed_line, unsealed_line

Progress = Callable[[int, int, StepReport], None]
"""Told after each step: steps done, steps in all, the report."""


class Clock:
    """Seconds in training steps and in all, added to those of earlier sittings."""

    def __init__(self, train_seconds: float = 0.0, total_seconds: float = 0.0) -> None:
        self.train_seconds = train_seconds
        self._before = total_seconds
        self._begun = time.perf_counter()
        self._mark = self._begun

    @property
    def total_seconds(self) -> float:
        """Of all sittings."""
        return self._before + time.perf_counter() - self._begun

    def start_step(self) -> None:
        """What has passed since the last step was not training."""
        self._mark = time.perf_counter()

    def __call__(self, done: int, report: StepReport) -> None:  # noqa: ARG002 - Observer
        self.train_seconds += time.perf_counter() - self._mark


class MetricsLog:
    """Appends a line a step to `metrics.jsonl`; lines of steps that a resumed run does again are cut off first.

    A line of a step whose update was left out lacks what was not finite.
    """

    def __init__(self, folder: Path, *, start: int) -> None:
        self._path = path = folder / METRICS_FILE
        _cut_after(path, start)
        self._spikes = Spikes(line["loss"] for line in read_metrics(folder) if line["kind"] == "train")
        self._file: TextIO = path.open("a", encoding="utf-8")

    def __call__(self, done: int, report: StepReport) -> None:
        losses = {language: round(loss, 6) for language, loss in _finite(report.loss).items()}
        spikes = self._spikes.of(losses)
        self.write(
            kind="train",
            step=done,
            loss=losses,
            **_finite({"gradient_norm": report.gradient_norm}),
            learning_rate=report.learning_rate,
            tokens=report.tokens,
            **_finite(report.terms),
            **({"spike": spikes} if spikes else {}),
        )

    def write(self, **values: Any) -> None:
        """One line.

        Raises:
            DataError: the disk is full; the lines of finished checkpoints are on it.
        """
        line = sealed_line(values)
        with told_when_full(METRICS_FILE, self._path.parent, needed=len(line)):
            self._file.write(line)
            self._file.flush()

    def flush_to_disk(self) -> None:
        """Before a checkpoint that says these steps are done."""
        with told_when_full(METRICS_FILE, self._path.parent):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """No line follows."""
        # What a full disk did not take is tried once more, and was told before.
        with suppress(OSError):
            self._file.close()


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """JSON has no other numbers."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _cut_after(path: Path, step: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    kept = list(takewhile(lambda line: _step_in(line) <= step, lines))
    if any(_step_in(line) <= step for line in lines[len(kept) :]):
        raise RecordError(
            f"{path}, line {len(kept) + 1} is damaged. Delete the run's folder and run the study again from the start."
        )
    if (last := _step_in(kept[-1]) if kept else 0) != step:
        raise RecordError(
            f"{path} ends at step {last:.0f}, the checkpoint is of step {step}. Delete the run's folder and run the study again "
            "from the start."
        )
    if len(kept) < len(lines):
        write_atomic(path, b"".join(kept))


def _step_in(line: bytes) -> float:
    """A damaged line, such as a crash leaves at the end, belongs to no step that was done."""
    try:
        return int(unsealed_line(line.decode())["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf


class Validation:
    """Scores every language on the validation split every so many steps, and at the end."""

    def __init__(self, score: Callable[[], Mapping[str, Score]], log: MetricsLog, *, every: int, last: int) -> None:
        self._score, self._log, self._every, self._last = score, log, every, last

    def __call__(self, done: int, report: StepReport) -> None:  # noqa: ARG002 - Observer
        if done % self._every == 0 or done == self._last:
            scores = self._score()
            self._log.write(
                kind="validation",
                step=done,
                loss={language: score.loss for language, score in scores.items()},
                bits_per_character={language: score.bits_per_character for language, score in scores.items()},
            )


class _Limit:
    """Stops a run in which a term of the reports has added up to too much.

    Args:
        already: counted in earlier sittings.
    """

    TERM: ClassVar[str]

    def __init__(self, limit: int, already: int) -> None:
        self.limit, self.count = limit, already

    def __call__(self, done: int, report: StepReport) -> None:
        """Raises:
        TrainingError: it is more than allowed now.
        """
        self.count += int(report.terms.get(self.TERM, 0))
        if self.count > self.limit:
            raise TrainingError(self._said(done))

    def _said(self, done: int) -> str:
        raise NotImplementedError


class SkipLimit(_Limit):
    """More updates of phi were left out than `meta.skip_limit` allows, because the meta step found nothing to learn from."""

    TERM = "skipped"

    def _said(self, done: int) -> str:
        return (
            f"step {done}: the held-out gradient was zero or not finite {self.count} times, and phi was not updated; "
            f"`meta.skip_limit` allows {self.limit}. The last checkpoint is intact. Lower `meta.beta` or "
            "`training.learning_rate`, or look at the held-out text."
        )


class LeftOutLimit(_Limit):
    """More updates were left out than `training.skip_nonfinite` allows."""

    TERM = LEFT_OUT

    def _said(self, done: int) -> str:
        return (
            f"step {done - 1}: something was not finite and an update was left out, {self.count} times in this run; "
            f"`training.skip_nonfinite` allows {self.limit}. {INTACT} {CURE}"
        )


class Checkpoints:
    """Saves every so many steps and at the end, no step twice."""

    def __init__(self, save: Callable[[int], None], *, every: int, last: int) -> None:
        self._save, self._every, self._last = save, every, last
        self._saved: int | None = None

    def save(self, done: int) -> None:
        """See `detente.pretrain.loop.Saver`."""
        if done != self._saved:
            self._save(done)
            self._saved = done

    def __call__(self, done: int, report: StepReport) -> None:  # noqa: ARG002 - Observer
        if done % self._every == 0 or done == self._last:
            self.save(done)
