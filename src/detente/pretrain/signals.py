"""Ctrl-C and SIGTERM ask for a stop; the step in hand is finished and the state saved."""

import signal
import threading
from types import FrameType
from typing import Self

from detente.errors import Interrupted


class StopRequest:
    """While entered, remembers the first signal instead of dying of it. A second Ctrl-C stops at once, unsaved."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        # Python delivers signals to the main thread only; elsewhere there is nothing to catch.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def raise_if_asked(self, step: int) -> None:
        """Leave, once everything up to `step` is saved.

        Raises:
            Interrupted: a signal has come.
        """
        if self.signal_number is not None:
            raise Interrupted(step, self.signal_number)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number == number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self.signal_number = number
