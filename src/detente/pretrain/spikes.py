"""Training losses that jump: beside a language's own last steps, so that a hard language is no spike."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from statistics import median

WINDOW = 50
"""Of a language's own steps."""
FEWEST = 20
"""Before so many steps of a language nothing is called a spike."""
DEVIATIONS = 5.0
"""Standard deviations above the median. One step in 58,000 of the mini studies in docs/results is that far."""
NORMAL = 1.4826
"""Standard deviation of normal values over their median absolute deviation."""


class Spikes:
    """Finds them step by step.

    Args:
        earlier: losses of the steps before, as `of` was given them: a run that goes on finds what an unbroken one finds.
    """

    def __init__(self, earlier: Iterable[Mapping[str, float]] = ()) -> None:
        self._last: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))
        for losses in earlier:
            self._remember(losses)

    def of(self, losses: Mapping[str, float]) -> list[str]:
        """Languages whose loss lies far above the median of their last steps."""
        found = [language for language, loss in losses.items() if self._is_spike(self._last[language], loss)]
        self._remember(losses)
        return found

    def _remember(self, losses: Mapping[str, float]) -> None:
        for language, loss in losses.items():
            self._last[language].append(loss)

    @staticmethod
    def _is_spike(before: deque[float], loss: float) -> bool:
        if len(before) < FEWEST:
            return False
        middle = median(before)
        return loss > middle + DEVIATIONS * NORMAL * median(abs(value - middle) for value in before)
