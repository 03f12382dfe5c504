"""The mixed second derivative of the training loss, applied to a direction u: h = (d/d phi_i)(d/d theta) L_train^i . u (method 5).

Differences move theta to theta + s u and take phi's gradient there; theta itself is never written to, so it keeps every bit.
They run in float32, where bf16 loses a fifth of h at epsilon = 0.01 (method 5). In a run in bf16 the products of these passes are
TF32: float32 is ten times slower on a GPU, and at epsilon = 0.03 both err alike (benchmarks/gpu_differences.py).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from detente.batches import MaskedBatch
from detente.pretrain.objective import masked_lm_loss
from detente.treatment import TreatedEncoder

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Probe:
    """grad_phi_i L_train^i(theta + s u, phi_i) for any s: one forward pass and a backward pass that leaves theta out.

    Attributes:
        batch: of the language i; its dropout masks are the same at every s (method 5, trap 1).
        direction: u, by theta's names.
        epsilon: size of s.
        base: the gradient at s = 0 where it is known already.
        scratch: as large as theta; overwritten at every call.
        precision: of the passes: `float32`, `tf32` or `bf16`.
    """

    treated: TreatedEncoder
    batch: MaskedBatch
    direction: Tensors
    epsilon: Tensor
    base: Tensors | None
    scratch: Tensors
    precision: str = "float32"

    def at(self, step: Tensor | float) -> Tensors:
        """Phi's gradient at s = `step`."""
        with torch.no_grad():
            moved = {
                name: torch.add(p, self.direction[name] * step, out=self.scratch[name])
                for name, p in self.treated.shared.items()
            }
        phi = {name: p.detach().requires_grad_() for name, p in self.treated.specific[self.batch.language].items()}
        precision = "float32" if self.precision == "tf32" else self.precision
        with products("high" if self.precision == "tf32" else "highest"):
            loss = masked_lm_loss(self.treated, self.batch, shared=moved, specific=phi, precision=precision)
            return dict(zip(phi, torch.autograd.grad(loss, list(phi.values())), strict=True))

    def at_theta(self) -> Tensors:
        """Phi's gradient at s = 0."""
        return self.at(0.0) if self.base is None else self.base


@contextmanager
def products(precision: str) -> Iterator[None]:
    """Torch's precision of float32 matrix products, for a while: `highest`, or `high` for TF32 where a GPU has it."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def central(probe: Probe) -> Tensors:
    """(grad at +eps - grad at -eps) / (2 eps): the source's (Wang et al. 2020, equation 8); errs by eps squared."""
    plus, minus = probe.at(probe.epsilon), probe.at(-probe.epsilon)
    return {name: (plus[name] - minus[name]) / (2 * probe.epsilon) for name in plus}


def one_sided(probe: Probe) -> Tensors:
    """(grad at +eps - grad at 0) / eps; the latter comes free with g. Errs by eps."""
    plus, base = probe.at(probe.epsilon), probe.at_theta()
    return {name: (plus[name] - base[name]) / probe.epsilon for name in plus}


def exact(probe: Probe) -> Tensors:
    """By double backward. Attention runs in the math kernel: fused ones have no second derivative."""
    theta = {name: p.detach().requires_grad_() for name, p in probe.treated.shared.items()}
    phi = {name: p.detach().requires_grad_() for name, p in probe.treated.specific[probe.batch.language].items()}
    with sdpa_kernel(SDPBackend.MATH):
        loss = masked_lm_loss(probe.treated, probe.batch, shared=theta, specific=phi)
        gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
        directions = [probe.direction[name] for name in theta]
        product = torch.autograd.grad(gradients, list(phi.values()), directions)
    return dict(zip(phi, product, strict=True))


MIXED_DERIVATIVES: dict[str, Callable[[Probe], Tensors]] = {"central": central, "one-sided": one_sided, "exact": exact}
