"""Masks over a frozen model, one for each language: which groups of parameters a language needs (method 7).

Goes in: a loss as a pure function of parameters and batch, and batches of each language. Comes out: a logit pi for each
group, learned twice for each language. `detente.diagnose.mask_effects` then tries the masks on held-out text.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from detente.diagnose.hard_concrete import expected_open, sample
from detente.diagnose.mask_groups import Grouping, Parameters, grouping_of
from detente.diagnose.mask_price import Price, price_of
from detente.diagnose.places import Loss
from detente.errors import ConfigError, TrainingError
from detente.prepare import Counter
from detente.seeds import derive_seed

START = 2.2
"""pi of every gate at the beginning: 0.98 of the gates are expected to be open."""

Stream = Callable[[int], Any]
"""The n-th batch of a language, n from 0."""


@dataclass(frozen=True)
class LearnedMask:
    """One run for one language.

    Attributes:
        price: in nats for all gates, mean over the last fifth of the steps.
    """

    seed: int
    logits: Float[Tensor, " groups"]
    price: float


@dataclass(frozen=True)
class LanguageMasks:
    """Masks of every language over the same groups.

    Attributes:
        groups: name of the grouping.
        target_open: as asked for; None where the price was fixed.
        runs: language -> two masks, which differ in seed and batches.
    """

    grouping: Grouping
    groups: str
    steps: int
    target_open: float | None
    runs: Mapping[str, tuple[LearnedMask, LearnedMask]]


def learn_masks(
    loss: Loss,
    parameters: Parameters,
    batches: Mapping[str, Stream],
    *,
    groups: str = "rows",
    heads: int | None = None,
    steps: int = 200,
    learning_rate: float = 0.1,
    sparsity_weight: float | None = None,
    target_open: float | None = None,
    seed: int = 0,
    progress: Counter | None = None,
) -> LanguageMasks:
    """Learn pi by Adam on the loss plus the price of the gates that are expected to be open; no parameter changes.

    A step is one forward and one backward pass. All groups cost the same, however many weights they hold. Unlike the source
    (lambda for each weight) lambda is in nats, so it means the same for models of any size.

    Args:
        loss: in nats, dropout off.
        parameters: by name; those without gates are passed on as they are.
        batches: language -> stream; the second run goes on where the first ended.
        groups: which parameters share a gate: rows, heads, neurons, matrices or weights.
        heads: attention heads of a layer, for groups of heads.
        steps: of each run. At the default learning rate fewer than 100 leave pi near where it began.
        sparsity_weight: lambda, nats for keeping every group open; 3 when neither it nor `target_open` is given.
        target_open: share of gates to be left open in expectation, in place of lambda. From 200 steps on it is met to some 0.02
            where groups matter by degrees, as in language models; groups that matter all alike close together and overshoot.
        seed: of the first run's gates; the second has the next.
        progress: counts steps.

    Raises:
        ConfigError: an argument is out of its range, or names or shapes of the parameters do not allow the groups.
        TrainingError: a loss is not finite, or a mask prunes everything.
    """
    _check(batches, steps, learning_rate)
    grouping, price = grouping_of(parameters, groups, heads=heads), price_of(sparsity_weight, target_open)
    frozen = {name: parameter.detach() for name, parameter in parameters.items()}
    learner = _Learner(loss, frozen, grouping, price, steps, learning_rate)
    runs = {}
    for language, stream in batches.items():
        advance = progress(f"masks of {language}", "steps", 2 * steps) if progress else _ignore
        first = learner.learn(language, stream, 0, seed, advance)
        runs[language] = first, learner.learn(language, stream, steps, seed + 1, advance)
    return LanguageMasks(grouping, groups, steps, target_open, runs)


@dataclass(frozen=True)
class _Learner:
    """What all masks have in common."""

    loss: Loss
    frozen: Parameters
    grouping: Grouping
    price: Price
    steps: int
    learning_rate: float

    def learn(
        self, language: str, stream: Stream, start: int, seed: int, advance: Callable[[int], None]
    ) -> LearnedMask:
        """One mask, from batch number `start` on."""
        device = next(iter(self.frozen.values())).device
        random = torch.Generator(device).manual_seed(derive_seed("mask gates", seed, language))
        logits = torch.full((self.grouping.num_groups,), START, device=device, requires_grad=True)
        optimizer = torch.optim.Adam([logits], self.learning_rate)
        prices: list[float] = []
        for step in range(self.steps):
            uniform = torch.rand(logits.shape, generator=random, device=device)
            open_share = expected_open(logits).mean()
            prices.append(self.price(open_share.item(), step / self.steps))
            total = self._loss(logits, uniform, stream(start + step)) + prices[-1] * open_share
            self._check_finite(total, language, step)
            (logits.grad,) = torch.autograd.grad(total, [logits])
            optimizer.step()
            self._check_open(logits, language, step)
            advance(1)
        return LearnedMask(seed, logits.detach(), fmean(prices[-max(1, self.steps // 5) :]))

    def _loss(self, logits: Tensor, uniform: Tensor, batch: Any) -> Tensor:
        gates = sample(logits, uniform)
        return self.loss({**self.frozen, **self.grouping.masked(self.frozen, gates)}, batch)

    def _check_finite(self, total: Tensor, language: str, step: int) -> None:
        if not torch.isfinite(total):
            raise TrainingError(
                f"the loss of {language} is {total.item():g} in step {step + 1} of its mask. No parameter changes, so look at the "
                "model and at that batch."
            )

    def _check_open(self, logits: Tensor, language: str, step: int) -> None:
        if not (logits > 0).any():
            raise TrainingError(f"the mask of {language} prunes everything by step {step + 1}: {self.price.advice}")


def _check(batches: Mapping[str, Stream], steps: int, learning_rate: float) -> None:
    if not batches:
        raise ConfigError("batches names no language. Give one for the control alone, or two to compare.")
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, found {steps}. Try 200.")
    if learning_rate <= 0:
        raise ConfigError(f"learning_rate must be above 0, found {learning_rate:g}. Try 0.1.")


def _ignore(num: int) -> None:
    """Nobody counts."""
