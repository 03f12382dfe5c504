"""How the virtual inner step scales the training gradient: theta' = theta - beta P g (method 5, `meta.inner_rule`)."""

from collections.abc import Callable

import torch
from torch import Tensor

from detente.treatment import TreatedEncoder

Tensors = dict[str, Tensor]
Preconditioner = Callable[[Tensors], Tensors | None]
"""g -> P, both by theta's names; None stands for P = 1."""


def sgd_rule(g: Tensors) -> None:
    """P = 1: the source's."""


def adam_rule(treated: TreatedEncoder, optimizer: torch.optim.Optimizer) -> Preconditioner:
    """P as AdamW will scale each weight of theta: 1 / (sqrt(second moment, with g in it) + eps), held constant.

    So theta' moves as far as the real update would without momentum, and the mixed term is taken along P v. Where g is zero, so
    is P: the training loss does not depend on that weight, and 1 / eps would drown the rest of P v.
    """
    group_of = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}

    def precondition(g: Tensors) -> Tensors:
        found = {}
        for name, parameter in treated.shared.items():
            group, state = group_of[parameter], optimizer.state.get(parameter, {})
            decay = group["betas"][1]
            second = (1 - decay) * g[name].square()
            if state:
                second.add_(state["exp_avg_sq"], alpha=decay)
            # Double: 1 - 0.999^t loses half its digits in the float32 of the optimizer's step counter.
            correction = 1 - decay ** (state["step"].double() + 1 if state else 1)
            scale = second.div_(correction).sqrt_().add_(group["eps"]).reciprocal_()
            found[name] = scale.masked_fill_(g[name] == 0, 0.0)
        return found

    return precondition
