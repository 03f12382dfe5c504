"""The exact meta-gradient, written apart from `meta_gradient`: the reference that its variants are held against.

The held-out loss is a function of phi_i through the virtual step, and autograd goes back through that step: double backward, in
float64 where the encoder is (`in_float64`). Nothing is derived by hand.
"""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from detente.batches import HeldOut, MaskedBatch
from detente.pretrain.inner_rule import Preconditioner, sgd_rule
from detente.pretrain.meta_gradient import MetaGradient
from detente.pretrain.objective import masked_lm_loss
from detente.treatment import TreatedEncoder

Tensors = dict[str, Tensor]


def in_float64(treated: TreatedEncoder) -> TreatedEncoder:
    """A copy with the same weights, so that only the arithmetic differs."""
    encoder = copy.deepcopy(treated.encoder).double()
    own = dict(encoder.named_parameters())
    specific = {
        language: {name: nn.Parameter(p.detach().double()) for name, p in phi.items()}
        for language, phi in treated.specific.items()
    }
    return TreatedEncoder(encoder, {name: own[name] for name in treated.shared}, specific)


def exact_meta_gradient(
    treated: TreatedEncoder,
    train: MaskedBatch,
    held_out: Sequence[HeldOut],
    *,
    beta: float,
    precondition: Preconditioner = sgd_rule,
    other: MaskedBatch | None = None,
) -> MetaGradient:
    """The meta-gradient of phi_i, i the language of `train`; P is held constant, as method 5 defines it.

    Phi_i enters twice, by a copy in the virtual step and by another in the held-out loss, so that the two terms come apart.

    Args:
        other: another held-out batch of i; then `terms` has `direct_noise`, see `MetaTerms`.
    """
    language = train.language
    inner, outer = _copy(treated.specific[language]), _copy(treated.specific[language])
    # Fused attention has no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        moved = _virtual_step(treated, train, inner, beta, precondition)
        losses = [
            weight
            * masked_lm_loss(treated, batch, shared=moved, specific=outer if batch.language == language else None)
            for batch, weight in held_out
        ]
        # Where i does not validate, the loss does not depend on the outer copy.
        found = torch.autograd.grad(
            torch.stack(losses).sum(), [*outer.values(), *inner.values()], materialize_grads=True
        )
        direct = dict(zip(outer, found, strict=False))
        second_order = {name: -part for name, part in zip(inner, found[len(outer) :], strict=True)}
        noise = {} if other is None else _noise(treated, held_out, moved, direct, other)
    return MetaGradient(direct, second_order, noise)


def _copy(phi: dict[str, nn.Parameter]) -> Tensors:
    return {name: p.detach().clone().requires_grad_() for name, p in phi.items()}


def _virtual_step(
    treated: TreatedEncoder, train: MaskedBatch, phi: Tensors, beta: float, precondition: Preconditioner
) -> Tensors:
    """Theta' as a function of phi."""
    loss = masked_lm_loss(treated, train, specific=phi)
    gradients = torch.autograd.grad(loss, list(treated.shared.values()), create_graph=True)
    g = dict(zip(treated.shared, gradients, strict=True))
    scale = precondition({name: part.detach() for name, part in g.items()})
    step = g if scale is None else {name: scale[name] * part for name, part in g.items()}
    return {name: p.detach() - beta * step[name] for name, p in treated.shared.items()}


def _noise(
    treated: TreatedEncoder, held_out: Sequence[HeldOut], moved: Tensors, direct: Tensors, other: MaskedBatch
) -> dict[str, float]:
    """The standard deviation of d from one held-out batch to the next, estimated from two."""
    weight = next(each.weight for each in held_out if each.batch.language == other.language)
    phi = _copy(treated.specific[other.language])
    loss = weight * masked_lm_loss(
        treated, other, shared={name: part.detach() for name, part in moved.items()}, specific=phi
    )
    again = torch.autograd.grad(loss, list(phi.values()))
    apart = [one - two for one, two in zip(direct.values(), again, strict=True)]
    return {"direct_noise": float(torch.nn.utils.get_total_norm(apart)) / math.sqrt(2)}
