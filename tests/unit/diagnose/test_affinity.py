"""Lookahead affinity: against a copied model and an optimizer, against closed forms, and what it refuses."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn
from torch.func import functional_call

from detente.diagnose.affinity import Draw, lookahead_affinity
from detente.diagnosis_results.affinity import LookaheadAffinity, mean_affinity
from detente.errors import ConfigError, RecordError, TrainingError

LANGUAGES = ("en", "sw", "te")
RATE = 0.05


class Network(nn.Module):
    """A shared trunk and one head for each language: theta and phi."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.trunk = nn.Sequential(nn.Embedding(20, 6), nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 8))
        self.heads = nn.ModuleDict({language: nn.Linear(8, 20) for language in LANGUAGES})
        self.double()

    def loss(self, language: str, tokens: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.heads[language](self.trunk(tokens)), targets)

    def forward(self, batch: "Batch") -> Tensor:
        return self.loss(*batch)


Batch = tuple[str, Tensor, Tensor]


def network_loss(network: Network) -> Any:
    return lambda parameters, batch: functional_call(network, dict(parameters), (batch,))


def draw_batch(language: str, seed: int, size: int = 24) -> Batch:
    """Each language has its own rule from token to target, right in four of five cases."""
    random = np.random.default_rng([LANGUAGES.index(language), seed])
    tokens = random.integers(20, size=size)
    targets = np.where(random.random(size) < 0.8, (3 + LANGUAGES.index(language)) * tokens % 20, tokens)
    return language, torch.from_numpy(tokens), torch.from_numpy(targets)


def draws(count: int, languages: tuple[str, ...] = LANGUAGES) -> dict[str, list[Draw]]:
    return {
        label: [Draw(draw_batch(label, 2 * number), draw_batch(label, 2 * number + 1)) for number in range(count)]
        for label in languages
    }


def shared_of(network: Network) -> dict[str, nn.Parameter]:
    return {f"trunk.{name}": p for name, p in network.trunk.named_parameters()}


def test_equals_an_optimizer_on_a_copied_model() -> None:
    network, batches = Network(), draws(2)
    found = lookahead_affinity(network_loss(network), shared_of(network), batches, rate=RATE)
    for number in range(2):
        for i, first in enumerate(LANGUAGES):
            moved = copy.deepcopy(network)
            # The heads stay: only what is shared carries a step over.
            optimizer = torch.optim.SGD(moved.trunk.parameters(), lr=RATE)
            moved(batches[first][number].update).backward()
            optimizer.step()
            for j, second in enumerate(LANGUAGES):
                evaluation = batches[second][number].evaluation
                expected = 1 - moved(evaluation).item() / network(evaluation).item()
                assert found.draws[number].values[i][j] == pytest.approx(expected, rel=1e-9, abs=1e-13)


def quadratic(parameters: Mapping[str, Tensor], batch: list[float]) -> Tensor:
    """Of one number: curvature a, minimum c."""
    a, c = batch
    return (a / 2 * (parameters["theta"] - c) ** 2).sum()


def test_closed_form_of_a_quadratic() -> None:
    theta, rate = 1.5, 0.1
    wells = {"en": [2.0, 0.5], "sw": [0.7, 3.0]}
    batches = {label: [Draw(well, list(well))] for label, well in wells.items()}
    parameters = {"theta": torch.tensor([theta], dtype=torch.float64)}
    found = lookahead_affinity(quadratic, parameters, batches, rate=rate)
    for i, (a, c) in enumerate(wells.values()):
        assert found.mean[i][i] == pytest.approx(1 - (1 - rate * a) ** 2)
        for j, (_, other) in enumerate(wells.values()):
            moved = theta - rate * a * (theta - c)
            assert found.mean[i][j] == pytest.approx(1 - ((moved - other) / (theta - other)) ** 2)
    assert found.mean[0][1] < 0 < found.mean[0][0], "they pull apart: each is hurt by the other's step"
    assert found.mean[0][1] != pytest.approx(found.mean[1][0])


def test_to_first_order_it_is_the_product_of_gradients() -> None:
    network, batches = Network(), draws(1)
    found = lookahead_affinity(network_loss(network), shared_of(network), batches, rate=1e-5)

    def gradient(batch: Batch) -> Tensor:
        parts = torch.autograd.grad(network(batch), list(network.trunk.parameters()))
        return torch.cat([part.flatten() for part in parts])

    for i, first in enumerate(LANGUAGES):
        for j, second in enumerate(LANGUAGES):
            product = gradient(batches[first][0].update) @ gradient(batches[second][0].evaluation)
            assert found.mean[i][j] / 1e-5 == pytest.approx(
                (product / network(batches[second][0].evaluation)).item(), rel=1e-2
            )


def test_parameters_keep_every_bit() -> None:
    network = Network().float()
    before = {name: (p.detach().clone(), p._version) for name, p in network.named_parameters()}
    lookahead_affinity(network_loss(network), shared_of(network), draws(1), rate=0.5)
    for name, p in network.named_parameters():
        value, version = before[name]
        assert torch.equal(p, value)
        assert p._version == version, "not even written to and restored"
        assert p.grad is None
        assert p.requires_grad


def test_what_the_loss_does_not_use_stays() -> None:
    parameters = {"theta": torch.tensor([1.0]), "other": torch.tensor([2.0])}
    found = lookahead_affinity(quadratic, parameters, {"en": [Draw([1.0, 0.0], [1.0, 0.0])]}, rate=0.1)
    assert found.mean[0][0] == pytest.approx(1 - 0.9**2)


def test_one_batch_for_both_would_flatter_the_diagonal() -> None:
    """Over 20 draws of 24 tokens, a copy of the batch gains more from its step than other text of the language."""
    network, batches = Network(), draws(20)
    copied = {label: [Draw(one.update, copy.deepcopy(one.update)) for one in its] for label, its in batches.items()}
    fair, flattered = (
        lookahead_affinity(network_loss(network), shared_of(network), some, rate=RATE) for some in (batches, copied)
    )
    for i in range(len(LANGUAGES)):
        assert flattered.mean[i][i] > 1.2 * fair.mean[i][i] > 0


def test_interval_is_students() -> None:
    network = Network()
    found = lookahead_affinity(network_loss(network), shared_of(network), draws(5), rate=RATE)
    assert found.low is not None
    assert found.high is not None
    values = [draw.values[0][1] for draw in found.draws]
    expected = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low[0][1], found.high[0][1]) == pytest.approx(expected)
    assert found.mean[0][1] == pytest.approx(np.mean(values))


def test_one_draw_has_no_interval() -> None:
    network = Network()
    found = lookahead_affinity(network_loss(network), shared_of(network), draws(1), rate=RATE)
    assert found.low is None
    assert found.high is None


def test_mean_over_training_weighs_every_draw_alike() -> None:
    network = Network()
    loss, theta = network_loss(network), shared_of(network)
    early = lookahead_affinity(loss, theta, draws(3), rate=RATE, step=100)
    late = lookahead_affinity(loss, theta, draws(1), rate=2 * RATE, step=900)
    both = mean_affinity([early, late])
    expected = (3 * np.array(early.mean) + np.array(late.mean)) / 4
    np.testing.assert_allclose(both.mean, expected, rtol=1e-12)
    assert [(draw.step, draw.rate) for draw in both.draws] == [(100, RATE)] * 3 + [(900, 2 * RATE)]


def test_one_language_has_a_diagonal_only() -> None:
    network = Network()
    found = lookahead_affinity(network_loss(network), shared_of(network), draws(2, ("en",)), rate=RATE)
    assert np.shape(found.mean) == (1, 1)
    assert found.mean[0][0] > 0
    assert found.received == ((None,),)


def test_received_is_turned_round() -> None:
    network = Network()
    found = lookahead_affinity(network_loss(network), shared_of(network), draws(1), rate=RATE)
    for i in range(3):
        assert [found.received[i][j] for j in range(3) if j != i] == [found.mean[j][i] for j in range(3) if j != i]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network = Network()
    found = lookahead_affinity(network_loss(network), shared_of(network), draws(2), rate=RATE, step=7)
    assert found.write(tmp_path).name == "affinity.json"
    assert LookaheadAffinity.read(tmp_path) == found
    with pytest.raises(RecordError, match="Run the diagnosis first"):
        LookaheadAffinity.read(tmp_path / "nowhere")


def test_bad_batches() -> None:
    network, batches = Network(), draws(2)
    loss, theta = network_loss(network), shared_of(network)
    with pytest.raises(ConfigError, match="found no languages"):
        lookahead_affinity(loss, theta, {}, rate=RATE)
    with pytest.raises(ConfigError, match="found 0 of en, 0 of sw"):
        lookahead_affinity(loss, theta, {"en": [], "sw": []}, rate=RATE)
    with pytest.raises(ConfigError, match="found 2 of en, 1 of sw, 2 of te"):
        lookahead_affinity(loss, theta, {**batches, "sw": batches["sw"][:1]}, rate=RATE)
    same = batches["sw"][0].update
    with pytest.raises(ConfigError, match="draw 2 has one batch of `sw` for the step and for the loss"):
        lookahead_affinity(loss, theta, {**batches, "sw": [batches["sw"][0], Draw(same, same)]}, rate=RATE)


def test_a_loss_that_forgets_its_parameters() -> None:
    network, batches = Network(), draws(1)
    with pytest.raises(ConfigError, match="functional_call"):
        lookahead_affinity(lambda _, batch: network(batch), shared_of(network), batches, rate=RATE)
    with pytest.raises(ConfigError, match="functional_call"):
        lookahead_affinity(lambda _, batch: network(batch).detach(), shared_of(network), batches, rate=RATE)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_losses_that_a_change_cannot_be_relative_to(bad: float) -> None:
    parameters = {"theta": torch.tensor([1.0])}

    def loss(given: Mapping[str, Tensor], batch: float) -> Tensor:
        return given["theta"].sum() * 0 + batch

    with pytest.raises(TrainingError, match=r"the loss of `sw` is .* at these parameters"):
        lookahead_affinity(loss, parameters, {"en": [Draw(1.0, 2.0)], "sw": [Draw(1.0, bad)]}, rate=0.1)


def test_a_rate_that_is_too_large_is_named() -> None:
    parameters = {"theta": torch.tensor([3.0])}

    def loss(given: Mapping[str, Tensor], batch: float) -> Tensor:
        return (given["theta"] ** 4).sum() * batch

    with pytest.raises(
        TrainingError, match=r"the loss of `en` is inf after a step of rate 1e\+12 on `en`.* lower `rate`"
    ):
        lookahead_affinity(loss, parameters, {"en": [Draw(1.0, 2.0)]}, rate=1e12)


def test_results_of_other_languages_are_not_averaged() -> None:
    network = Network()
    loss, theta = network_loss(network), shared_of(network)
    results = [lookahead_affinity(loss, theta, draws(1, some), rate=RATE) for some in (("en", "sw"), ("en", "te"))]
    with pytest.raises(ConfigError, match=r"found en\+sw, en\+te"):
        mean_affinity(results)
    with pytest.raises(ConfigError, match="found none"):
        mean_affinity([])
