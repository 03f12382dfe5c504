"""The plain step: theta and the phi of the languages in the step follow the training gradient together."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from detente.batches import TrainBatches, made_for
from detente.pretrain.not_finite import LEFT_OUT, is_left_out
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.optimizer import Updater
from detente.pretrain.parallel import ALONE, Ranks
from detente.pretrain.step import LossMeter, StepReport, timed_part
from detente.treatment import TreatedEncoder


class PlainStep:
    """One AdamW update from the microbatches of a step."""

    def __init__(
        self,
        treated: TreatedEncoder,
        batches: TrainBatches,
        updater: Updater,
        device: torch.device,
        *,
        ranks: Ranks = ALONE,
    ) -> None:
        self.treated, self.updater, self.device, self.ranks = treated, updater, device, ranks
        self._accumulation = batches.accumulation
        self._batches = made_for(device, lambda number: [batch.pinned_for(device) for batch in batches.train(number)])

    def __call__(self, number: int) -> StepReport:
        """See `Step`."""
        meter = LossMeter()
        gradients: dict[nn.Parameter, Tensor] = {}
        tokens = 0
        with timed_part("batches"):
            batches = [batch.to(self.device) for batch in self._batches(number)]
        for batch in batches:
            with timed_part("forward pass"):
                loss = masked_lm_loss(self.treated, batch, precision=self.updater.settings.precision)
            meter.add(batch.language, loss.detach())
            moved = [*self.treated.shared.values(), *self.treated.specific[batch.language].values()]
            with timed_part("backward pass"):
                add_gradients(gradients, moved, torch.autograd.grad(loss, moved))
            tokens += batch.num_tokens
        with timed_part("sum over processes"):
            self.ranks.sum_(gradients.values(), meter.losses)
        divide(gradients.values(), self._accumulation)
        with timed_part("update"):
            losses, (norm,) = meter.read([self.updater.apply(number, gradients, gradients.values(), meter.losses)])
        allowed = self.updater.settings.skip_nonfinite
        out = is_left_out(number, losses, norm, self.treated, gradients, languages=meter.languages, allowed=allowed)
        return StepReport(losses, tokens, norm, self.updater.rate(number), {LEFT_OUT: 1} if out else {})


def add_gradients(
    total: dict[nn.Parameter, Tensor], parameters: Iterable[nn.Parameter], gradients: Iterable[Tensor]
) -> None:
    """Add to the running sum."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter in total:
            total[parameter].add_(gradient)
        else:
            total[parameter] = gradient


def divide(gradients: Iterable[Tensor], number: int) -> None:
    """In place."""
    if number > 1:
        torch._foreach_div_(list(gradients), number)
