"""A loss or gradient that is not finite: the update was left out (`Updater.apply`); here is what is said of it, and how often it may be.

Names of parameters are looked for only when something is wrong.
"""

import heapq
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from detente.errors import TrainingError
from detente.treatment import TreatedEncoder

LEFT_OUT = "left_out"
"""Term of a step's report, and of its line in the metrics: updates that were left out."""
INTACT = "The last checkpoint is intact."
CURE = "Lower `training.learning_rate`, or raise `training.warmup_steps`."
SHOWN = 3


def is_left_out(
    step: int,
    losses: Mapping[str, float],
    norm: float,
    treated: TreatedEncoder,
    gradients: Mapping[nn.Parameter, Tensor],
    *,
    languages: Sequence[str],
    allowed: int,
) -> bool:
    """Whether an update's losses and the norm of its gradient were not all finite, so that it was left out. Then a warning says so.

    Args:
        gradients: of the update, before clipping.
        languages: whose batches it is made of.
        allowed: updates that the run may leave out; they are counted by `observers.LeftOutLimit`.

    Raises:
        TrainingError: something is not finite, and none may be left out.
    """
    problem = _problem(losses, norm)
    if not problem:
        return False
    where = f"Languages of the step: {', '.join(dict.fromkeys(languages))}. {_largest_of(treated, gradients)}"
    if not allowed:
        raise TrainingError(f"step {step}: {problem}. {INTACT} {CURE} {where}")
    warnings.warn(f"step {step}: {problem}; its update was left out. {where}", stacklevel=3)
    return True


def left_out_updates(lines: Iterable[dict[str, Any]]) -> int:
    """Of a run's metrics."""
    return sum(line.get(LEFT_OUT, 0) for line in lines)


def _problem(losses: Mapping[str, float], norm: float) -> str:
    bad = [f"the loss of {language} is not finite ({loss})" for language, loss in losses.items() if _is_bad(loss)]
    if not bad and _is_bad(norm):
        bad = [f"the gradient is not finite ({norm})"]
    return " and ".join(bad)


def _is_bad(value: float) -> bool:
    return not math.isfinite(value)


def _largest_of(treated: TreatedEncoder, gradients: Mapping[nn.Parameter, Tensor]) -> str:
    names = {parameter: name for name, parameter in treated.named_parameters()}
    by_gradient = _largest({names[parameter]: gradient for parameter, gradient in gradients.items()})
    by_value = _largest({names[parameter]: parameter.detach() for parameter in gradients})
    return f"Largest gradients: {by_gradient}. Largest values: {by_value}."


def _largest(tensors: Mapping[str, Tensor]) -> str:
    """Names with the largest absolute entry; those with one that is not finite come first."""
    peaks = {name: _peak(tensor) for name, tensor in tensors.items()}
    leading = heapq.nlargest(SHOWN, peaks, key=peaks.__getitem__)
    return ", ".join(f"{name} ({'not finite' if _is_bad(peaks[name]) else f'{peaks[name]:.2g}'})" for name in leading)


def _peak(tensor: Tensor) -> float:
    peak = float(tensor.abs().max())
    return math.inf if _is_bad(peak) else peak
