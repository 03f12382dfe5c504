"""Passes through torch.compile, with a back end that traces as all do and calls no C++ compiler."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jaxtyping
import pytest
import torch
from pydantic import ValidationError

from detente.pretrain import objective
from detente.pretrain.objective import masked_lm_loss
from detente.settings import MetaSettings, RunSettings, TrainingSettings

Make = Callable[..., Any]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Checks of shapes cannot be traced.
    jaxtyping.config.update("jaxtyping_disable", True)
    monkeypatch.setattr(objective.torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    objective._compiled.cache_clear()
    torch._dynamo.reset()
    yield
    objective._compiled.cache_clear()
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("traced")
def test_one_graph_serves_all_languages_with_the_same_loss_and_gradient(make_parts: Make) -> None:
    parts = make_parts()
    compiled = replace(parts.treated, compiled=True)
    torch._dynamo.utils.counters.clear()
    for number in range(6):
        (batch,) = parts.batches.train(number)
        wanted = [*compiled.shared.values(), *compiled.specific[batch.language].values()]
        found, expected = (masked_lm_loss(treated, batch) for treated in (compiled, parts.treated))
        torch.testing.assert_close(found, expected)
        pairs = zip(torch.autograd.grad(found, wanted), torch.autograd.grad(expected, wanted), strict=True)
        for gradient, reference in pairs:
            torch.testing.assert_close(gradient, reference)
    assert {parts.language(number) for number in range(6)} > {"te", "da"}
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_exact_second_derivatives_and_compiled_passes_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="second derivatives, which compiled passes do not have"):
        RunSettings(
            mixture=("te", "da"),
            treatment="meta-adapter",
            meta=MetaSettings(second_order="exact"),
            training=TrainingSettings(compile=True),
        )
