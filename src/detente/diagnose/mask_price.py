"""What open gates cost while a mask is learned: a fixed price, or the price at which a target share stays open.

A price is in nats for the whole of the gates: keeping a tenth of them open costs a tenth of it. It is asked for the present
share of open gates and how far learning has come, from 0 to 1. `advice` says what to change when every gate closes.
"""

from dataclasses import dataclass

from detente.errors import ConfigError

USUAL_PRICE = 3.0
"""Of the size of a loss in nats; some fifth of a small model's rows close at it in 200 steps."""
STIFFNESS = 3000.0
"""Nats for all of an excess. A price of 10 to 50 nats, which closes most gates of a small language model, leaves 0.003 to 0.02 too
many open. Three times as stiff, the price jumps more than the loss does, and the same share left 0.05 nats more loss."""
RAMP = 0.8
"""Share of the steps in which the wanted share falls to the target; in the rest, gates settle."""


@dataclass(frozen=True)
class FixedPrice:
    """lambda (the source's equation 1) times the number of groups."""

    nats: float

    def __call__(self, open_share: float, progress: float) -> float:  # noqa: ARG002 - TargetPrice's signature
        return self.nats

    @property
    def advice(self) -> str:
        return f"sparsity_weight of {self.nats:g} is too high. Try {self.nats / 10:g}."


@dataclass(frozen=True)
class TargetPrice:
    """As high as it takes: it rises with every gate that is open beyond the wanted share.

    That share falls linearly from 1 to the target, which makes this a quadratic penalty on the excess. Multipliers that climb by
    the excess (Wang, Wohlwend and Lei 2020) missed targets by up to 0.1 in as many steps: gates follow slowly, and the
    multipliers run ahead of them.
    """

    target: float

    def __call__(self, open_share: float, progress: float) -> float:
        wanted = 1 - (1 - self.target) * min(1.0, progress / RAMP)
        return STIFFNESS * max(0.0, open_share - wanted)

    @property
    def advice(self) -> str:
        return f"target_open of {self.target:g} cannot be held in so few steps. Try more steps, or a higher target."


Price = FixedPrice | TargetPrice


def price_of(sparsity_weight: float | None, target_open: float | None) -> Price:
    """The price that the settings of `learn_masks` ask for.

    Raises:
        ConfigError: both are given, or one is out of its range.
    """
    if target_open is None:
        nats = USUAL_PRICE if sparsity_weight is None else sparsity_weight
        if nats < 0:
            raise ConfigError(f"sparsity_weight must not be below 0, found {nats:g}. Try {USUAL_PRICE:g}.")
        return FixedPrice(nats)
    if sparsity_weight is not None:
        raise ConfigError(
            "sparsity_weight and target_open are both given. Leave out one: the target sets its own price."
        )
    if not 0 < target_open < 1:
        raise ConfigError(f"target_open must lie between 0 and 1, found {target_open:g}. Try 0.5.")
    return TargetPrice(target_open)
