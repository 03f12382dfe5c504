"""The projection keeps inner products: without bias, as exactly as it says, and linearly."""

import numpy as np
import pytest
import torch
from torch import Tensor

from detente.diagnose import projection
from detente.diagnose.projection import Projection

SIZES, GROUPS = (300, 40, 200), (0, 1, 0)
SEEDS = 400


def tensors(seed: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    found = [torch.randn(size, generator=random, dtype=torch.float64) for size in SIZES]
    # Heavy coordinates in both, as the rows of frequent words are in an embedding's gradient.
    found[0][:5] *= 10
    return found


def projected_products(first: list[Tensor], second: list[Tensor], width: int) -> np.ndarray:
    """Of group 0, over many seeds."""
    found = []
    for seed in range(SEEDS):
        project = Projection(SIZES, GROUPS, width, seed)
        one, two = (project.split(project(each))[0] for each in (first, second))
        found.append(float(one @ two))
    return np.array(found)


@pytest.mark.parametrize("other", [1, 0])
def test_inner_products_are_kept_without_bias_and_with_the_variance_of_the_lemma(other: int) -> None:
    """Weinberger et al. 2009, lemma 2: 1/width (|a|^2 |b|^2 + <a, b>^2 - 2 sum of a_j^2 b_j^2). SEEDS projections."""
    first, second, width = tensors(0), tensors(other), 32
    a, b = (torch.cat([each[0], each[2]]).numpy() for each in (first, second))
    found = projected_products(first, second, width)
    variance = (a @ a * (b @ b) + (a @ b) ** 2 - 2 * np.sum(a**2 * b**2)) / width
    assert abs(found.mean() - a @ b) < 4 * np.sqrt(variance / SEEDS)
    assert found.std() == pytest.approx(np.sqrt(variance), rel=0.25)


def test_a_group_that_fits_is_kept_as_it_is() -> None:
    first, second = tensors(0), tensors(1)
    project = Projection(SIZES, GROUPS, 64, seed=3)
    assert project.widths == (64, 40)
    one, two = (project.split(project(each))[1] for each in (first, second))
    assert float(one @ two) == pytest.approx(float(first[1] @ second[1]), rel=1e-12)


def test_it_is_linear_and_the_same_for_every_gradient() -> None:
    first, second = tensors(0), tensors(1)
    project = Projection(SIZES, GROUPS, 64, seed=3)
    of_sum = project([2 * x + y for x, y in zip(first, second, strict=True)])
    assert torch.allclose(of_sum, 2 * project(first) + project(second), rtol=0, atol=1e-12)
    assert not torch.equal(of_sum, Projection(SIZES, GROUPS, 64, seed=4)([2 * x for x in first]))


def test_chunks_leave_no_coordinate_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many buckets as make collisions unlikely, every coordinate is found again but for its sign and place."""
    monkeypatch.setattr(projection, "CHUNK", 7)
    project = Projection((500,), (0,), 499, seed=0)
    (found,) = project.split(project([torch.ones(500, dtype=torch.float64)]))
    assert len(found) == 499
    # Signs cancel in pairs: the parity of a sum of 500 ones is that of 500.
    assert float(found.sum()) % 2 == 0
    assert float(found.abs().sum()) > 300
    small = Projection((500,), (0,), 500, seed=0)
    ramp = torch.arange(500, dtype=torch.float64)
    assert torch.equal(small([ramp]), ramp)
