"""Gradient conflict on a model that is none of ours."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from detente.diagnose.gradients import gradient_conflict
from detente.diagnosis_results.gradients import Region

ROWS, LENGTH, VOCABULARY = 2, 6, 40
# The two languages have tokens of their own, below and above the middle of the vocabulary.
SPANS = {"en": (0, 20), "te": (20, 40)}


@pytest.fixture
def bert(make_bert: Callable[..., Any]) -> Any:
    return make_bert(VOCABULARY, LENGTH, attn_implementation="eager")


def draw(language: str, count: int) -> list[dict[str, Tensor]]:
    random = torch.Generator().manual_seed(SPANS[language][0])
    tokens = torch.randint(*SPANS[language], (count, ROWS, LENGTH), generator=random)
    return [{"input_ids": each, "labels": each} for each in tokens]


def test_a_hugging_face_model_is_measured_as_it_would_be_by_hand(bert: Any) -> None:
    def loss(parameters: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        return functional_call(bert, dict(parameters), kwargs=dict(batch)).loss

    batches = {language: draw(language, 8) for language in SPANS}
    found = gradient_conflict(loss, dict(bert.named_parameters()), batches, resamples=1000)
    assert all(p.grad is None for p in bert.parameters())

    gradients = {language: by_hand(bert, each) for language, each in batches.items()}
    for region in (Region(), Region(layer=1), Region(kind="attention"), Region(kind="embedding")):
        one, two = (torch.cat([g for name, g in each.items() if holds(name, region)]) for each in gradients.values())
        expected = torch.nn.functional.cosine_similarity(one.double(), two.double(), dim=0)
        assert found.pair("en", "te", region).raw == pytest.approx(float(expected), abs=1e-5)
    assert {(group.layer, group.kind) for group in found.groups} >= {
        (None, "embedding"),
        *((layer, kind) for layer in (0, 1) for kind in ("attention", "ffn")),
    }
    assert sum(group.num_parameters for group in found.groups) == sum(p.numel() for p in bert.parameters())


def by_hand(bert: Any, batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The gradient of the mean loss, by the module's own call."""
    bert.zero_grad()
    for batch in batches:
        (bert(**batch).loss / len(batches)).backward()
    found = {name: p.grad.flatten() for name, p in bert.named_parameters()}
    bert.zero_grad()
    return found


def holds(name: str, region: Region) -> bool:
    """By Hugging Face's names."""
    kind = "attention" if ".attention." in name else "embedding" if "embeddings" in name else ""
    return (region.layer is None or f"layer.{region.layer}." in name) and region.kind in (None, kind)
