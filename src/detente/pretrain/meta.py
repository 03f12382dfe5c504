"""The meta step: phi_i learns so that theta, after following the training gradient, does well on held-out text of all languages.

Method 5, from Wang, Lipton and Tsvetkov 2020, section 4 and algorithm 1. For the language i of each microbatch:

    phi_i <- Update(phi_i, the meta-gradient)                                     meta_gradient.py
    theta <- Update(theta, grad_theta L_train(theta, phi_i(new)))                 order: theta-after-phi
    theta <- Update(theta, grad_theta L_train(theta, phi_i(old)))                 order: fused

Each language's phi is updated once a step, by the mean over its microbatches; then theta, once. Clipping applies to each update.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detente.batches import HeldOut, HeldOutBatches, MaskedBatch, TrainBatches, made_for, rows_in
from detente.pretrain.inner_rule import adam_rule, sgd_rule
from detente.pretrain.meta_gradient import InnerPass, MetaGradient, NoDirectionError, inner_pass, meta_gradient
from detente.pretrain.not_finite import LEFT_OUT, is_left_out
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.optimizer import Updater
from detente.pretrain.parallel import ALONE, Ranks
from detente.pretrain.plain import add_gradients, divide
from detente.pretrain.step import LossMeter, StepReport, timed_part
from detente.settings import MetaSettings
from detente.treatment import TreatedEncoder


class MetaStep:
    """Updates phi by the meta-gradient and theta by the training gradient."""

    def __init__(
        self,
        treated: TreatedEncoder,
        batches: TrainBatches,
        held_out: HeldOutBatches,
        updater: Updater,
        device: torch.device,
        *,
        settings: MetaSettings,
        ranks: Ranks = ALONE,
    ) -> None:
        self.treated, self.batches, self.held_out, self.updater = treated, batches, held_out, updater
        self.device, self.settings, self.ranks = device, settings, ranks
        self._precision = updater.settings.precision
        self._read = made_for(device, self._read_batches)
        self._inner_rows = rows_in(
            settings.inner_fraction, batches.settings, ranks.share, setting="meta.inner_fraction"
        )
        self._precondition = adam_rule(treated, updater.optimizer) if settings.inner_rule == "adam" else sgd_rule
        if settings.second_order == "exact":
            warnings.warn(
                "`meta.second_order: exact` needs second derivatives, which fused attention does not have: its passes use the math "
                "kernel, which is slower and takes more memory",
                stacklevel=2,
            )

    def __call__(self, number: int) -> StepReport:
        """See `Step`. `terms` has the measurements of `meta_gradient`, and how many updates of phi were `skipped`."""
        with timed_part("batches"):
            train, self._validating = self._read(number)
            train = [batch.to(self.device) for batch in train]
        do = self._fused if self.settings.order == "fused" else self._theta_after_phi
        meter, gradients, found = do(number, train)
        divide(gradients.values(), len(train))
        with timed_part("update of theta"):
            applied = self.updater.apply(number, gradients, gradients.values(), meter.losses)
            losses, (norm, *phi_norms) = meter.read([applied, *found.norms])
        allowed = self.updater.settings.skip_nonfinite
        left_out = found.count_left_out(phi_norms, self.treated, allowed)
        left_out += is_left_out(
            number, losses, norm, self.treated, gradients, languages=meter.languages, allowed=allowed
        )
        terms = found.terms() | ({LEFT_OUT: left_out} if left_out else {})
        return StepReport(losses, sum(batch.num_tokens for batch in train), norm, self.updater.rate(number), terms)

    def _read_batches(self, number: int) -> "_StepBatches":
        train = [batch.pinned_for(self.device) for batch in self.batches.train(number)]
        due = dict.fromkeys(batch.language for batch in train if self._is_due(batch))
        return train, {language: self._read_held_out(number, language) for language in due}

    def _read_held_out(self, number: int, language: str) -> list[HeldOut]:
        found = self.held_out.validating(number, language)
        return [each._replace(batch=each.batch.pinned_for(self.device)) for each in found]

    def _theta_after_phi(self, number: int, train: list[MaskedBatch]) -> "_Shared":
        """The source's order."""
        found = _Found(number)
        for batch in filter(self._is_due, train):
            inner, _ = batch.split(self._inner_rows)
            found.add(self._meta_gradient(number, self._inner_pass(number, inner)))
        found.update_specific(self.treated, self.updater)
        meter, gradients = LossMeter(), _Gradients()
        for batch in train:
            loss, gradient = self._theta_gradient(batch)
            meter.add(batch.language, loss)
            add_gradients(gradients, self.treated.shared.values(), gradient)
        self.ranks.sum_(gradients.values(), meter.losses)
        return meter, gradients, found

    def _fused(self, number: int, train: list[MaskedBatch]) -> "_Shared":
        """The pass that gives g gives theta's gradient too, at the old phi; the rows it leaves out take a pass of their own."""
        found, meter, gradients = _Found(number), LossMeter(), _Gradients()
        theta = list(self.treated.shared.values())
        for batch in train:
            inner, rest = batch.split(self._inner_rows) if self._is_due(batch) else (batch, None)
            passed = self._inner_pass(number, inner)
            if self._is_due(batch):
                found.add(self._meta_gradient(number, passed))
            loss, share = passed.loss, sum(inner.row_targets) / batch.num_targets
            if rest is not None:
                rest_loss, gradient = self._theta_gradient(rest)
                self.ranks.sum_(gradient, [rest_loss])
                loss = share * loss + (1 - share) * rest_loss
                for mine, other in zip(passed.theta.values(), gradient, strict=True):
                    mine.mul_(share).add_(other, alpha=1 - share)
            meter.add(batch.language, loss)
            add_gradients(gradients, theta, passed.theta.values())
        found.update_specific(self.treated, self.updater)
        return meter, gradients, found

    def _is_due(self, batch: MaskedBatch) -> bool:
        """By the language's own count, so that a rare language is not left out by the rhythm of the draws."""
        return batch.number % self.settings.every == 0

    def _inner_pass(self, number: int, batch: MaskedBatch) -> InnerPass:
        # In bf16 the differences take a base of their own.
        is_base = self.settings.second_order == "one-sided" and self._precision == "float32"
        with_phi = self._is_due(batch) and (is_base or self._is_measured(number))
        with timed_part("inner pass"):
            return inner_pass(self.treated, batch, with_phi=with_phi, precision=self._precision, ranks=self.ranks)

    def _theta_gradient(self, batch: MaskedBatch) -> tuple[Tensor, tuple[Tensor, ...]]:
        phi = {name: p.detach() for name, p in self.treated.specific[batch.language].items()}
        with timed_part("theta's pass"):
            loss = masked_lm_loss(self.treated, batch, specific=phi, precision=self._precision)
            return loss.detach(), torch.autograd.grad(loss, list(self.treated.shared.values()))

    def _meta_gradient(self, number: int, inner: InnerPass) -> tuple[str, MetaGradient | None]:
        language, measure = inner.batch.language, self._is_measured(number)
        held_out = [each._replace(batch=each.batch.to(self.device)) for each in self._validating[language]]
        validates = any(each.batch.language == language for each in held_out)
        other = self.held_out.of(number + 1, language).to(self.device) if measure and validates else None
        try:
            found = meta_gradient(
                self.treated,
                inner,
                held_out,
                beta=self.settings.beta or self.settings.beta_multiple * self.updater.rate(number),
                settings=self.settings,
                precondition=self._precondition,
                precision=self._precision,
                ranks=self.ranks,
                measure=measure,
                other=other,
            )
        except NoDirectionError:
            return language, None
        return language, found

    def _is_measured(self, number: int) -> bool:
        return number % self.settings.measure_every == 0


_StepBatches = tuple[list[MaskedBatch], dict[str, list[HeldOut]]]
"""Those trained on, and for each language whose phi is due, those that validate."""

_Gradients = dict[nn.Parameter, Tensor]


class _Found:
    """The meta-gradients of a step, and the updates of phi that they made.

    Attributes:
        norms: of the updates' gradients, before clipping; on the device, read with all else at the step's end.
    """

    def __init__(self, step: int) -> None:
        self.norms: list[Tensor] = []
        self._step, self._skipped = step, 0
        self._of: dict[str, list[MetaGradient]] = {}
        self._updates: list[tuple[str, _Gradients]] = []

    def add(self, found: tuple[str, MetaGradient | None]) -> None:
        """Note a language's meta-gradient, or that there is none."""
        language, gradient = found
        if gradient is None:
            self._skipped += 1
        else:
            self._of.setdefault(language, []).append(gradient)

    def update_specific(self, treated: TreatedEncoder, updater: Updater) -> None:
        """One update of each language's phi; nothing else moves."""
        for language, gradients in self._of.items():
            totals = zip(*(gradient.total() for gradient in gradients), strict=True)
            phi = treated.specific[language].values()
            mean = [sum(parts[1:], start=parts[0]) / len(parts) for parts in totals]
            self.norms.append(updater.apply(self._step, phi, mean))
            self._updates.append((language, dict(zip(phi, mean, strict=True))))

    def count_left_out(self, norms: Sequence[float], treated: TreatedEncoder, allowed: int) -> int:
        """Updates of phi that were left out, by the values of `norms`."""
        return sum(
            is_left_out(self._step, {}, norm, treated, gradients, languages=[language], allowed=allowed)
            for (language, gradients), norm in zip(self._updates, norms, strict=True)
        )

    def terms(self) -> dict[str, float]:
        """Means over the step's meta-gradients of what was measured, and the number skipped."""
        every = [gradient.terms for gradients in self._of.values() for gradient in gradients]
        names = dict.fromkeys(name for terms in every for name in terms)
        means = {name: _mean([terms[name] for terms in every if name in terms]) for name in names}
        return means | ({"skipped": self._skipped} if self._skipped else {})


_Shared = tuple[LossMeter, _Gradients, _Found]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
