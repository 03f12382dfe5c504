"""Which parameters share a gate: what closing one does to the network, against zeroing what reads it."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from detente.diagnose.mask_groups import Grouping, grouping_of
from detente.encoder import Encoder
from detente.errors import ConfigError
from detente.settings import EncoderSettings

TOKENS = torch.arange(12).view(2, 6)
WIDTH, HEADS, INNER = 16, 4, 24
Parameters = Mapping[str, Tensor]


def make_encoder(variant: str) -> Encoder:
    settings = EncoderSettings(variant=variant, layers=2, width=WIDTH, heads=HEADS, feed_forward_width=INNER)
    encoder = Encoder(settings, 20, block_length=8).eval()
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=random), alpha=0.3)
    return encoder


def close(grouping: Grouping, parameters: Parameters, part: str, number: int) -> dict[str, Tensor]:
    """The parameters with one gate closed."""
    gates = torch.ones(grouping.num_groups)
    names = [each.name for each in grouping.parts]
    gates[sum(each.num_groups for each in grouping.parts[: names.index(part)]) + number] = 0
    return {**parameters, **grouping.masked(parameters, gates)}


def without_columns(parameters: Parameters, name: str, columns: slice) -> dict[str, Tensor]:
    """The parameters with what reads these columns' inputs set to zero."""
    changed = parameters[name].detach().clone()
    changed[:, columns] = 0
    return {**parameters, name: changed}


def logits(module: torch.nn.Module, parameters: Parameters) -> Tensor:
    with torch.no_grad():
        out = functional_call(module, dict(parameters), (TOKENS,))
    return out if isinstance(out, Tensor) else out.logits


def assert_same_but_not_untouched(module: torch.nn.Module, found: Parameters, expected: Parameters) -> None:
    torch.testing.assert_close(logits(module, found), logits(module, expected), rtol=1e-5, atol=1e-5)
    whole = logits(module, dict(module.named_parameters()))
    assert (logits(module, found) - whole).abs().max() > 1e-4


@pytest.mark.parametrize("variant", ["xlm", "modern"])
def test_a_closed_head_is_a_head_that_nobody_reads(variant: str) -> None:
    encoder = make_encoder(variant)
    parameters = dict(encoder.named_parameters())
    grouping = grouping_of(parameters, "heads", heads=HEADS)
    assert [(part.name, part.layer, part.kind, part.num_groups) for part in grouping.parts] == [
        (f"blocks.{layer}.attention", layer, "attention", HEADS) for layer in (0, 1)
    ]
    found = close(grouping, parameters, "blocks.1.attention", 2)
    expected = without_columns(parameters, "blocks.1.attention.output.weight", slice(8, 12))
    assert_same_but_not_untouched(encoder, found, expected)


@pytest.mark.parametrize("variant", ["xlm", "modern"])
def test_a_closed_neuron_is_a_neuron_that_nobody_reads(variant: str) -> None:
    encoder = make_encoder(variant)
    parameters = dict(encoder.named_parameters())
    grouping = grouping_of(parameters, "neurons")
    assert [(part.name, part.kind, part.num_groups) for part in grouping.parts] == [
        (f"blocks.{layer}.feed_forward", "ffn", INNER) for layer in (0, 1)
    ]
    found = close(grouping, parameters, "blocks.0.feed_forward", 5)
    expected = without_columns(parameters, "blocks.0.feed_forward.output.weight", slice(5, 6))
    assert_same_but_not_untouched(encoder, found, expected)


def test_heads_and_neurons_of_bert(make_bert: Callable[..., torch.nn.Module]) -> None:
    bert = make_bert(20, 8, width=WIDTH, heads=HEADS, inner=INNER)
    parameters = dict(bert.named_parameters())
    heads, neurons = grouping_of(parameters, "heads", heads=HEADS), grouping_of(parameters, "neurons")
    layer = "bert.encoder.layer.1"
    found = close(heads, parameters, f"{layer}.attention.self", 3)
    expected = without_columns(parameters, f"{layer}.attention.output.dense.weight", slice(12, 16))
    torch.testing.assert_close(logits(bert, found), logits(bert, expected), rtol=1e-5, atol=1e-6)
    found = close(neurons, parameters, layer, 7)
    expected = without_columns(parameters, f"{layer}.output.dense.weight", slice(7, 8))
    torch.testing.assert_close(logits(bert, found), logits(bert, expected), rtol=1e-5, atol=1e-6)


def test_a_closed_row_is_an_output_of_zero_bias_and_all() -> None:
    parameters = {"ffn.inner.weight": torch.ones(3, 2), "ffn.inner.bias": torch.ones(3)}
    found = close(grouping_of(parameters, "rows"), parameters, "ffn.inner.weight", 1)
    assert found["ffn.inner.weight"].tolist() == [[1, 1], [0, 0], [1, 1]]
    assert found["ffn.inner.bias"].tolist() == [1, 0, 1]


def test_whole_matrices_and_single_weights() -> None:
    parameters = {
        "0.mlp.a.weight": torch.ones(2, 3),
        "0.mlp.a.bias": torch.ones(2),
        "0.attn.b.weight": torch.ones(2, 2),
    }
    whole = grouping_of(parameters, "matrices")
    assert [part.num_groups for part in whole.parts] == [1, 1]
    found = close(whole, parameters, "0.mlp.a.weight", 0)
    assert [found[name].sum().item() for name in parameters] == [0, 0, 4]
    single = grouping_of(parameters, "weights")
    assert [(part.kind, part.num_groups) for part in single.parts] == [("ffn", 6), ("attention", 4)]
    found = close(single, parameters, "0.attn.b.weight", 2)
    assert found["0.attn.b.weight"].tolist() == [[1, 1], [0, 1]]
    assert found["0.mlp.a.bias"].tolist() == [1, 1]


@pytest.mark.parametrize(("make", "per_layer"), [("xlm", 5 * WIDTH + INNER), ("modern", 5 * WIDTH + 2 * INNER)])
def test_rows_of_our_encoders(make: str, per_layer: int) -> None:
    encoder = make_encoder(make)
    grouping = grouping_of(dict(encoder.named_parameters()))
    assert grouping.num_groups == 2 * per_layer
    assert {part.kind for part in grouping.parts} == {"attention", "ffn"}
    assert not any("embedding" in name or "norm" in name for name in grouping.gate_of)


def test_rows_of_bert(make_bert: Callable[..., torch.nn.Module]) -> None:
    bert = make_bert(20, 8, width=WIDTH, heads=HEADS, inner=INNER)
    grouping = grouping_of(dict(bert.named_parameters()))
    assert grouping.num_groups == 2 * (5 * WIDTH + INNER)
    assert len(grouping.parts) == 12
    assert len(grouping.gate_of) == 24


def test_all_gates_open_change_no_bit() -> None:
    parameters = dict(make_encoder("xlm").named_parameters())
    for groups in ("rows", "heads", "neurons", "matrices", "weights"):
        grouping = grouping_of(parameters, groups, heads=HEADS)
        for name, masked in grouping.masked(parameters, torch.ones(grouping.num_groups)).items():
            assert torch.equal(masked, parameters[name])


def test_masked_parameters_keep_their_precision() -> None:
    parameters = {"attn.a.weight": torch.ones(2, 2, dtype=torch.bfloat16)}
    masked = grouping_of(parameters).masked(parameters, torch.tensor([0.5, 1.0]))
    assert masked["attn.a.weight"].dtype == torch.bfloat16


MLP = {"0.mlp.fc1.weight": torch.ones(4, 2)}
UNEQUAL = {"0.attn.q_proj.weight": torch.ones(4, 2), "0.attn.k_proj.weight": torch.ones(2, 2)}


@pytest.mark.parametrize(
    ("parameters", "groups", "heads", "message"),
    [
        (MLP, "row", None, "groups is one of rows, heads, neurons, matrices, weights; found row. Did you mean `rows`?"),
        ({"linear.weight": torch.ones(2, 2)}, "rows", None, "nothing to mask. The matrices here are: linear.weight."),
        ({"norm.weight": torch.ones(2)}, "weights", None, "The matrices here are: none."),
        (MLP, "heads", 2, "no matrix is known as query, key and value by its name. The matrices here are: 0.mlp.fc1"),
        (MLP, "heads", None, "heads is not given"),
        (
            {"0.attn.query.weight": torch.ones(6, 2)},
            "heads",
            4,
            "heads must divide the 6 rows of 0.attn.query.weight, found 4",
        ),
        ({"0.attn.query.weight": torch.ones(6, 2)}, "heads", 0, "heads must divide the 6 rows"),
        (UNEQUAL, "heads", 2, "0.attn.q_proj.weight 4, 0.attn.k_proj.weight 2. Mask rows instead."),
        (
            {"h.0.mlp.c_fc.weight": torch.ones(2, 8), "h.0.mlp.c_fc.bias": torch.ones(8)},
            "rows",
            None,
            "give transposed",
        ),
    ],
)
def test_what_cannot_be_grouped(parameters: Parameters, groups: str, heads: int | None, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        grouping_of(parameters, groups, heads=heads)
    assert message in str(raised.value)
