"""What is measured of the meta step, what is left out, and what of it reaches the record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detente.batches import HeldOut
from detente.errors import TrainingError
from detente.pretrain.meta_summary import meta_terms, skipped_steps
from detente.pretrain.observers import MetricsLog, SkipLimit
from detente.pretrain.step import StepReport
from detente.results import MetaTerms, read_metrics

Make = Callable[..., Any]
MEASURED = {"direct_norm", "second_order_norm", "ratio", "cosine", "epsilon", "difference_error", "direct_noise"}

orders = pytest.mark.parametrize("order", ["theta-after-phi", "fused"])


def report(**terms: float) -> StepReport:
    return StepReport({"te": 2.5}, tokens=10, gradient_norm=1.0, learning_rate=0.1, terms=terms)


@orders
@pytest.mark.parametrize("second_order", ["central", "one-sided", "none"])
def test_measuring_changes_no_bit_of_the_trajectory(make_parts: Make, order: str, second_order: str) -> None:
    ends, terms = [], []
    for measure_every in (1, 1000):
        parts = make_parts(dropout=0.1, dtype=torch.float32)
        step = parts.meta_step(order=order, second_order=second_order, measure_every=measure_every)
        # Step 0 is measured in both.
        terms.append([step(number).terms for number in range(1, 6)])
        ends.append((parts.parameters(), parts.moments()))
    assert all(terms[0]) and not any(terms[1])
    (parameters, moments), (others, other_moments) = ends
    assert all(torch.equal(parameters[name], others[name]) for name in parameters)
    assert all(torch.equal(moments[n][key], other_moments[n][key]) for n in moments for key in moments[n])


@orders
def test_terms_appear_every_so_many_steps(make_parts: Make, order: str) -> None:
    step = make_parts().meta_step(order=order, measure_every=3)
    found = [set(step(number).terms) for number in range(7)]
    assert found == [MEASURED if number % 3 == 0 else set() for number in range(7)]


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"second_order": "none"}, {"direct_norm", "direct_noise"}),
        # Its own held-out text does not validate: there is no direct term.
        ({"meta_languages": "others"}, {"direct_norm", "second_order_norm", "epsilon", "difference_error"}),
    ],
)
def test_terms_that_do_not_exist_are_left_out(make_parts: Make, meta: dict[str, Any], expected: set[str]) -> None:
    terms = make_parts().meta_step(**meta)(0).terms
    assert set(terms) == expected
    assert (terms["direct_norm"] == 0) == ("meta_languages" in meta)


def test_terms_are_means_over_the_microbatches(make_parts: Make) -> None:
    parts = make_parts(accumulation=2)
    terms = parts.meta_step()(0).terms
    one = make_parts()
    norms = []
    for number in range(2):
        language = one.language(number)
        (batch,) = one.batches.train(number)
        own = next(each for each in one.held_out().validating(0, language) if each.batch.language == language)
        virtual = virtual_theta(one, batch, one.updater.rate(0))
        phi = {n: p.detach().requires_grad_() for n, p in one.treated.specific[language].items()}
        gradients = torch.autograd.grad(own.weight * one.loss(own.batch, virtual, phi), list(phi.values()))
        norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))
    assert norms[0] != norms[1]
    assert terms["direct_norm"] == pytest.approx(sum(norms) / 2)


def virtual_theta(parts: Any, batch: Any, beta: float) -> dict[str, torch.Tensor]:
    theta = parts.treated.shared
    g = torch.autograd.grad(parts.loss(batch, theta, parts.treated.specific[batch.language]), list(theta.values()))
    return {name: (p - beta * gradient).detach() for (name, p), gradient in zip(theta.items(), g, strict=True)}


class Weighed:
    """Held-out batches whose losses are multiplied by a factor."""

    def __init__(self, held_out: Any, factor: float) -> None:
        self.of, self._validating, self._factor = held_out.of, held_out.validating, factor

    def validating(self, step: int, language: str) -> list[HeldOut]:
        return [HeldOut(batch, self._factor * weight) for batch, weight in self._validating(step, language)]


@orders
@pytest.mark.parametrize("second_order", ["central", "one-sided", "none"])
@pytest.mark.parametrize("factor", [0.0, float("nan"), float("inf")])
def test_without_a_usable_held_out_gradient_phi_is_left_and_theta_goes_on(
    make_parts: Make, moved: Make, order: str, second_order: str, factor: float
) -> None:
    parts, plain = make_parts(accumulation=3), make_parts(accumulation=3)
    step = parts.meta_step(order=order, second_order=second_order)
    step.held_out = Weighed(step.held_out, factor)
    before = parts.parameters()
    updates, plain_updates = parts.record_updates(), plain_theta_gradient(plain)
    assert step(0).terms == {"skipped": 3}
    (of_theta,) = updates
    assert of_theta.owner == "shared"
    assert moved(before, parts.parameters()) == {"shared"}
    assert all(name.startswith("shared/") for name in parts.moments()), "nor do phi's moments begin"
    for name, gradient in plain_updates.items():
        torch.testing.assert_close(of_theta.gradients[name], gradient)


def plain_theta_gradient(parts: Any) -> dict[str, torch.Tensor]:
    """Phi has not moved: in either order, theta follows the training gradient where it stands."""
    theta, phi = parts.treated.shared, parts.treated.specific
    losses = [parts.loss(batch, theta, phi[batch.language]) for batch in parts.batches.train(0)]
    gradients = torch.autograd.grad(sum(losses) / len(losses), list(theta.values()))
    return {f"shared/{name}": gradient for name, gradient in zip(theta, gradients, strict=True)}


def test_only_the_language_without_a_gradient_is_skipped(make_parts: Make) -> None:
    parts = make_parts(accumulation=4)
    step = parts.meta_step()
    zero, held_out = Weighed(step.held_out, 0.0), step.held_out
    step.held_out = type(
        "Some",
        (),
        {"of": held_out.of, "validating": lambda _, n, i: (zero if i == "li" else held_out).validating(n, i)},
    )()
    updates = parts.record_updates()
    terms = step(0).terms
    assert terms["skipped"] == 1
    assert set(terms) == MEASURED | {"skipped"}
    assert {update.owner for update in updates} == {"te", "da", "ig", "shared"}


def test_too_many_skips_stop_the_run_earlier_sittings_counted() -> None:
    limit = SkipLimit(3, already=1)
    limit(5, report(skipped=1))
    limit(6, report())
    limit(7, report(skipped=1))
    with pytest.raises(TrainingError) as caught:
        limit(8, report(skipped=2))
    assert str(caught.value) == (
        "step 8: the held-out gradient was zero or not finite 5 times, and phi was not updated; `meta.skip_limit` allows 3. The "
        "last checkpoint is intact. Lower `meta.beta` or `training.learning_rate`, or look at the held-out text."
    )
    with pytest.raises(TrainingError, match=r"1 times.*allows 0"):
        SkipLimit(0, already=0)(1, report(skipped=1))


@pytest.mark.parametrize("second_order", ["central", "exact"])
def test_exact_warns_of_the_math_kernel(make_parts: Make, recwarn: pytest.WarningsRecorder, second_order: str) -> None:
    make_parts().meta_step(second_order=second_order)
    found = [str(warning.message) for warning in recwarn]
    assert len(found) == (second_order == "exact")
    assert all("use the math kernel, which is slower" in message for message in found)


def write_log(folder: Path, reports: list[StepReport]) -> None:
    log = MetricsLog(folder, start=0)
    for done, each in enumerate(reports, start=1):
        log(done, each)
        log.write(kind="validation", step=done, loss={"te": 2.0})
    log.close()


def test_the_record_has_medians_of_the_second_half_and_all_skips(tmp_path: Path) -> None:
    early = [report(direct_norm=100.0, ratio=9.0), report(skipped=2), report(direct_norm=100.0)]
    late = [
        report(direct_norm=1.0, ratio=0.5, second_order_norm=0.25, direct_noise=0.25),
        report(),
        report(direct_norm=3.0, ratio=0.75, second_order_norm=0.125, skipped=1),
        report(direct_norm=8.0, direct_noise=0.75),
    ]
    write_log(tmp_path, [*early, *late])
    # Of seven steps, 4 to 7 are past the middle.
    assert meta_terms(tmp_path, 7) == MetaTerms(
        measured=3,
        skipped=3,
        direct_norm=3.0,
        ratio=0.625,
        second_order_norm=0.1875,
        direct_noise=0.5,
    )
    assert skipped_steps(line for line in read_metrics(tmp_path) if line["step"] <= 2) == 2


def test_a_run_measured_in_its_first_half_only_has_those_medians(tmp_path: Path) -> None:
    write_log(tmp_path, [report(direct_norm=2.0), report(), report()])
    assert meta_terms(tmp_path, 3) == MetaTerms(measured=1, direct_norm=2.0)


def test_a_run_without_measurements_has_none(tmp_path: Path) -> None:
    write_log(tmp_path, [report(), report(skipped=1)])
    assert meta_terms(tmp_path, 2) == MetaTerms(measured=0, skipped=1)


@pytest.mark.parametrize(
    ("second_order_norm", "direct_noise", "expected"),
    [(0.1, 0.2, True), (0.2, 0.1, False), (0.1, 0.1, False), (None, 0.1, False), (0.1, None, False)],
)
def test_a_second_order_term_below_the_noise_of_sampling(
    second_order_norm: float | None, direct_noise: float | None, expected: bool
) -> None:
    terms = MetaTerms(measured=1, second_order_norm=second_order_norm, direct_noise=direct_noise)
    assert terms.is_below_noise is expected
