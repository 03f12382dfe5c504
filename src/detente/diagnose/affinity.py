"""Lookahead affinity: what one SGD step on a language does to the loss of another (Fifty et al. 2021).

    Z(i -> j) = 1 - L_j(theta - rate * grad L_i(theta)) / L_j(theta)

Above zero, a step on i helps j. To first order Z is rate * <grad L_i, grad L_j> / L_j: where the cosine of gradients compares
directions, this weighs how far a language pulls, and sees curvature.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detente.diagnose.places import INDEPENDENT, Loss
from detente.diagnosis_results.affinity import AffinityDraw, LookaheadAffinity, affinity_of
from detente.errors import ConfigError, TrainingError


class Draw(NamedTuple):
    """Two batches of one language, drawn independently."""

    update: Any
    """The step is taken on this one."""
    evaluation: Any
    """Its loss is watched, before and after."""


def lookahead_affinity(
    loss: Loss,
    parameters: Mapping[str, Tensor],
    batches: Mapping[str, Sequence[Draw]],
    *,
    rate: float,
    step: int | None = None,
) -> LookaheadAffinity:
    """Affinity of all ordered pairs of languages, over several draws of batches at one checkpoint.

    A draw takes L gradients and L (L + 1) forward passes for L languages, and memory for theta twice. Nothing is written to
    `parameters`. Losses are compared with themselves after a small step: in float32 what is below 1e-6 is rounding, and
    under bf16 autocast all of it may be.

    Args:
        loss: of a batch at these parameters; parameters that only its language uses belong inside it.
        parameters: theta, by name: what the languages share, and the step moves.
        batches: language -> two batches for each draw, as many draws for all. One batch must not serve as both: a step
            helps the text it was taken on more than other text of the language, and the diagonal would be flattered.
        rate: of the SGD step; affinity grows with it.
        step: of training, at which the parameters were taken; only noted.

    Raises:
        ConfigError: there are no draws, or not as many for all languages; a batch serves as both; or the loss does not
            depend on the parameters.
        TrainingError: a loss is not finite, or not above zero, so that a change relative to it says nothing.
    """
    _check(batches)
    theta = {name: p.detach() for name, p in parameters.items()}
    draws = [dict(zip(batches, together, strict=True)) for together in zip(*batches.values(), strict=True)]
    return affinity_of(
        tuple(batches), [AffinityDraw(step, rate, _affinities(loss, theta, draw, rate)) for draw in draws]
    )


def _affinities(
    loss: Loss, theta: Mapping[str, Tensor], draw: Mapping[str, Draw], rate: float
) -> tuple[tuple[float, ...], ...]:
    """One row for each language that takes the step."""
    before = _losses(loss, theta, draw, "at these parameters")
    rows = []
    for language, (update, _) in draw.items():
        moved = _stepped(loss, theta, update, rate)
        after = _losses(loss, moved, draw, f"after a step of rate {rate:g} on `{language}`")
        rows.append(tuple(1 - after[label] / before[label] for label in draw))
    return tuple(rows)


def _stepped(loss: Loss, theta: Mapping[str, Tensor], batch: Any, rate: float) -> dict[str, Tensor]:
    """theta - rate * grad, in new tensors; what the loss does not use stays as it is."""
    leaves = {name: p.detach().requires_grad_() for name, p in theta.items()}
    with torch.enable_grad():
        value = loss(leaves, batch)
    gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True) if value.requires_grad else ()
    moves = {name: g for name, g in zip(leaves, gradients, strict=False) if g is not None}
    if not moves:
        raise ConfigError(f"the loss {INDEPENDENT}")
    return {name: torch.sub(p, moves[name], alpha=rate) if name in moves else p for name, p in theta.items()}


@torch.no_grad()
def _losses(loss: Loss, theta: Mapping[str, Tensor], draw: Mapping[str, Draw], when: str) -> dict[str, float]:
    found = {language: float(loss(theta, evaluation)) for language, (_, evaluation) in draw.items()}
    for language, value in found.items():
        # NaN is not above zero either.
        if not 0 < value < float("inf"):
            raise TrainingError(
                f"the loss of `{language}` is {value:g} {when}. Affinity needs finite losses above zero: lower `rate`, "
                "or look at the batch."
            )
    return found


def _check(batches: Mapping[str, Sequence[Draw]]) -> None:
    counts = {language: len(draws) for language, draws in batches.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        found = ", ".join(f"{count} of {language}" for language, count in counts.items()) or "no languages"
        raise ConfigError(f"affinity needs a draw or more, and as many of every language; found {found}.")
    for language, draws in batches.items():
        for number, (update, evaluation) in enumerate(draws, start=1):
            if update is evaluation:
                raise ConfigError(
                    f"draw {number} has one batch of `{language}` for the step and for the loss. Draw two independent ones."
                )
