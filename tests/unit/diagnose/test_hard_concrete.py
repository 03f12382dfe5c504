"""Gates against the closed-form Hard Concrete distribution (Louizos, Welling and Kingma 2018, section 2.3)."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit, logit

from detente.diagnose.hard_concrete import expected_open, fixed_gates, sample

NUM = 200_000
LOW, HIGH, TEMPERATURE = -0.1, 1.1, 2 / 3
LOGITS = [-3.0, -0.5, 0.0, 1.0, 3.0]


def cdf(value: np.ndarray | float, pi: float) -> np.ndarray:
    """P(gate <= value) for 0 <= value < 1: the concrete variable's, at where the stretch takes `value` from."""
    return np.asarray(expit(TEMPERATURE * logit((np.asarray(value) - LOW) / (HIGH - LOW)) - pi))


def gates(pi: float) -> np.ndarray:
    uniform = torch.rand(NUM, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return sample(torch.full((NUM,), pi, dtype=torch.float64), uniform).numpy()


@pytest.mark.parametrize("pi", LOGITS)
def test_mass_at_both_ends(pi: float) -> None:
    """Within four standard errors."""
    drawn = gates(pi)
    for found, expected in ((np.mean(drawn == 0), cdf(0.0, pi)), (np.mean(drawn == 1), 1 - cdf(1.0, pi))):
        assert found == pytest.approx(float(expected), abs=4 * np.sqrt(expected * (1 - expected) / NUM))


@pytest.mark.parametrize("pi", LOGITS)
def test_between_the_ends(pi: float) -> None:
    """Kolmogorov and Smirnov's test of the samples between 0 and 1; a temperature of 0.6 is told from 2/3."""
    drawn = gates(pi)
    inner = drawn[(drawn > 0) & (drawn < 1)]

    def conditional(value: np.ndarray) -> np.ndarray:
        return (cdf(value, pi) - cdf(0.0, pi)) / (cdf(1.0, pi) - cdf(0.0, pi))

    assert stats.kstest(inner, conditional).pvalue > 0.01
    wrong = expit((logit(np.random.default_rng(0).random(NUM)) + pi) / 0.6) * (HIGH - LOW) + LOW
    wrong = wrong[(wrong > 0) & (wrong < 1)]
    assert stats.kstest(wrong, conditional).pvalue < 1e-6


@pytest.mark.parametrize("pi", LOGITS)
def test_expected_open_is_the_share_of_samples_above_zero(pi: float) -> None:
    expected = expected_open(torch.tensor([pi], dtype=torch.float64)).item()
    assert np.mean(gates(pi) > 0) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / NUM))
    assert expected == pytest.approx(1 - float(cdf(0.0, pi)), rel=1e-12)


def test_fixed_gates() -> None:
    """Closed, half open, open; 11/12 and 1/12 of a sigmoid are where it is cut."""
    edge = float(logit(11 / 12))
    found = fixed_gates(torch.tensor([-9.0, -edge - 1e-3, 0.0, edge + 1e-3, 9.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-12)
    assert 0 < fixed_gates(torch.tensor([0.01 - edge])).item() < 0.01


def test_ends_of_the_uniform_interval_give_closed_and_open_gates() -> None:
    logits = torch.zeros(2, requires_grad=True)
    drawn = sample(logits, torch.tensor([0.0, 1 - 2**-24]))
    assert drawn.tolist() == [0.0, 1.0]
    (gradient,) = torch.autograd.grad(drawn.sum(), [logits])
    assert gradient.tolist() == [0.0, 0.0]


def test_gradient_of_samples() -> None:
    random = torch.Generator().manual_seed(3)
    logits = torch.randn(40, generator=random, dtype=torch.float64).requires_grad_()
    uniform = torch.rand(40, generator=random, dtype=torch.float64)
    drawn = sample(logits, uniform)
    assert ((drawn > 0) & (drawn < 1)).sum() > 5
    assert torch.autograd.gradcheck(lambda pi: sample(pi, uniform), (logits,))
    assert torch.autograd.gradcheck(expected_open, (logits,))
