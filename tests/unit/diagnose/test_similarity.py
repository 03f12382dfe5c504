"""CKA against its definition by Gram matrices, its invariances and its bias; retrieval; the whole comparison."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from detente.diagnose.similarity import (
    _derangement,
    debiased_cka,
    linear_cka,
    mean_pool,
    representation_similarity,
    retrieval_accuracy,
)
from detente.diagnosis_results.similarity import RepresentationSimilarity
from detente.encoder import Encoder
from detente.errors import ConfigError, DataError
from detente.settings import EncoderSettings

Numbers = NDArray[np.float64]


def random_rows(seed: int, sentences: int, width: int) -> Tensor:
    return torch.randn(sentences, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def related(seed: int, sentences: int = 40, widths: tuple[int, int] = (12, 7)) -> tuple[Tensor, Tensor]:
    """Both see the same meaning, and noise of their own; neither is centred."""
    meaning = random_rows(seed, sentences, 5)
    x, y = (meaning @ random_rows(seed + 1 + side, 5, width) for side, width in enumerate(widths))
    noises = [random_rows(seed + 3 + side, sentences, width) for side, width in enumerate(widths)]
    return x + noises[0] + 3.0, y + noises[1] - 1.0


def reference_cka(x: Tensor, y: Tensor) -> float:
    """tr(KHLH) / sqrt(tr(KHKH) tr(LHLH)): Kornblith et al. 2019, equations 3 and 4."""
    n = len(x)
    centring = np.eye(n) - np.ones((n, n)) / n

    def hsic(k: Numbers, other: Numbers) -> float:
        return float(np.trace(k @ centring @ other @ centring)) / (n - 1) ** 2

    k, other = (rows.numpy() @ rows.numpy().T for rows in (x, y))
    return hsic(k, other) / math.sqrt(hsic(k, k) * hsic(other, other))


def reference_debiased_cka(x: Tensor, y: Tensor) -> float:
    """With HSIC_1 of Song et al. 2012 as it is printed: uncentred Gram matrices, zero on the diagonal."""
    n, ones = len(x), np.ones(len(x))

    def hsic(k: Numbers, other: Numbers) -> float:
        trace = np.trace(k @ other)
        sums = (ones @ k @ ones) * (ones @ other @ ones) / ((n - 1) * (n - 2))
        return float(trace + sums - 2 / (n - 2) * (ones @ k @ other @ ones)) / (n * (n - 3))

    k, other = (rows.numpy() @ rows.numpy().T for rows in (x, y))
    for gram in (k, other):
        np.fill_diagonal(gram, 0)
    return hsic(k, other) / math.sqrt(hsic(k, k) * hsic(other, other))


@pytest.mark.parametrize("sentences", [4, 9, 40, 200])
@pytest.mark.parametrize("seed", [0, 10])
def test_both_estimates_equal_their_definitions(sentences: int, seed: int) -> None:
    x, y = related(seed, sentences)
    assert linear_cka(x, y).item() == pytest.approx(reference_cka(x, y), rel=1e-10)
    assert debiased_cka(x, y).item() == pytest.approx(reference_debiased_cka(x, y), rel=1e-8)


@pytest.mark.parametrize("cka", [linear_cka, debiased_cka])
def test_invariances(cka: type(linear_cka)) -> None:  # type: ignore[valid-type]
    x, y = related(0)
    value = cka(x, y)
    orthogonal = torch.linalg.qr(random_rows(7, 12, 12)).Q
    torch.testing.assert_close(cka(x @ orthogonal, y), value)
    torch.testing.assert_close(cka(-3.7 * x, 0.02 * y), value)
    torch.testing.assert_close(cka(x + random_rows(8, 1, 12), y), value)
    torch.testing.assert_close(cka(y, x), value)
    torch.testing.assert_close(cka(x, 5 * x @ orthogonal + 1), torch.ones((), dtype=torch.float64))


def test_not_invariant_to_other_linear_maps() -> None:
    x, y = related(0)
    stretched = x @ torch.diag(torch.logspace(-1, 1, 12, dtype=torch.float64))
    assert abs(linear_cka(stretched, y) - linear_cka(x, y)) > 0.05


def test_few_sentences_look_alike_and_the_debiased_do_not() -> None:
    """50 sentences of 200 random numbers, 20 draws: D / (N + D) = 0.8 +- 0.01, and 0 +- 0.01."""
    pairs = [(random_rows(seed, 50, 200), random_rows(seed + 500, 50, 200)) for seed in range(20)]
    assert np.mean([linear_cka(*pair) for pair in pairs]) == pytest.approx(0.8, abs=0.01)
    assert np.mean([debiased_cka(*pair) for pair in pairs]) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("cka", [linear_cka, debiased_cka])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_representations_that_never_change_have_none(cka: type(linear_cka), dtype: torch.dtype) -> None:  # type: ignore[valid-type]
    x = random_rows(0, 30, 8).to(dtype)
    same = (random_rows(1, 1, 8) / 3).to(dtype).expand(30, 8)
    assert cka(x, same).isnan()
    assert cka(same, same).isnan()


def test_one_sentence_that_differs_is_rounding_to_the_debiased() -> None:
    lone = torch.zeros(6, 3, dtype=torch.float64)
    lone[0, 0] = 1.0
    assert linear_cka(lone, lone.roll(1, dims=0)).isfinite()
    assert debiased_cka(lone, lone.roll(1, dims=0)).isnan()


def test_mean_pool_averages_real_tokens_only() -> None:
    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [math.nan, 9.0]], [[5.0, 5.0], [7.0, 7.0], [9.0, 0.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    expected = torch.tensor([[2.0, 4.0], [7.0, 4.0]])
    torch.testing.assert_close(mean_pool(states, mask), expected)
    torch.testing.assert_close(mean_pool(states, mask.bool()), expected)
    with pytest.raises(DataError, match="sentence 2 of the batch has no tokens"):
        mean_pool(states, torch.tensor([[1, 1, 0], [0, 0, 0]]))


def test_retrieval() -> None:
    x = random_rows(0, 200, 16)
    assert retrieval_accuracy(x, 3 * x) == 1.0
    wrong = x.clone()
    wrong[:50] = x[:50].roll(1, dims=0)
    assert retrieval_accuracy(x, wrong) == 0.75
    chance = np.mean(
        [retrieval_accuracy(random_rows(seed, 20, 16), random_rows(seed + 99, 20, 16)) for seed in range(50)]
    )
    assert chance == pytest.approx(1 / 20, abs=0.02)


def test_shuffled_sentences_never_stand_beside_their_translations() -> None:
    for seed in range(30):
        order = _derangement(4 + seed % 3, seed)
        assert sorted(order.tolist()) == list(range(len(order)))
        assert not bool((order == torch.arange(len(order))).any())
    assert not torch.equal(_derangement(50, 0), _derangement(50, 1))


def as_batches(layers: Sequence[Tensor], sizes: Sequence[int]) -> list[list[Tensor]]:
    """Every layer's rows cut alike; the batch holds what a network would give for it."""
    return [list(parts) for parts in zip(*(layer.split(list(sizes)) for layer in layers), strict=True)]


def compare(found: Mapping[str, Sequence[Tensor]], sizes: Sequence[int] | None = None) -> RepresentationSimilarity:
    batches = {
        language: as_batches(layers, sizes or [len(layers[0])]) if layers else [] for language, layers in found.items()
    }
    return representation_similarity(lambda _, batch: batch, batches)


def test_every_pair_and_layer() -> None:
    first, rotated = random_rows(0, 120, 10), torch.linalg.qr(random_rows(1, 10, 10)).Q
    layers = {
        "en": [first, first],
        "sw": [first @ rotated, random_rows(2, 120, 10)],
        "te": [random_rows(3, 120, 10), first],
    }
    found = compare(layers, sizes=[50, 50, 20])
    assert [(pair.first, pair.second, pair.sentences) for pair in found.pairs] == [
        (a, b, 120) for a, b in combinations(layers, 2)
    ]
    for pair in found.pairs:
        for number, layer in enumerate(pair.layers):
            x, y = (layers[language][number] for language in (pair.first, pair.second))
            assert layer.cka == pytest.approx(linear_cka(x, y).item(), abs=1e-6)
            assert layer.debiased_cka == pytest.approx(debiased_cka(x, y).item(), abs=1e-6)
            assert (layer.found_second, layer.found_first) == (retrieval_accuracy(x, y), retrieval_accuracy(y, x))
            assert layer.shuffled_cka == pytest.approx(10 / 130, abs=0.05)
            assert layer.shuffled_debiased_cka == pytest.approx(0.0, abs=0.05)
    turned = found.pairs[0].layers[0]
    assert turned.cka == pytest.approx(1.0)
    assert turned.found_second < 0.1, "the same arrangement with other axes is not found by its vectors"
    assert found.pairs[1].layers[1].found_first == 1.0


def test_the_two_directions_of_retrieval() -> None:
    """All of sw lies nearest to one sentence of en, so that from there nothing else is found."""
    sentences = random_rows(0, 20, 30)
    hub = sentences[:1] * 50 + 0.1 * sentences
    found = compare({"en": [sentences], "sw": [hub]}).pairs[0].layers[0]
    assert found.found_second > found.found_first
    assert found.found_first == 1 / 20


def test_batch_sizes_do_not_show() -> None:
    x, y = related(0, 40, (9, 9))
    assert compare({"a": [x], "b": [y]}, [40]) == compare({"a": [x], "b": [y]}, [1, 12, 27])


def test_a_collapsed_layer_is_a_gap_and_not_a_number(tmp_path: Path) -> None:
    x = random_rows(0, 30, 8)
    found = compare({"a": [x, x], "b": [torch.full((30, 8), 0.3), x]})
    collapsed, sound = found.pairs[0].layers
    assert (collapsed.cka, collapsed.debiased_cka, collapsed.shuffled_cka) == (None, None, None)
    assert collapsed.found_second <= 0.1
    assert sound.cka == pytest.approx(1.0)
    assert found.write(tmp_path).name == "similarity.json"
    assert RepresentationSimilarity.read(tmp_path) == found


def test_matrix_of_a_layer() -> None:
    x = random_rows(0, 30, 8)
    found = compare({"a": [x, x], "b": [x, random_rows(1, 30, 8)], "c": [x, x]})
    assert found.matrix(0, lambda layer: layer.found_first) == ((None, 1.0, 1.0), (1.0, None, 1.0), (1.0, 1.0, None))
    last = found.matrix(-1)
    assert last[0][2] == pytest.approx(1.0)
    assert last[0][1] == last[1][0] == found.pairs[0].layers[1].debiased_cka


@pytest.mark.parametrize(
    ("layers", "error", "text"),
    [
        ({"a": [random_rows(0, 9, 2)]}, ConfigError, "two languages or more, found 1"),
        (
            {"a": [random_rows(0, 9, 2)], "b": [random_rows(0, 8, 2)]},
            DataError,
            "same number of sentences to be compared, found 9 of a, 8 of b",
        ),
        (
            {"a": [random_rows(0, 9, 2)] * 2, "b": [random_rows(0, 9, 2)]},
            DataError,
            "same number of layers to be compared, found 2 of a, 1 of b",
        ),
        (
            {"a": [random_rows(0, 9, 2)], "b": [random_rows(0, 9, 3)]},
            DataError,
            "same number of units to be compared, found 2 of a, 3 of b",
        ),
        ({"a": [random_rows(0, 3, 2)], "b": [random_rows(0, 3, 2)]}, DataError, "4 sentences or more, found 3"),
        (
            {"a": [random_rows(0, 9, 2)], "b": [torch.full((9, 2), math.nan)]},
            DataError,
            "`b` in layer 0 are not finite",
        ),
        ({"a": [random_rows(0, 9, 2)], "b": []}, DataError, "no representations of `b`"),
    ],
)
def test_what_cannot_be_compared(layers: dict[str, list[Tensor]], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        compare(layers)


def test_states_of_an_encoder_do_not_depend_on_the_padding() -> None:
    settings = EncoderSettings(layers=2, width=16, heads=2, feed_forward_width=24, dropout=0.0)
    encoder = Encoder(settings, 40, block_length=12, seed=1).eval()
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, 40, (8, 9), generator=random)
    mask = torch.arange(9) < torch.randint(2, 10, (8, 1), generator=random)

    def states(language: str, batch: tuple[Tensor, Tensor]) -> list[Tensor]:
        return [mean_pool(layer, batch[1]) for layer in encoder.hidden_states(batch[0], mask=batch[1])]

    padded = torch.where(mask, tokens, 0), mask
    otherwise = torch.where(mask, tokens, 3), mask
    found = representation_similarity(states, {"en": [padded], "sw": [otherwise]}).pairs[0]
    assert len(found.layers) == 3, "the embeddings and two blocks"
    for layer in found.layers:
        assert layer.cka == pytest.approx(1.0)
        assert (layer.found_first, layer.found_second) == (1.0, 1.0)
