"""Several processes against one, in float64: the same global batch must give the same trajectory.

They run this file itself: once for each number of processes, all variants one after another.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from forked import Start, Together
from safetensors.torch import load_file, save_file
from torch import Tensor

from detente.batches import HeldOutBatches, SpecialTokens, TrainBatches
from detente.encoder import Encoder
from detente.pretrain import meta_gradient as meta_module
from detente.pretrain.meta import MetaStep
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.parallel import ALONE, Ranks, joined_ranks
from detente.pretrain.plain import PlainStep
from detente.settings import AdapterSettings, BatchSettings, EncoderSettings, MetaSettings, TrainingSettings
from detente.treatment import TREATMENTS, TreatedEncoder, treat

# Of unequal size. Ten rows are shared unequally by four processes, and one row is too few for all of them.
LENGTHS = {"te": 300, "da": 900, "li": 500, "ig": 400}
VOCABULARY, SPECIAL = 61, SpecialTokens(61, 4, frozenset(range(5)))
BATCHES = BatchSettings(block_length=16, blocks=10)
STEPS = 10
TRAINING = TrainingSettings(steps=STEPS, warmup_steps=2, learning_rate=3e-3)
# Relative to the largest of a tensor, in float64: sums in another order, divided by epsilon and carried through 10 updates.
# Measured, over all variants: 3e-13.
TOLERANCE = 1e-9
# Of what steps report: `difference_error` is a difference of two differences. Measured: 4e-10.
TOLERANCE_OF_REPORTS = 1e-8
# A tensor smaller than this share of its kind's largest holds rounding only: a key bias, say, has no gradient in exact arithmetic.
NOISE = 1e-9

META: dict[str, dict[str, Any]] = {
    "source": {},
    "accumulated": {},
    "fused": {
        "order": "fused",
        "second_order": "one-sided",
        "inner_fraction": 0.5,
        "meta_fraction": 0.5,
        "every": 2,
    },
    "fused-accumulated": {"order": "fused", "inner_fraction": 0.9, "every": 2},
    "adam": {"inner_rule": "adam"},
    "two-validate": {"meta_languages": 2},
    "others-validate": {"meta_languages": "others"},
    "exact": {"second_order": "exact"},
    "first-order": {"second_order": "none"},
    "train-split": {"meta_split": "train", "beta": 0.05, "every": 3},
}
ACCUMULATION = {"plain-accumulated": 3, "accumulated": 2, "fused-accumulated": 3}
VARIANTS = ("plain", "plain-accumulated", *META)
OWN_NORM = "own-norm"

Trajectory = dict[str, Tensor]


def make_treated() -> TreatedEncoder:
    settings = EncoderSettings(
        layers=2, width=16, heads=2, feed_forward_width=24, dropout=0.0, attention_dropout=0.0, language_embedding=True
    )
    encoder = Encoder(settings, VOCABULARY, block_length=16, num_languages=len(LENGTHS), seed=3).double()
    treated = treat(encoder, TREATMENTS["meta-adapter"], tuple(LENGTHS), AdapterSettings(activation="gelu"), seed=4)
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for _, parameter in treated.named_parameters():
            # Away from initialisation, where up-projections are zero and half of the terms vanish.
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    return treated


def make_tokens(seed: int) -> dict[str, np.ndarray]:
    """Long stretches of special tokens, which are no targets: some rows have none, and no two shares have the same number."""
    random = np.random.default_rng(seed)
    streams = {label: random.integers(5, VOCABULARY, size=length) for label, length in LENGTHS.items()}
    for stream in streams.values():
        for start in range(0, len(stream), 60):
            stream[start : start + 25] = 2
    return streams


class Trained:
    """One variant's trajectory in this process."""

    def __init__(self, variant: str, ranks: Ranks = ALONE) -> None:
        treated = make_treated()
        updater = Updater(build_optimizer(treated, TRAINING), TRAINING, STEPS)
        batches = TrainBatches(
            make_tokens(1),
            BATCHES,
            SPECIAL,
            seed=5,
            accumulation=ACCUMULATION.get(variant, 1),
            share=ranks.share,
        )
        cpu = torch.device("cpu")
        if variant.startswith("plain"):
            self.step: Any = PlainStep(treated, batches, updater, cpu, ranks=ranks)
        else:
            meta = MetaSettings(measure_every=4, **META.get(variant, {}))
            held_out = HeldOutBatches(make_tokens(2), meta, BATCHES, SPECIAL, seed=5, share=ranks.share)
            self.step = MetaStep(treated, batches, held_out, updater, cpu, settings=meta, ranks=ranks)
        self.reports = [self.step(number) for number in range(STEPS)]
        self.treated, self.optimizer = treated, updater.optimizer

    def tensors(self) -> Trajectory:
        """Where it ended (parameters, moments) and what each step reported."""
        found = {f"parameter/{name}": p.detach() for name, p in self.treated.named_parameters()}
        for name, parameter in self.treated.named_parameters():
            found |= {f"{key}/{name}": value for key, value in self.optimizer.state.get(parameter, {}).items()}
        reported = [{**r.loss, **r.terms, "gradient": r.gradient_norm, "tokens": r.tokens} for r in self.reports]
        found |= {
            f"report/{number}/{name}": torch.tensor(float(value), dtype=torch.float64)
            for number, values in enumerate(reported)
            for name, value in values.items()
        }
        return found


def work(folder: Path) -> None:
    """Of one of the processes: tensors and calls of every variant."""
    torch.set_num_threads(1)
    with joined_ranks() as ranks:
        for variant in VARIANTS:
            with recorded_calls() as calls:
                save_file(Trained(variant, ranks).tensors(), folder / f"{variant}-{ranks.rank}.safetensors")
            (folder / f"{variant}-{ranks.rank}.json").write_text(json.dumps(calls))
        with own_norms():
            save_file(Trained("source", ranks).tensors(), folder / f"{OWN_NORM}-{ranks.rank}.safetensors")


@contextmanager
def recorded_calls() -> Iterator[list[int]]:
    """The sizes of this process's collective calls, in order."""
    calls: list[int] = []
    all_reduce: Callable[..., Any] = dist.all_reduce

    def watch(tensor: Tensor, **rest: Any) -> Any:
        calls.append(tensor.numel())
        return all_reduce(tensor, **rest)

    dist.all_reduce = watch
    try:
        yield calls
    finally:
        dist.all_reduce = all_reduce


@contextmanager
def own_norms() -> Iterator[None]:
    """Trap 2, stepped into: epsilon from the norm of this process's own share of v."""
    sum_, usable_norm = Ranks.sum_, meta_module._usable_norm
    shares: list[float] = []

    def watch(ranks: Ranks, *tensors: Iterable[Tensor]) -> None:
        listed = [list(some) for some in tensors]
        if listed[0]:
            shares.append(float(torch.nn.utils.get_total_norm(listed[0])))
        sum_(ranks, *listed)

    def own(tensors: dict[str, Tensor], held_out: Any) -> Tensor:
        usable_norm(tensors, held_out)
        # The call before was the sum of v and d; where both terms are measured, the noise of d has been summed since.
        return torch.tensor(shares[-1], dtype=torch.float64)

    Ranks.sum_, meta_module._usable_norm = watch, own  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Ranks.sum_, meta_module._usable_norm = sum_, usable_norm  # type: ignore[method-assign]


@pytest.fixture(scope="module", params=[2, 4])
def launched(
    request: pytest.FixtureRequest, start_process: Start, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path]:
    """The number of processes, and the folder with what they found."""
    size: int = request.param
    folder = tmp_path_factory.mktemp(f"processes-{size}")
    processes = Together(start_process, size, __file__, folder)
    _, errors = processes.communicate(timeout=280)
    assert processes.returncode == 0, errors
    return size, folder


@pytest.fixture(scope="module")
def alone() -> Iterator[Callable[[str], Trajectory]]:
    """One process's trajectory of a variant, made once."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found: dict[str, Trajectory] = {}

    def train(variant: str) -> Trajectory:
        if variant not in found:
            found[variant] = Trained(variant).tensors()
        return found[variant]

    yield train
    torch.set_num_threads(threads)


def differences(found: Trajectory, expected: Trajectory) -> dict[str, float]:
    """The largest difference in each tensor, relative to its size."""
    assert found.keys() == expected.keys()
    largest: dict[str, float] = {}
    for name, value in expected.items():
        kind = name.split("/")[0]
        largest[kind] = max(largest.get(kind, 0.0), float(value.abs().max()))
    return {
        name: float((found[name] - value).abs().max())
        / max(float(value.abs().max()), NOISE * largest[name.split("/")[0]])
        for name, value in expected.items()
    }


pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.meta.second_order. exact:UserWarning"),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_trajectory_of_one_process(
    variant: str, launched: tuple[int, Path], alone: Callable[[str], Trajectory]
) -> None:
    found = load_file(launched[1] / f"{variant}-0.safetensors")
    apart = differences(found, alone(variant))
    assert {"parameter", "exp_avg", "exp_avg_sq", "report"} <= {name.split("/")[0] for name in apart}
    beyond = {
        name: value
        for name, value in apart.items()
        if value > (TOLERANCE_OF_REPORTS if name.startswith("report/") else TOLERANCE)
    }
    assert beyond == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_process_has_the_same_bits(variant: str, launched: tuple[int, Path]) -> None:
    size, folder = launched
    first = (folder / f"{variant}-0.safetensors").read_bytes()
    assert all((folder / f"{variant}-{rank}.safetensors").read_bytes() == first for rank in range(1, size))


@pytest.mark.parametrize("variant", VARIANTS)
def test_trap_8_every_process_makes_the_same_calls(variant: str, launched: tuple[int, Path]) -> None:
    size, folder = launched
    calls = [json.loads((folder / f"{variant}-{rank}.json").read_text()) for rank in range(size)]
    assert len(calls[0]) >= STEPS
    assert all(other == calls[0] for other in calls[1:])


def test_trap_2_the_norm_of_each_share_would_give_another_trajectory(
    launched: tuple[int, Path], alone: Callable[[str], Trajectory]
) -> None:
    """The differences above are small because the norm is taken after the sum, and not because nothing depends on it."""
    found = load_file(launched[1] / f"{OWN_NORM}-0.safetensors")
    apart = differences(found, alone("source"))
    assert max(value for name, value in apart.items() if name.startswith("parameter/specific")) > 1e3 * TOLERANCE


if __name__ == "__main__":
    work(Path(sys.argv[1]))
