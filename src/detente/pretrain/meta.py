"""The meta step: phi_i learns so that theta, after following the training gradient, does well on held-out text of all languages.

Method 5, from Wang, Lipton and Tsvetkov 2020, section 4 and algorithm 1; the mixed second derivative by central differences
(Liu et al. 2019, DARTS, equation 8). For the language i of each microbatch:

    g      = grad_theta L_train^i(theta, phi_i)
    theta' = theta - beta g
    v      = grad_theta' 1/L sum_j L_meta^j(theta', phi_j)
    d      = 1/L grad_phi_i L_meta^i(theta', phi_i)
    h      = [grad_phi_i L_train^i(theta + eps v, phi_i) - grad_phi_i L_train^i(theta - eps v, phi_i)] / (2 eps)
    phi_i <- Update(phi_i, d - beta h)
    theta <- Update(theta, grad_theta L_train(theta, phi_i(new)))

Theta is never written to before its own update: theta' and theta +- eps v are new tensors, so no bit of it can be lost.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detente.batches import MaskedBatch, TrainBatches
from detente.errors import TrainingError
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.optimizer import Updater
from detente.pretrain.plain import add_gradients
from detente.pretrain.step import LossMeter, StepReport, check_finite
from detente.settings import MetaSettings
from detente.treatment import TreatedEncoder

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class MetaGradient:
    """The gradient of phi_i, as its two terms.

    Attributes:
        direct: d, by phi's names.
        second_order: beta h, by phi's names; the gradient is `direct - second_order`.
    """

    direct: Tensors
    second_order: Tensors

    def total(self) -> list[Tensor]:
        """d - beta h, in the order of phi."""
        return [self.direct[name] - self.second_order[name] for name in self.direct]

    def norms(self) -> dict[str, float]:
        """Norms of both terms: the second-order one is linear in beta, and may be too small to matter."""
        return {"direct_norm": float(_norm(self.direct)), "second_order_norm": float(_norm(self.second_order))}


class MetaStep:
    """Updates phi_i by the meta-gradient, then theta by the training gradient (the source's order)."""

    def __init__(
        self,
        treated: TreatedEncoder,
        batches: TrainBatches,
        updater: Updater,
        device: torch.device,
        settings: MetaSettings,
    ) -> None:
        self.treated, self.batches, self.updater, self.device = treated, batches, updater, device
        self.settings = settings

    def __call__(self, number: int) -> StepReport:
        """See `Step`. Each language's phi is updated once, by the mean over its microbatches; then theta, once."""
        train = [batch.to(self.device) for batch in self.batches.train(number)]
        held_out = {j: self.batches.meta(number, j).to(self.device) for j in self.treated.languages}
        terms = self._update_specific(number, train, held_out)
        return self._update_shared(number, train, terms)

    def _update_specific(
        self, number: int, train: list[MaskedBatch], held_out: dict[str, MaskedBatch]
    ) -> dict[str, float]:
        found: dict[str, list[MetaGradient]] = {}
        for batch in train:
            found.setdefault(batch.language, []).append(self._gradient(number, batch, held_out))
        for language, gradients in found.items():
            totals = zip(*(gradient.total() for gradient in gradients), strict=True)
            mean = [torch.stack(parts).mean(0) for parts in totals]
            self.updater.apply(number, self.treated.specific[language].values(), mean)
        norms = [gradient.norms() for gradients in found.values() for gradient in gradients]
        return {name: sum(each[name] for each in norms) / len(norms) for name in norms[0]}

    def _gradient(self, number: int, batch: MaskedBatch, held_out: dict[str, MaskedBatch]) -> MetaGradient:
        beta = self.settings.beta or self.updater.rate(number)
        epsilon, precision = self.settings.epsilon, self.updater.settings.precision
        try:
            return meta_gradient(self.treated, batch, held_out, beta=beta, epsilon=epsilon, precision=precision)
        except TrainingError as error:
            raise TrainingError(f"step {number}: {error}") from None

    def _update_shared(self, number: int, train: list[MaskedBatch], terms: dict[str, float]) -> StepReport:
        meter = LossMeter(number)
        gradients: dict[nn.Parameter, Tensor] = {}
        theta = list(self.treated.shared.values())
        for batch in train:
            loss = masked_lm_loss(self.treated, batch, precision=self.updater.settings.precision)
            meter.add(batch, loss)
            add_gradients(gradients, theta, torch.autograd.grad(loss, theta))
        mean = [gradient / len(train) for gradient in gradients.values()]
        norm = self.updater.apply(number, gradients, mean)
        tokens = sum(batch.tokens.numel() for batch in train)
        return StepReport(meter.means(), tokens, norm, self.updater.rate(number), terms)


def meta_gradient(
    treated: TreatedEncoder,
    train: MaskedBatch,
    held_out: dict[str, MaskedBatch],
    *,
    beta: float,
    epsilon: float = 0.01,
    precision: str = "float32",
) -> MetaGradient:
    """The meta-gradient of phi_i, i the language of `train`.

    Args:
        held_out: a batch of every language that validates.
        beta: rate of the inner step.
        epsilon: theta moves by epsilon * v / ||v|| in the difference passes.
        precision: of the passes for g, v and d; the difference passes always run in float32, where 0.01 is accurate to 1e-3
            and better (in bf16 it loses a fifth).

    Raises:
        TrainingError: the training loss is not finite, or v is zero or not finite.
    """
    theta = treated.shared
    loss = masked_lm_loss(treated, train, precision=precision, specific=_detached(treated.specific[train.language]))
    check_finite(train.language, loss.item())
    g = _gradients(loss, theta)
    virtual = {name: (p.detach() - beta * g[name]).requires_grad_() for name, p in theta.items()}
    v, direct = _held_out_gradients(treated, train.language, held_out, virtual, precision)
    del virtual, g
    norm = _norm(v)
    if not torch.isfinite(norm) or norm == 0:
        raise TrainingError(
            f"the norm of the held-out gradient v of {', '.join(held_out)} is {norm.item()}: the meta step of {train.language} "
            "can learn nothing from it. The last checkpoint is intact. Lower `training.learning_rate` or `meta.beta`."
        )
    eps = epsilon / norm
    plus, minus = (_phi_gradient_at(treated, train, v, signed) for signed in (eps, -eps))
    second_order = {name: beta * (plus[name] - minus[name]) / (2 * eps) for name in plus}
    return MetaGradient(direct, second_order)


def _held_out_gradients(
    treated: TreatedEncoder, language: str, held_out: dict[str, MaskedBatch], virtual: Tensors, precision: str
) -> tuple[Tensors, Tensors]:
    """v and d: one pass a language; only i's own pass asks for phi's gradient."""
    share = 1 / len(held_out)
    v = {name: torch.zeros_like(p) for name, p in virtual.items()}
    direct = {name: torch.zeros_like(p) for name, p in treated.specific[language].items()}
    for j, batch in held_out.items():
        phi = treated.specific[j] if j == language else _detached(treated.specific[j])
        loss = masked_lm_loss(treated, batch, shared=virtual, specific=phi, precision=precision) * share
        wanted = {**virtual, **phi} if j == language else virtual
        for name, gradient in _gradients(loss, wanted).items():
            (v if name in v else direct)[name] += gradient
    return v, direct


def _phi_gradient_at(treated: TreatedEncoder, train: MaskedBatch, v: Tensors, step: Tensor) -> Tensors:
    """grad_phi_i L_train^i(theta + step v, phi_i); theta needs no gradient here, and does not pay for one."""
    moved = {name: p.detach() + step * v[name] for name, p in treated.shared.items()}
    phi = treated.specific[train.language]
    return _gradients(masked_lm_loss(treated, train, shared=moved, specific=phi), phi)


def _gradients(loss: Tensor, parameters: dict[str, nn.Parameter] | Tensors) -> Tensors:
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    return dict(zip(parameters, gradients, strict=True))


def _detached(parameters: dict[str, nn.Parameter]) -> Tensors:
    return {name: parameter.detach() for name, parameter in parameters.items()}


def _norm(tensors: Tensors) -> Tensor:
    return torch.nn.utils.get_total_norm(tensors.values())
