"""Programs timed side by side: one of each a round, in a freshly shuffled order, so that what else the machine does falls on all."""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def interleaved(programs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each program by round; a first round is not counted. What a program returns is freed outside its time."""
    names, order = list(programs), random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for counted in (False, *(True,) * rounds):
        order.shuffle(names)
        for name in names:
            begun = time.perf_counter()
            result = programs[name]()
            if counted:
                seconds[name].append(time.perf_counter() - begun)
            del result
    return {name: seconds[name] for name in programs}


def over(seconds: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """The median over rounds of (seconds / base of the same round), and its quartiles."""
    return spread([mine / other for mine, other in zip(seconds, base, strict=True)])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    return {"median": statistics.median(ordered), "low": low, "high": high}
