"""How well each variant of the meta-gradient agrees with the exact one, on given batches; what it costs; how large its terms are."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TypeVar

import torch
from torch import Tensor

from detente.batches import HeldOut, MaskedBatch
from detente.errors import TrainingError
from detente.pretrain.exact_meta_gradient import exact_meta_gradient, in_float64
from detente.pretrain.inner_rule import Preconditioner, adam_rule, sgd_rule
from detente.pretrain.meta_gradient import MetaGradient, NoDirectionError, inner_pass, meta_gradient
from detente.results import MetaTerms
from detente.settings import MetaSettings
from detente.treatment import TreatedEncoder

CHEAP = 0.25
"""The share of the batches that the cheap variants take."""

Counter = Callable[[str, str, int | None], Callable[[int], None]]
"""As `detente.prepare.Counter`."""
Validating = str | int
"""`meta.meta_languages`."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class Variant:
    """One way to take the meta-gradient; the fields are settings of `meta`, `fraction` is both fractions."""

    inner_rule: str
    meta_languages: Validating
    fraction: float
    second_order: str
    precision: str = "float32"

    @property
    def settings(self) -> MetaSettings:
        """With the default epsilon of its kind of differences."""
        return MetaSettings.model_validate(
            {"second_order": self.second_order, "inner_rule": self.inner_rule, "meta_languages": self.meta_languages}
        )


@dataclass(frozen=True)
class Agreement:
    """A variant against the exact gradient, means over the samples.

    Attributes:
        error, cosine: of the whole meta-gradient, on the same batches.
        second_order_error: relative, of beta h alone.
        ratio: norm of beta h over that of d; None where d or beta h is left out.
        cosine_to_whole: with the exact gradient of the whole batches, of all languages where all or some validate.
        step_time: of a whole step in the source's order, in plain steps; a rough figure (median).
    """

    error: float
    cosine: float
    second_order_error: float | None
    ratio: float | None
    cosine_to_whole: float
    step_time: float


@dataclass(frozen=True)
class Sample:
    """A training batch, what validates it for each choice of languages, and another held-out batch of its language."""

    train: MaskedBatch
    held_out: Mapping[Validating, Sequence[HeldOut]]
    other: MaskedBatch


def compare(
    treated: TreatedEncoder,
    optimizer: torch.optim.Optimizer,
    samples: Sequence[Sample],
    *,
    beta: float,
    progress: Counter | None = None,
) -> tuple[dict[Variant, Agreement], dict[str, MetaTerms]]:
    """Every variant on every sample, and the terms of each inner rule.

    Raises:
        TrainingError: a held-out gradient is zero or not finite.
    """
    reference, rules = in_float64(treated), {"sgd": sgd_rule, "adam": adam_rule(treated, optimizer)}
    measured: dict[Variant, list[dict[str, float]]] = {each: [] for each in _variants(samples[0].held_out)}
    advance = progress("meta-gradients", "", len(measured) * len(samples)) if progress else lambda _: None
    norms: dict[str, list[dict[str, float]]] = {rule: [] for rule in rules}
    _seconds(lambda: inner_pass(treated, samples[0].train, with_phi=True))
    for sample in samples:
        plain, _ = _seconds(lambda: inner_pass(treated, sample.train, with_phi=True))  # noqa: B023 - called at once
        for rule, precondition in rules.items():
            exact = _Exact(reference, sample, beta, precondition)
            norms[rule].append(_terms(exact.of("all", 1.0)))
            for variant in (each for each in measured if each.inner_rule == rule):
                seconds, found = _take(treated, sample, variant, beta, precondition)
                measured[variant].append(_agreement(found, exact, variant) | {"step_time": 1 + seconds / plain})
                advance(1)
    return {variant: _mean(lines) for variant, lines in measured.items()}, {
        rule: _medians(lines) for rule, lines in norms.items()
    }


def _variants(choices: Mapping[Validating, object]) -> Iterator[Variant]:
    for rule in ("sgd", "adam"):
        for choice in choices:
            for fraction in (1.0, CHEAP):
                # Without second order, phi learns from its own language's held-out text, which `others` rules out.
                first_order = () if choice == "others" else ("none",)
                for second_order in ("central", "one-sided", "exact", *first_order):
                    yield Variant(rule, choice, fraction, second_order)
            yield Variant(rule, choice, 1.0, "central", "bf16")


class _Exact:
    """The exact gradients of a sample, each taken once."""

    def __init__(self, reference: TreatedEncoder, sample: Sample, beta: float, rule: Preconditioner) -> None:
        self._reference, self._sample, self._beta, self._rule = reference, sample, beta, rule
        self._known: dict[tuple[Validating, float], MetaGradient] = {}

    def of(self, choice: Validating, fraction: float) -> MetaGradient:
        """On this share of the batches."""
        if (choice, fraction) not in self._known:
            train, held_out = _parts(self._sample, choice, fraction)
            is_whole = (choice, fraction) == ("all", 1.0)
            self._known[choice, fraction] = exact_meta_gradient(
                self._reference,
                train,
                held_out,
                beta=self._beta,
                precondition=self._rule,
                other=self._sample.other if is_whole else None,
            )
        return self._known[choice, fraction]


def _parts(sample: Sample, choice: Validating, fraction: float) -> tuple[MaskedBatch, list[HeldOut]]:
    """The first blocks of each batch."""

    def part(batch: MaskedBatch) -> MaskedBatch:
        return batch.split(max(1, round(fraction * len(batch.row_targets))))[0]

    return part(sample.train), [each._replace(batch=part(each.batch)) for each in sample.held_out[choice]]


def _take(
    treated: TreatedEncoder, sample: Sample, variant: Variant, beta: float, rule: Preconditioner
) -> tuple[float, MetaGradient]:
    """Its seconds, and the variant's gradient as the meta step takes it."""
    train, held_out = _parts(sample, variant.meta_languages, variant.fraction)
    settings, precision = variant.settings, variant.precision

    def take() -> MetaGradient:
        inner = inner_pass(treated, train, with_phi=settings.second_order == "one-sided", precision=precision)
        return meta_gradient(
            treated, inner, held_out, beta=beta, settings=settings, precondition=rule, precision=precision
        )

    try:
        return _seconds(take)
    except NoDirectionError as error:
        raise TrainingError(
            f"there is no meta-gradient for {train.language}: {error}. Has the run learned anything?"
        ) from None


def _seconds(call: Callable[[], Value]) -> tuple[float, Value]:
    begun = time.perf_counter()
    value = call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun, value


def _agreement(found: MetaGradient, exact: _Exact, variant: Variant) -> dict[str, float]:
    same = exact.of(variant.meta_languages, variant.fraction)
    whole = exact.of("others" if variant.meta_languages == "others" else "all", 1.0)
    mine, expected = _flat(found.total()), _flat(same.total())
    line = {
        "error": _error(mine, expected),
        "cosine": _cosine(mine, expected),
        "cosine_to_whole": _cosine(mine, _flat(whole.total())),
    }
    if found.second_order is not None and same.second_order is not None:
        second = _flat(found.second_order.values())
        line["second_order_error"] = _error(second, _flat(same.second_order.values()))
        if direct := float(_flat(found.direct.values()).norm()):
            line["ratio"] = float(second.norm()) / direct
    return line


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().double().flatten() for tensor in tensors])


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def _cosine(one: Tensor, two: Tensor) -> float:
    return float(torch.dot(one, two) / one.norm() / two.norm())


def _terms(exact: MetaGradient) -> dict[str, float]:
    assert exact.second_order is not None
    direct, second = _flat(exact.direct.values()), _flat(exact.second_order.values())
    norms = {"direct_norm": float(direct.norm()), "second_order_norm": float(second.norm())}
    return {
        **norms,
        "ratio": norms["second_order_norm"] / norms["direct_norm"],
        "cosine": -_cosine(direct, second),
        **exact.terms,
    }


def _medians(lines: list[dict[str, float]]) -> MetaTerms:
    values = {name: median(line[name] for line in lines) for name in lines[0]}
    return MetaTerms.model_validate({"measured": len(lines), **values})


def _mean(lines: list[dict[str, float]]) -> Agreement:
    step_time = median(line.pop("step_time") for line in lines)
    means = {name: fmean(line[name] for line in lines) for name in lines[0]}
    return Agreement(
        error=means["error"],
        cosine=means["cosine"],
        second_order_error=means.get("second_order_error"),
        ratio=means.get("ratio"),
        cosine_to_whole=means["cosine_to_whole"],
        step_time=step_time,
    )
