"""Gradient conflict on constructed gradients: known signals, known noise, and everything computed a second way."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from detente.diagnose.gradient_cost import conflict_cost
from detente.diagnose.gradients import gradient_conflict
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.gradients import THETA, GradientConflict, Region
from detente.errors import ConfigError, DataError, TrainingError

SHAPES = {
    "embedding.weight": (12, 16),
    "blocks.0.attention.weight": (8, 16),
    "blocks.0.ffn.weight": (16, 8),
    "blocks.1.attention.weight": (8, 16),
    "blocks.1.ffn.weight": (16, 8),
    "norm.bias": (16,),
}
NUM = sum(int(np.prod(shape)) for shape in SHAPES.values())
PARTS, SEEDS = 8, 120
"""Statistical tests: so many independent measurements, means within four standard errors."""
SIGMAS = 4.0

Batches = Mapping[str, Sequence[Tensor]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small sums: threads only get in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def theta(shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> dict[str, Tensor]:
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def linear_loss(parameters: Mapping[str, Tensor], batch: Tensor) -> Tensor:
    """Its gradient is the batch."""
    return torch.cat([p.flatten() for p in parameters.values()]) @ batch


@dataclass(frozen=True)
class Languages:
    """Two languages with unit signals at a known cosine, and noise of a known squared length in each microbatch."""

    cosine: float = -0.4
    noise: float = 8.0
    microbatches: int = PARTS
    signal: float = 1.0

    def draw(self, seed: int) -> dict[str, list[Tensor]]:
        random = np.random.default_rng([7, seed])
        axes = np.linalg.qr(random.standard_normal((NUM, 2)))[0].T
        turned = self.cosine * axes[0] + np.sqrt(1 - self.cosine**2) * axes[1]
        return {
            label: [
                torch.tensor(self.signal * mean + self._noise(random), dtype=torch.float32)
                for _ in range(self.microbatches)
            ]
            for label, mean in (("sw", axes[0]), ("te", turned))
        }

    def _noise(self, random: np.random.Generator) -> np.ndarray:
        return np.sqrt(self.noise / NUM) * random.standard_normal(NUM)


def measure(batches: Mapping[str, Any], **options: Any) -> GradientConflict:
    """With a projection that loses nothing, unless another width is asked for."""
    parameters = theta(options.pop("shapes", SHAPES))
    return gradient_conflict(linear_loss, parameters, batches, **{"resamples": 1000, "width": 4096, **options})


def sums(batches: Sequence[Tensor], parts: int = PARTS) -> np.ndarray:
    """Gradients of the parts in float64, one a row."""
    size = len(batches) // parts
    rows = torch.stack(list(batches[: parts * size])).double().reshape(parts, size, -1)
    return rows.mean(dim=1).numpy()


def columns(region: Region) -> np.ndarray:
    """Coordinates of a region, named by hand."""
    found = []
    for name, shape in SHAPES.items():
        kind = next((kind for kind in ("embedding", "attention", "ffn") if kind in name), "other")
        layer = int(name.split(".")[1]) if name.startswith("blocks") else None
        inside = region.layer in (None, layer) and region.kind in (None, kind)
        found += [inside] * int(np.prod(shape))
    return np.array(found)


def pairwise_signal(parts: np.ndarray) -> float:
    return float(np.mean([a @ b for a, b in combinations(parts, 2)]))


REGIONS = (
    THETA,
    Region(layer=0),
    Region(layer=1),
    *(Region(kind=kind) for kind in ("attention", "embedding", "ffn", "other")),
)


def test_cosines_of_every_region_are_those_of_a_second_computation() -> None:
    batches = Languages(microbatches=3 * PARTS).draw(0)
    found = measure(batches)
    assert found.regions == list(REGIONS)
    for region in (*REGIONS, Region(layer=1, kind="ffn")):
        where = columns(region)
        a, b = (sums(batches[label])[:, where] for label in ("sw", "te"))
        product = a.mean(axis=0) @ b.mean(axis=0)
        signals = pairwise_signal(a), pairwise_signal(b)
        squares = [float(np.square(each.mean(axis=0)).sum()) for each in (a, b)]
        pair = found.pair("sw", "te", region)
        assert pair.raw == pytest.approx(product / np.sqrt(squares[0] * squares[1]), rel=1e-5)
        assert found.cosines(region).gram[0, 1] == pytest.approx(product, rel=1e-5)
        assert found.cosines(region).signals == pytest.approx(signals, rel=1e-4)
        controls = [found.control(label, region).cosine for label in ("sw", "te")]
        assert controls == pytest.approx([signals[0] / squares[0], signals[1] / squares[1]], rel=1e-4)
        if min(signals) > 0:
            assert pair.corrected == pytest.approx(product / np.sqrt(signals[0] * signals[1]), rel=1e-4)
            assert pair.if_same == pytest.approx(np.sqrt(controls[0] * controls[1]))


def test_two_parts_are_the_formula_of_two_half_batches() -> None:
    """mean(<a_s, b_t>) / sqrt(<a1, a2> <b1, b2>) of method 7."""
    batches = Languages(noise=1.0).draw(1)
    a, b = sums(batches["sw"], 2), sums(batches["te"], 2)
    expected = np.mean(a @ b.T) / np.sqrt((a[0] @ a[1]) * (b[0] @ b[1]))
    pair = measure(batches, parts=2).pair("sw", "te")
    assert pair.corrected == pytest.approx(float(expected), rel=1e-5)
    assert (pair.interval, pair.verdict) == (None, "cannot tell")


@dataclass(frozen=True)
class Repeated:
    """What many independent measurements found over theta.

    Attributes:
        intervals: of the corrected cosines that could be told.
        control_intervals: of the first language.
    """

    raw: np.ndarray
    corrected: np.ndarray
    controls: np.ndarray
    intervals: np.ndarray
    control_intervals: np.ndarray


def repeat(languages: Languages, **options: Any) -> Repeated:
    """Over one parameter: quick."""
    found = [measure(languages.draw(seed), shapes={"weight": (NUM,)}, **options) for seed in range(SEEDS)]
    pairs = [each.pair("sw", "te") for each in found]
    return Repeated(
        np.array([pair.raw for pair in pairs]),
        np.array([pair.corrected for pair in pairs]),
        np.array([each.control("sw").cosine for each in found]),
        np.array([pair.interval for pair in pairs if pair.interval]),
        np.array([each.control("sw").interval for each in found]),
    )


@pytest.fixture(scope="module")
def whole() -> Repeated:
    return repeat(Languages())


@pytest.fixture(scope="module")
def half() -> Repeated:
    """Half as many microbatches, so twice the noise in each part."""
    return repeat(Languages(noise=16.0))


def assert_mean(values: np.ndarray, expected: float) -> None:
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - expected) < SIGMAS * error


def test_the_corrected_cosine_is_without_bias_and_the_raw_one_shrinks(whole: Repeated) -> None:
    # Signal 1, noise 8 / 8 in the mean: half of its squared length is noise.
    assert_mean(whole.corrected, -0.4)
    assert_mean(whole.raw, -0.4 / 2)


def test_half_the_batch_moves_the_raw_cosine_and_not_the_corrected_one(whole: Repeated, half: Repeated) -> None:
    assert_mean(half.raw, -0.4 / 3)
    assert_mean(half.corrected, -0.4)
    assert whole.raw.mean() - half.raw.mean() < -0.05
    assert abs(whole.corrected.mean() - half.corrected.mean()) < 0.02


def test_the_control_is_the_cosine_of_two_independent_batches(whole: Repeated) -> None:
    cosines = []
    for seed in range(SEEDS):
        a, b = (sums(batches).mean(axis=0) for batches in Languages(cosine=1.0).draw(seed).values())
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    measured = np.array(cosines)
    spread = np.hypot(measured.std(ddof=1), whole.controls.std(ddof=1)) / np.sqrt(SEEDS)
    assert abs(whole.controls.mean() - measured.mean()) < SIGMAS * spread
    # Half again as much at most as the cosine of two whole batches, for the price of one.
    assert whole.controls.std() < 1.5 * measured.std()


def drawn_again(a: np.ndarray, b: np.ndarray, tail: float) -> np.ndarray:
    """Ends of the corrected cosine's interval, by resampling the rows and computing everything anew."""
    random, cosines = np.random.default_rng(1), []
    for _ in range(4000):
        means, signals = [], []
        for rows in (a, b):
            times = random.multinomial(PARTS, [1 / PARTS] * PARTS)
            means.append(times @ rows / PARTS)
            # Products of a part with itself or with its copies are left out.
            products = np.square(times @ rows).sum() - times**2 @ np.square(rows).sum(axis=1)
            signals.append(products / (PARTS**2 - np.square(times).sum()))
        cosines.append(means[0] @ means[1] / np.sqrt(signals[0] * signals[1]))
    return np.quantile(cosines, [tail, 1 - tail])


@pytest.mark.parametrize("cosine", [-0.4, 0.9])
def test_intervals_are_those_of_parts_drawn_again(cosine: float) -> None:
    """Where signals are strong: where noise is, drawing again counts it three times."""
    batches = Languages(cosine=cosine, noise=0.3).draw(8)
    interval = measure(batches, shapes={"weight": (NUM,)}, resamples=4000).pair("sw", "te").interval
    # Student's 2.36 for seven degrees of freedom, times sqrt(8 / 7).
    tail = float(stats.norm.cdf(-stats.t.ppf(0.975, 7) * np.sqrt(8 / 7)))
    low, high = drawn_again(sums(batches["sw"]), sums(batches["te"]), tail)
    assert list(interval) == pytest.approx([low, high], abs=0.12 * (high - low))


@pytest.mark.parametrize(("which", "control"), [("whole", 1 / 2), ("half", 1 / 3)])
def test_intervals_cover_as_often_as_they_say_and_are_no_wider_than_need_be(
    which: str, control: float, request: pytest.FixtureRequest
) -> None:
    """95 %, with a standard error of 2 % from this many measurements; too wide rather than too narrow."""
    found = request.getfixturevalue(which)
    low, high = found.intervals.T
    assert len(found.intervals) > 0.9 * SEEDS
    assert np.mean((low <= -0.4) & (high >= -0.4)) > 0.90
    assert np.mean((found.control_intervals[:, 0] <= control) & (found.control_intervals[:, 1] >= control)) > 0.90
    assert np.median(high - low) < 1.8 * 2 * 1.96 * found.corrected.std(ddof=1)


def test_pure_noise_cannot_be_told() -> None:
    for seed in range(20):
        found = measure(Languages(signal=0.0).draw(seed))
        verdicts = {found.pair("sw", "te", region).verdict for region in found.regions}
        assert verdicts == {"cannot tell"}


@pytest.mark.parametrize(
    ("cosine", "noise", "verdict"),
    [(-0.5, 4.0, "conflict"), (0.5, 4.0, "agreement"), (0.0, 4.0, "cannot tell"), (-0.9, 300.0, "cannot tell")],
)
def test_verdicts(cosine: float, noise: float, verdict: str) -> None:
    pair = measure(Languages(cosine, noise).draw(0)).pair("sw", "te")
    assert pair.verdict == verdict
    # A signal of nearly nothing has no interval; languages that are orthogonal have one, around zero.
    assert (pair.interval is None) == (noise > 100)


def test_projected_cosines_err_by_what_is_stated() -> None:
    """100 projections of one batch."""
    batches = Languages(noise=1.0, microbatches=2).draw(3)
    shapes = {"embedding.weight": (NUM // 3,), "norm.weight": (NUM - NUM // 3,)}
    exact = measure(batches, shapes=shapes)
    found = [measure(batches, shapes=shapes, exact_up_to=0, width=64, seed=seed) for seed in range(100)]
    errors = np.array([each.pair("sw", "te").raw for each in found]) - exact.pair("sw", "te").raw
    stated = found[0].projection_errors()[0, 1]
    assert abs(errors.mean()) < SIGMAS * stated / np.sqrt(len(errors))
    assert 0.8 * stated < errors.std() < 1.2 * stated
    for each in found[:5]:
        assert not each.is_exact
        # What concerns one language alone is exact.
        for label in ("sw", "te"):
            assert each.control(label).cosine == pytest.approx(exact.control(label).cosine, rel=1e-6)


def test_the_projections_error_is_measured() -> None:
    """The relative error of a squared length has a standard deviation of sqrt(2 / width), its median is 0.67 of that."""
    found = measure(Languages(microbatches=32).draw(4), parts=32, width=64)
    for group in found.groups:
        if group.num_parameters <= 64:
            assert (group.width, group.largest_projection_error) == (group.num_parameters, pytest.approx(0, abs=1e-5))
        else:
            assert group.width == 64
            assert 0.5 < group.projection_error / (0.67 * np.sqrt(2 / 64)) < 1.5
            assert 1.5 < group.largest_projection_error / group.projection_error < 8
    assert 0 < found.cosine_error < 0.2
    assert measure(Languages().draw(4)).cosine_error == pytest.approx(0, abs=1e-6)


def test_intervals_know_what_the_projection_adds() -> None:
    """Next to no noise in the batches: all that is uncertain is the projection."""
    batches = Languages(noise=0.01).draw(5)
    exact, projected = measure(batches), measure(batches, exact_up_to=0, width=64)
    widths = []
    for found in (exact, projected):
        interval = found.pair("sw", "te").interval
        assert interval.low < -0.4 < interval.high
        widths.append(interval.high - interval.low)
    error = projected.projection_errors()[0, 1]
    # Percentiles for eight parts are those of 2.5 standard deviations.
    assert widths[0] < 0.02 < widths[1]
    assert widths[1] == pytest.approx(2 * 2.53 * error, rel=0.25)


def test_one_language_has_its_control_and_no_pairs() -> None:
    found = measure({"sw": Languages().draw(0)["sw"]})
    assert found.pairs == ()
    assert found.as_rows()[1:] == []
    assert found.control("sw").cosine == pytest.approx(0.5, abs=0.2)
    assert found.control_rows()[1][:2] == ["theta", "sw"]


def test_a_shorter_batch_is_said_and_a_rest_is_left_out() -> None:
    drawn = Languages(microbatches=19).draw(0)
    found = measure({"sw": iter(drawn["sw"]), "te": drawn["te"][:5]})
    assert found.parts == (8, 5)
    assert (found.microbatches, found.left_out) == ((16, 5), (3, 0))
    assert found.short_languages == ["te"]
    a, b = sums(drawn["sw"]), sums(drawn["te"][:5], 5)
    product = a.mean(axis=0) @ b.mean(axis=0) / np.sqrt(pairwise_signal(a) * pairwise_signal(b))
    assert found.pair("te", "sw").corrected == pytest.approx(product, rel=1e-4)


def test_parameters_that_a_loss_leaves_out_have_gradient_zero() -> None:
    def loss(parameters: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        return parameters["blocks.0.ffn.weight"].flatten() @ batch[:128]

    found = gradient_conflict(loss, theta(), Languages().draw(0), resamples=1000)
    assert found.pair("sw", "te").raw == found.pair("sw", "te", Region(layer=0, kind="ffn")).raw
    empty = found.pair("sw", "te", Region(kind="embedding"))
    assert (empty.raw, empty.corrected, empty.verdict) == (None, None, "cannot tell")
    assert found.control("sw", Region(kind="embedding")) == found.control("te", Region(layer=1))


def test_nothing_is_written_to_the_parameters_or_their_gradients() -> None:
    parameters = {name: torch.nn.Parameter(p) for name, p in theta().items()}
    kept = parameters["norm.bias"].grad = torch.ones(16)
    with torch.no_grad():
        gradient_conflict(linear_loss, parameters, Languages().draw(0), resamples=1000)
    assert torch.equal(kept, torch.ones(16)) and parameters["norm.bias"].grad is kept
    assert parameters["embedding.weight"].grad is None
    assert not any(p.any() for p in parameters.values())


def test_shares_below_zero() -> None:
    found = measure(Languages(noise=30.0).draw(6))
    grams = np.array([group.gram for group in found.groups])
    assert found.share_below_zero("sw", "te") == np.mean(grams[:, 0, 1] < 0)
    a = sums(Languages(noise=30.0).draw(6)["sw"])
    regions = [Region(kind="embedding"), Region(kind="other")]
    regions += [Region(layer, kind) for layer in (0, 1) for kind in ("attention", "ffn")]
    expected = np.mean([pairwise_signal(a[:, columns(region)]) < 0 for region in regions])
    assert found.share_below_zero("sw", "sw") == expected
    assert 0 < expected < 1


def test_a_series_counts_the_steps_below_zero() -> None:
    cosines = (-0.8, -0.5, 0.6, 0.8)
    found = [measure(Languages(c, noise=1.0).draw(9), step=10 * (n + 1)) for n, c in enumerate(cosines)]
    series = GradientConflictSeries(tuple(found))
    assert series.steps == [10, 20, 30, 40]
    assert series.share_below_zero("sw", "te") == 0.5
    assert series.share_below_zero("sw", "sw") == 0.0
    assert [pair.raw < 0 for pair in series.of_pair("sw", "te")] == [True, True, False, False]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = measure(Languages(microbatches=9).draw(0), step=20, width=64)
    assert GradientConflict.read(found.write(tmp_path).parent) == found
    series = GradientConflictSeries((found,))
    assert GradientConflictSeries.read(series.write(tmp_path).parent) == series
    assert json.loads((tmp_path / "gradients.json").read_text())["languages"] == ["sw", "te"]
    again = GradientConflict.read(tmp_path)
    assert again.as_rows() == found.as_rows()
    assert again.pair("te", "sw") == found.pair("sw", "te")


def test_the_same_seed_gives_the_same_result() -> None:
    batches = Languages().draw(0)
    assert measure(batches, width=64) == measure(batches, width=64)
    assert measure(batches, width=64).intervals != measure(batches, width=64, seed=1).intervals


def test_the_cost_is_what_is_spent() -> None:
    calls = 0

    def loss(parameters: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return linear_loss(parameters, batch)

    cost = conflict_cost(theta(), languages=2, microbatches=19, width=64)
    found = gradient_conflict(loss, theta(), Languages(microbatches=19).draw(0), resamples=1000, width=64)
    assert cost.passes == calls == sum(found.microbatches)
    assert cost.copy_bytes == 4 * NUM
    assert cost.projection_bytes == 2 * 8 * 4 * sum(group.width for group in found.groups)
    assert cost.extra_bytes == 2 * cost.copy_bytes + cost.projection_bytes
    assert str(cost).startswith("32 forward and backward passes; ")


def test_a_hundred_languages_cost_two_gradients_at_most() -> None:
    large = {name: torch.empty(10**7, device="meta") for name in ("layers.0.ffn.weight", "layers.1.ffn.weight")}
    cost = conflict_cost(large, languages=100, microbatches=128)
    assert not cost.is_exact
    assert cost.extra_bytes <= 2 * cost.copy_bytes
    assert (cost.width, cost.sum_copies) == (2048, 1)
    smaller = {name: p[: 25 * 10**5] for name, p in large.items()}
    cost = conflict_cost(smaller, languages=100, microbatches=128, parts=16)
    # 5 million numbers for 100 languages, 16 parts and 2 groups.
    assert cost.width == 1562
    assert cost.extra_bytes <= 2 * cost.copy_bytes


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_names_the_language(value: float) -> None:
    batches = Languages().draw(0)
    batches["te"][5][3] = value
    with pytest.raises(TrainingError, match="a gradient of te is not finite"):
        measure(batches)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"parts": 1}, "parts must be 2 or more, found 1"),
        ({"resamples": 10}, "resamples must be 1000 or more, found 10"),
        ({"shapes": {}}, "gradients need parameters, found none"),
        ({"batches": {}}, "gradients need a language, found none"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        measure(**{"batches": Languages().draw(0), **options})


def test_one_microbatch_shows_no_noise() -> None:
    drawn = Languages().draw(0)
    with pytest.raises(DataError, match="te has 1 microbatches; its gradient is measured on two parts at least"):
        measure({"sw": drawn["sw"], "te": drawn["te"][:1]})


@pytest.mark.parametrize("makes_graph", [True, False])
def test_a_loss_that_is_not_of_the_parameters_is_refused(makes_graph: bool) -> None:
    own = torch.ones(1, requires_grad=makes_graph)
    with pytest.raises(ConfigError, match="loss of sw does not depend on the parameters"):
        gradient_conflict(lambda _, batch: own.sum() * batch.sum(), theta(), Languages().draw(0))


def test_unknown_languages_are_refused() -> None:
    found = measure(Languages().draw(0))
    with pytest.raises(ConfigError, match=r"measured of sw, te, not of `tee`\. Did you mean `te`\?"):
        found.control("tee")
    with pytest.raises(ConfigError, match="a pair is of two languages, found `te` twice"):
        found.pair("te", "te")


def test_progress_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, str, int | None]] = []
    done: list[int] = []

    def progress(what: str, unit: str, total: int | None) -> Any:
        told.append((what, unit, total))
        return done.append

    measure(Languages(microbatches=10).draw(0), progress=progress)
    assert told == [("gradients of sw", "microbatches", 8), ("gradients of te", "microbatches", 8)]
    assert sum(done) == 16
