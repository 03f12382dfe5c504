"""AdamW over theta and every phi, and the learning rate as a function of the step.

There is one optimizer. A parameter without a gradient is passed over: its moments stay, and are not even allocated before its
language is first seen.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from detente.settings import TrainingSettings
from detente.treatment import TreatedEncoder


def build_optimizer(treated: TreatedEncoder, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), weight decay on matrices only."""
    parameters = [parameter for _, parameter in treated.named_parameters()]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.eps, fused=True)


def learning_rate(step: int, settings: TrainingSettings, total_steps: int) -> float:
    """Rate of update `step`, counted from 0: a linear warm-up, then the schedule.

    `inverse-sqrt` is XLM's (Vaswani et al. 2017, section 5.3); `cosine` ends at a tenth of the peak.
    """
    done = step + 1
    if done <= settings.warmup_steps:
        return settings.learning_rate * done / settings.warmup_steps
    if settings.schedule == "inverse-sqrt":
        return settings.learning_rate * math.sqrt(max(settings.warmup_steps, 1) / done)
    share = (done - settings.warmup_steps) / max(total_steps - settings.warmup_steps, 1)
    return settings.learning_rate * (0.55 + 0.45 * math.cos(math.pi * min(share, 1.0)))


class Updater:
    """Applies gradients: checks them, clips them, sets the rate, steps the optimizer."""

    def __init__(self, optimizer: torch.optim.Optimizer, settings: TrainingSettings, total_steps: int) -> None:
        self.optimizer = optimizer
        self.settings = settings
        self.total_steps = total_steps
        self._all = [group["params"] for group in optimizer.param_groups]
        places = (
            (parameter, (number, place))
            for number, some in enumerate(self._all)
            for place, parameter in enumerate(some)
        )
        self._place: dict[nn.Parameter, tuple[int, int]] = dict(places)

    def rate(self, step: int) -> float:
        """The learning rate of `step`."""
        return learning_rate(step, self.settings, self.total_steps)

    def apply(
        self,
        step: int,
        parameters: Iterable[nn.Parameter],
        gradients: Iterable[Tensor],
        losses: Sequence[Tensor] = (),
    ) -> Float[Tensor, ""]:
        """One update of `parameters`, nothing else moves. Returns the gradient's norm before clipping.

        Where the norm or a loss is not finite nothing is updated, and the gradients stay as they are. The device decides that by
        itself: a GPU need not wait for its program to have looked. Whoever reads them says so (`not_finite.is_left_out`).
        """
        for parameter, gradient in zip(updated := list(parameters), gradients, strict=True):
            parameter.grad = gradient
        # In the optimizer's order, whatever that of the languages: sums of floats are promised to the bit.
        updated.sort(key=self._place.__getitem__)
        norm = nn.utils.get_total_norm([p.grad for p in updated if p.grad is not None])
        is_finite = torch.stack([norm, *losses]).isfinite().all()
        # A norm of 0 scales nothing.
        nn.utils.clip_grads_with_norm_(updated, self.settings.clip, torch.where(is_finite, norm, 0.0))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step)
        # As torch.amp.GradScaler tells a fused optimizer to leave a step out.
        self.optimizer.found_inf = is_finite.logical_not().float()  # type: ignore[attr-defined]
        with self._only(updated):
            self.optimizer.step()
            self.optimizer.zero_grad()
        return norm

    @contextmanager
    def _only(self, updated: Sequence[nn.Parameter]) -> Iterator[None]:
        """The optimizer knows of no others: it would look at those of every language, each step."""
        for number, group in enumerate(self.optimizer.param_groups):
            group["params"] = [parameter for parameter in updated if self._place[parameter][0] == number]
        try:
            yield
        finally:
            for group, whole in zip(self.optimizer.param_groups, self._all, strict=True):
                group["params"] = whole
