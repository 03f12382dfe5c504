"""What a step reads, made while the step before it runs."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

Made = TypeVar("Made")


class MadeAhead(Generic[Made]):
    """`make(number)`, with `make(number + 1)` begun in a thread before it returns.

    Args:
        make: a pure function of the step's number.
    """

    def __init__(self, make: Callable[[int], Made]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._begun: dict[int, Future[Made]] = {}

    def __call__(self, number: int) -> Made:
        asked = self._begun.get(number) or self._thread.submit(self._make, number)
        self._begun = {number + 1: self._thread.submit(self._make, number + 1)}
        return asked.result()


def made_for(device: torch.device, make: Callable[[int], Made]) -> Callable[[int], Made]:
    """Ahead for a GPU, which would wait otherwise; a CPU has no core to spare, and batches take it a hundredth of a step."""
    return MadeAhead(make) if device.type == "cuda" else make
