"""The meta-gradient of phi_i (method 5).

Wang, Lipton and Tsvetkov 2020, equations 3 and 4; differences as in DARTS (Liu et al. 2019, equation 8). For the language i of a
training batch:

    g      = grad_theta L_train^i(theta, phi_i)
    theta' = theta - beta P g
    v      = grad_theta' sum_j w_j L_val^j(theta', phi_j)        w_j = 1/L, unless few languages validate
    d      = w_i grad_phi_i L_val^i(theta', phi_i)
    h      = grad_phi_i grad_theta L_train^i(theta, phi_i) . P v
    the meta-gradient is d - beta h

g, v, d and h are sums over the processes before they are used, the norm of P v included.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detente.batches import HeldOut, MaskedBatch
from detente.pretrain.inner_rule import Preconditioner, sgd_rule
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.parallel import ALONE, Ranks
from detente.pretrain.second_order import MIXED_DERIVATIVES, Probe, central, one_sided
from detente.pretrain.step import timed_part
from detente.settings import MetaSettings
from detente.treatment import TreatedEncoder

Tensors = dict[str, Tensor]


SOURCE = MetaSettings()
"""The source's variant."""


class NoDirectionError(Exception):
    """The held-out gradient is zero or not finite, so there is nothing to learn from it."""


@dataclass(frozen=True)
class InnerPass:
    """The training loss of one language and its gradients at (theta, phi_i).

    Attributes:
        loss, theta: summed over the processes; the latter is g.
        phi: this process's share of phi_i's gradient, where it was asked for.
    """

    batch: MaskedBatch
    loss: Tensor
    theta: Tensors
    phi: Tensors | None


@dataclass(frozen=True)
class MetaGradient:
    """The gradient of phi_i, as its two terms.

    Attributes:
        direct: d, by phi's names; zero when language i does not validate.
        second_order: beta h, by phi's names; None when it was left out.
        terms: what was measured, see `measured`; empty unless asked for.
    """

    direct: Tensors
    second_order: Tensors | None
    terms: dict[str, float]

    def total(self) -> list[Tensor]:
        """d - beta h, in the order of phi."""
        if self.second_order is None:
            return list(self.direct.values())
        return [self.direct[name] - self.second_order[name] for name in self.direct]


def inner_pass(
    treated: TreatedEncoder,
    batch: MaskedBatch,
    *,
    with_phi: bool = False,
    precision: str = "float32",
    ranks: Ranks = ALONE,
) -> InnerPass:
    """The pass that gives g; phi's gradient in the same pass costs a little more."""
    theta, phi = treated.shared, treated.specific[batch.language]
    loss = masked_lm_loss(
        treated, batch, precision=precision, specific=phi if with_phi else {n: p.detach() for n, p in phi.items()}
    )
    wanted = [*theta.values(), *(phi.values() if with_phi else ())]
    gradients = torch.autograd.grad(loss, wanted)
    g = dict(zip(theta, gradients, strict=False))
    base = dict(zip(phi, gradients[len(theta) :], strict=True)) if with_phi else None
    loss = loss.detach()
    ranks.sum_(g.values(), [loss])
    return InnerPass(batch, loss, g, base)


def meta_gradient(
    treated: TreatedEncoder,
    inner: InnerPass,
    held_out: Sequence[HeldOut],
    *,
    beta: float,
    settings: MetaSettings = SOURCE,
    precondition: Preconditioner = sgd_rule,
    precision: str = "float32",
    ranks: Ranks = ALONE,
    measure: bool = False,
    other: MaskedBatch | None = None,
) -> MetaGradient:
    """The meta-gradient of phi_i, i the language of `inner`.

    Args:
        held_out: the batches that validate, with their weights.
        beta: rate of the inner step.
        precision: of the passes for v and d; differences run in float32, or TF32 beside bf16.
        measure: fill `terms`; costs a few passes for phi's gradient alone, and changes no result.
        other: another held-out batch of i, to measure the sampling noise of d with.

    Raises:
        NoDirectionError: the norm of the held-out gradient is zero or not finite.
    """
    scale = precondition(inner.theta)
    # In the fused order g is theta's update and must stay; otherwise theta' may take its place in memory.
    virtual = _virtual_step(treated.shared, inner.theta, beta, scale, in_place=settings.order == "theta-after-phi")
    is_first_order = settings.second_order == "none"
    with timed_part("held-out passes"):
        direction, direct = _held_out_gradients(
            treated, inner.batch.language, held_out, virtual, precision, only_phi=is_first_order
        )
    ranks.sum_(direction.values(), direct.values())
    noise = (
        _noise(treated, held_out, virtual, direct=direct, other=other, precision=precision, ranks=ranks)
        if measure and other
        else {}
    )
    if is_first_order:
        _usable_norm(direct, held_out)
        return MetaGradient(direct, None, {"direct_norm": float(_norm(direct)), **noise} if measure else {})
    if scale is not None:
        for name, part in direction.items():
            part.mul_(scale[name])
    del scale
    is_float32 = precision == "float32"
    epsilon = settings.difference_step(precision) / _usable_norm(direction, held_out)
    # A pass in bf16 is no neighbour of passes in TF32.
    base = inner.phi if is_float32 else None
    probe = Probe(treated, inner.batch, direction, epsilon, base, virtual, "float32" if is_float32 else "tf32")
    with timed_part("mixed derivative"):
        mixed = MIXED_DERIVATIVES[settings.second_order](probe)
    ranks.sum_(mixed.values())
    terms = {**_measured(direct, mixed, beta, probe, ranks), **noise} if measure else {}
    return MetaGradient(direct, {name: beta * part for name, part in mixed.items()}, terms)


def _virtual_step(
    theta: dict[str, nn.Parameter], g: Tensors, beta: float, scale: Tensors | None, *, in_place: bool
) -> Tensors:
    moved = g if in_place else {name: part.clone() for name, part in g.items()}
    with torch.no_grad():
        for name, part in moved.items():
            if scale is not None:
                part.mul_(scale[name])
            part.mul_(-beta).add_(theta[name])
    return moved


def _held_out_gradients(
    treated: TreatedEncoder,
    language: str,
    held_out: Sequence[HeldOut],
    virtual: Tensors,
    precision: str,
    *,
    only_phi: bool,
) -> tuple[Tensors, Tensors]:
    """v and d, by one pass a language. Only i's own pass asks for phi's gradient; without v, it is the only pass."""
    leaves = {name: part.detach().requires_grad_(not only_phi) for name, part in virtual.items()}
    own = {name: p.detach().requires_grad_() for name, p in treated.specific[language].items()}
    for batch, weight in held_out:
        if batch.language != language and only_phi:
            continue
        is_own = batch.language == language
        phi = own if is_own else {name: p.detach() for name, p in treated.specific[batch.language].items()}
        loss = masked_lm_loss(treated, batch, shared=leaves, specific=phi, precision=precision) * weight
        wanted = [*(() if only_phi else leaves.values()), *(own.values() if is_own else ())]
        # Adds up in the leaves: the gradients of two languages never lie side by side.
        torch.autograd.backward(loss, inputs=wanted)
    v = {} if only_phi else {name: _gradient(leaf) for name, leaf in leaves.items()}
    return v, {name: _gradient(leaf) for name, leaf in own.items()}


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _usable_norm(tensors: Tensors, held_out: Sequence[HeldOut]) -> Tensor:
    norm = _norm(tensors)
    # Looked at once: each time a GPU is waited for.
    value = norm.item()
    if not math.isfinite(value) or value == 0:
        names = ", ".join(batch.language for batch, _ in held_out)
        raise NoDirectionError(f"the norm of the held-out gradient of {names} is {value}")
    return norm


def _measured(direct: Tensors, mixed: Tensors, beta: float, probe: Probe, ranks: Ranks) -> dict[str, float]:
    """Norms of d and beta h, their ratio and cosine (of d and -beta h), eps, and the error of one-sided differences.

    The error is that of one-sided against central differences, relative to h: what `one-sided` errs by, and far more than
    `central` does as long as it is small.
    """
    direct_norm, mixed_norm = float(_norm(direct)), float(_norm(mixed))
    terms = {"direct_norm": direct_norm, "second_order_norm": beta * mixed_norm, "epsilon": float(probe.epsilon)}
    if direct_norm and mixed_norm:
        inner_product = sum(float(torch.sum(direct[name] * mixed[name])) for name in direct)
        terms |= {"ratio": beta * mixed_norm / direct_norm, "cosine": -inner_product / direct_norm / mixed_norm}
    both = central(probe), one_sided(probe)
    for found in both:
        ranks.sum_(found.values())
    difference = {name: part - both[0][name] for name, part in both[1].items()}
    if mixed_norm:
        terms["difference_error"] = float(_norm(difference)) / mixed_norm
    return terms


def _noise(
    treated: TreatedEncoder,
    held_out: Sequence[HeldOut],
    virtual: Tensors,
    *,
    direct: Tensors,
    other: MaskedBatch,
    precision: str,
    ranks: Ranks,
) -> dict[str, float]:
    """The standard deviation of d from one held-out batch to the next, estimated from two."""
    weight = next(each.weight for each in held_out if each.batch.language == other.language)
    again = [HeldOut(other, weight)]
    _, second = _held_out_gradients(treated, other.language, again, virtual, precision, only_phi=True)
    ranks.sum_(second.values())
    apart = {name: part - second[name] for name, part in direct.items()}
    return {"direct_noise": float(_norm(apart)) / math.sqrt(2)}


def _norm(tensors: Tensors) -> Tensor:
    return torch.nn.utils.get_total_norm(tensors.values())
