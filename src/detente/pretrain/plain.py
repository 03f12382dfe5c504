"""The plain step: theta and the phi of the languages in the step follow the training gradient together."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from detente.batches import TrainBatches
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.optimizer import Updater
from detente.pretrain.step import LossMeter, StepReport
from detente.treatment import TreatedEncoder


class PlainStep:
    """One AdamW update from the microbatches of a step."""

    def __init__(self, treated: TreatedEncoder, batches: TrainBatches, updater: Updater, device: torch.device) -> None:
        self.treated, self.batches, self.updater, self.device = treated, batches, updater, device

    def __call__(self, number: int) -> StepReport:
        """See `Step`."""
        meter = LossMeter(number)
        gradients: dict[nn.Parameter, Tensor] = {}
        tokens = 0
        for batch in self.batches.train(number):
            batch = batch.to(self.device)
            loss = masked_lm_loss(self.treated, batch, precision=self.updater.settings.precision)
            meter.add(batch, loss)
            moved = [*self.treated.shared.values(), *self.treated.specific[batch.language].values()]
            add_gradients(gradients, moved, torch.autograd.grad(loss, moved))
            tokens += batch.tokens.numel()
        mean = [gradient / self.batches.accumulation for gradient in gradients.values()]
        norm = self.updater.apply(number, gradients, mean)
        return StepReport(meter.means(), tokens, norm, self.updater.rate(number))


def add_gradients(
    total: dict[nn.Parameter, Tensor], parameters: list[nn.Parameter], gradients: Iterable[Tensor]
) -> None:
    """Add to the running sum."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        total[parameter] = total[parameter] + gradient if parameter in total else gradient
