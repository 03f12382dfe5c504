"""Masks of a Hugging Face model and of our own encoder: the same functions, nothing but names in between."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from detente.diagnose.mask_effects import try_masks
from detente.diagnose.masks import learn_masks
from detente.diagnose.places import Loss
from detente.encoder import Encoder
from detente.settings import EncoderSettings

VOCABULARY, TOKENS = 20, 6


def make_encoder() -> tuple[nn.Module, Loss]:
    settings = EncoderSettings(variant="xlm", layers=2, width=16, heads=2, feed_forward_width=24, dropout=0.0)
    encoder = Encoder(settings, VOCABULARY, block_length=TOKENS)

    def loss(parameters: dict[str, Tensor], batch: Tensor) -> Tensor:
        logits = functional_call(encoder, parameters, (batch,))
        return F.cross_entropy(logits.flatten(0, 1), batch.flatten())

    return encoder, loss


def with_loss(bert: nn.Module) -> tuple[nn.Module, Loss]:
    def loss(parameters: dict[str, Tensor], batch: Tensor) -> Tensor:
        return functional_call(bert, parameters, kwargs={"input_ids": batch, "labels": batch}).loss

    return bert, loss


def stream(first: int) -> Callable[[int], Tensor]:
    """Text of ten tokens from `first` on."""

    def batch(number: int) -> Tensor:
        return first + torch.randint(10, (4, TOKENS), generator=torch.Generator().manual_seed(number))

    return batch


@pytest.mark.parametrize("kind", ["encoder", "bert"])
def test_masks_of_a_model(kind: str, make_bert: Callable[..., nn.Module]) -> None:
    model, loss = make_encoder() if kind == "encoder" else with_loss(make_bert(VOCABULARY, TOKENS))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    streams = {"a": stream(0), "b": stream(10)}
    masks = learn_masks(loss, dict(model.named_parameters()), streams, steps=12, target_open=0.9)
    held_out = {language: [batch(900)] for language, batch in streams.items()}
    found = try_masks(loss, dict(model.named_parameters()), masks, held_out, draws=1)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None
    with torch.no_grad():
        expected = {language: loss(before, batch(900)).item() for language, batch in streams.items()}
    assert found.full_loss == pytest.approx(expected, rel=1e-6)
    assert {(place.layer, place.kind) for place in found.similarity("a", "b")} == {
        (layer, kind) for layer in (0, 1) for kind in ("attention", "ffn")
    }
    assert len(found.pi("a")) == 2 * (5 * 16 + 24)
    # Every gate has moved, by no more than Adam's steps.
    moved = np.abs(found.pi("a") - 2.2)
    assert moved.min() > 0
    assert moved.max() < 12 * 0.15
