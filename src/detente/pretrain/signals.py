"""Ctrl-C and SIGTERM ask for a stop; the step in hand is finished and the state saved."""

import signal
import threading
from types import FrameType
from typing import Self

from detente.pretrain.parallel import ALONE, Ranks


class StopRequest:
    """While entered, remembers the first signal instead of dying of it. A second Ctrl-C stops at once, unsaved.

    A signal that reached one of several processes stops them all after the same step.
    """

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self.signal_number: int | None = None
        self._ranks = ranks
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        # Python delivers signals to the main thread only; elsewhere there is nothing to catch.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # Not where somebody else has put a handler meanwhile, as `parallel` does when a process is lost.
            if signal.getsignal(number) == self._remember:
                signal.signal(number, handler)  # type: ignore[arg-type]

    def asked(self) -> int:
        """The signal that has come to any of the processes, which all must ask at the same time; 0 without one."""
        return self._ranks.agree(self.signal_number or 0)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number == number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self.signal_number = number
