"""The loop owns time, the step owns gradients, observers own side effects."""

from collections.abc import Sequence
from typing import Protocol

from detente.errors import Interrupted
from detente.pretrain.signals import StopRequest
from detente.pretrain.step import Step, StepReport


class Observer(Protocol):
    """Called after each step."""

    def __call__(self, done: int, report: StepReport) -> None:
        """`done` steps are complete; `report` is of the last."""


class Saver(Observer, Protocol):
    """An observer that can be told to save at once."""

    def save(self, done: int) -> None:
        """Write everything that resuming needs."""


def train(
    step: Step, *, start: int, stop: int, observers: Sequence[Observer], saver: Saver, stop_request: StopRequest
) -> None:
    """Do steps `start` to `stop`.

    Raises:
        Interrupted: a signal came; the state was saved first.
    """
    for number in range(start, stop):
        report = step(number)
        for observer in (*observers, saver):
            observer(number + 1, report)
        if number + 1 < stop and (signal_number := stop_request.asked()):
            saver.save(number + 1)
            raise Interrupted(number + 1, signal_number)
