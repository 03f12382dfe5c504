"""Losses and gradients that are not finite: nothing moves, somebody is told where to look, and a limit holds."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from detente.errors import TrainingError
from detente.pretrain import meta
from detente.pretrain.meta_gradient import MetaGradient
from detente.pretrain.not_finite import is_left_out, left_out_updates
from detente.pretrain.observers import LeftOutLimit
from detente.pretrain.step import StepReport
from detente.settings import TrainingSettings

Make = Callable[..., Any]

ALLOWED = TrainingSettings(steps=20, warmup_steps=0, learning_rate=1e-2, skip_nonfinite=1)
STEPS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda parts: parts.plain_step(),
    "theta-after-phi": lambda parts: parts.meta_step(),
    "fused": lambda parts: parts.meta_step(order="fused"),
}


@pytest.mark.parametrize("kind", STEPS)
def test_where_it_is_allowed_the_update_is_left_out_and_training_goes_on(make_parts: Make, kind: str) -> None:
    parts = make_parts(training=ALLOWED)
    step, bias = STEPS[kind](parts), parts.treated.shared["output_bias"]
    step(0)
    with torch.no_grad():
        whole, bias[7] = bias[7].item(), torch.inf
    before, moments, language = parts.parameters(), parts.moments(), parts.language(1)
    with pytest.warns(UserWarning, match=rf"step 1: the loss of {language} is not finite .*; its update was left out"):
        report = step(1)
    assert report.terms["left_out"] == 1
    assert not math.isfinite(report.loss[language])
    assert all(torch.equal(parameter, before[name]) for name, parameter in parts.parameters().items())
    after = parts.moments()
    assert all(torch.equal(after[name][key], moment) for name in moments for key, moment in moments[name].items())
    with torch.no_grad():
        bias[7] = whole
    assert "left_out" not in step(2).terms
    assert not torch.equal(bias, before["shared/output_bias"])


def test_the_message_names_what_is_largest(make_parts: Make) -> None:
    parts = make_parts()
    with torch.no_grad():
        parts.treated.shared["output_bias"][3] = 400.0
        parts.treated.shared["token_embedding.weight"][2, 2] = -torch.inf
        parts.treated.shared["final_norm.weight"][0] = -50.0
    parameters = list(parts.treated.shared.values())
    gradients = {parameter: torch.zeros_like(parameter) for parameter in parameters}
    for size, name in ((3.0, "output_bias"), (math.nan, "final_norm.weight"), (-7.0, "token_embedding.weight")):
        gradients[parts.treated.shared[name]].view(-1)[5] = size
    with pytest.raises(TrainingError) as caught:
        is_left_out(4, {"te": 2.0}, math.nan, parts.treated, gradients, languages=["te", "da", "te"], allowed=0)
    assert str(caught.value) == (
        "step 4: the gradient is not finite (nan). The last checkpoint is intact. Lower `training.learning_rate`, or raise "
        "`training.warmup_steps`. Languages of the step: te, da. Largest gradients: shared/final_norm.weight (not finite), "
        "shared/token_embedding.weight (7), shared/output_bias (3). Largest values: shared/token_embedding.weight (not finite), "
        "shared/output_bias (4e+02), shared/final_norm.weight (50)."
    )


def test_a_finite_gradient_of_a_loss_that_is_not_finite_is_not_applied(make_parts: Make) -> None:
    """As of a target's logit of minus infinity."""
    parts = make_parts()
    bias = parts.treated.shared["output_bias"]
    before, gradient = bias.detach().clone(), torch.full_like(bias, 10.0)
    norm = parts.updater.apply(0, [bias], [gradient], [torch.tensor(1.0), torch.tensor(torch.inf)])
    assert norm.item() == pytest.approx(10.0 * math.sqrt(bias.numel()))
    assert torch.equal(bias, before)
    assert torch.equal(gradient, torch.full_like(bias, 10.0)), "not clipped: it is to be looked at"


@pytest.mark.parametrize("order", ["theta-after-phi", "fused"])
def test_a_meta_gradient_that_is_not_finite_moves_no_phi(
    make_parts: Make, moved: Make, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = make_parts(training=ALLOWED)
    before, language = parts.parameters(), parts.language(0)

    def broken(treated: Any, inner: Any, *_: object, **__: object) -> MetaGradient:
        return MetaGradient(
            {name: torch.full_like(p, torch.nan) for name, p in treated.specific[language].items()}, None, {}
        )

    monkeypatch.setattr(meta, "meta_gradient", broken)
    with pytest.warns(UserWarning, match=rf"the gradient is not finite .*Languages of the step: {language}\."):
        report = parts.meta_step(order=order)(0)
    assert report.terms == {"left_out": 1}
    assert moved(before, parts.parameters()) == {"shared"}


def test_the_limit_counts_earlier_sittings() -> None:
    def report(**terms: float) -> StepReport:
        return StepReport({"te": 2.5}, tokens=10, gradient_norm=1.0, learning_rate=0.1, terms=terms)

    already = left_out_updates([{"loss": {}}, {"left_out": 1}, {"left_out": 1}])
    limit = LeftOutLimit(3, already)
    limit(8, report())
    limit(9, report(left_out=1))
    with pytest.raises(TrainingError, match=r"^step 9: .* 4 times in this run; `training.skip_nonfinite` allows 3\."):
        limit(10, report(left_out=1))
