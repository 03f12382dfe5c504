"""What a step is made of, small: a treated encoder, batches of a few languages, an optimizer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from detente.batches import HeldOutBatches, MaskedBatch, SpecialTokens, TrainBatches
from detente.encoder import Encoder
from detente.pretrain.meta import MetaStep
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.plain import PlainStep
from detente.settings import BatchSettings, EncoderSettings, MetaSettings, TrainingSettings
from detente.treatment import TREATMENTS, TreatedEncoder, treat

# Codes that occur inside module names: a substring test on names would hit other languages' adapters.
LANGUAGES = ("te", "da", "li", "ig")
VOCABULARY, LENGTH, BLOCKS = 40, 8, 8
SPECIAL = SpecialTokens(VOCABULARY, 4, frozenset(range(5)))
TRAINING = TrainingSettings(steps=20, warmup_steps=0, learning_rate=1e-2)
CPU = torch.device("cpu")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are split by threads: the same bits are promised for the same number of threads only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Update:
    """One call of `Updater.apply`.

    Attributes:
        owner: `shared`, or the language whose phi was updated.
        gradients: before clipping.
        after: all parameters, right after it.
    """

    owner: str
    gradients: dict[str, Tensor]
    after: dict[str, Tensor]


def streams(languages: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Half of the tokens are special: many blocks have fewer ordinary ones than targets."""
    random = np.random.default_rng(5)
    found = {label: random.integers(5, VOCABULARY, size=400) for label in languages}
    for tokens in found.values():
        tokens[random.random(400) < 0.5] = 2
    return found


def make_treated(languages: tuple[str, ...], dropout: float, treatment: str, dtype: torch.dtype) -> TreatedEncoder:
    """Away from initialisation, where up-projections are zero and half of the terms vanish."""
    settings = EncoderSettings(
        layers=2, width=16, heads=2, feed_forward_width=24, dropout=dropout, language_embedding=True
    )
    encoder = Encoder(settings, VOCABULARY, block_length=LENGTH, num_languages=len(languages), seed=1).to(dtype)
    treated = treat(encoder, TREATMENTS[treatment], languages, seed=2)
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for _, parameter in treated.named_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random, dtype=torch.float64).to(dtype))
    return treated


@dataclass
class Parts:
    """Of a step; two of the same arguments give the same bits."""

    languages: tuple[str, ...] = LANGUAGES
    dropout: float = 0.0
    treatment: str = "meta-adapter"
    dtype: torch.dtype = torch.float64
    accumulation: int = 1
    training: TrainingSettings = TRAINING
    treated: TreatedEncoder = field(init=False)
    updater: Updater = field(init=False)
    batches: TrainBatches = field(init=False)

    def __post_init__(self) -> None:
        self.treated = make_treated(self.languages, self.dropout, self.treatment, self.dtype)
        self.updater = Updater(build_optimizer(self.treated, self.training), self.training, self.training.steps)
        self._settings = BatchSettings(block_length=LENGTH, blocks=BLOCKS, mask_rate=0.5)
        self.batches = TrainBatches(
            streams(self.languages), self._settings, SPECIAL, seed=3, accumulation=self.accumulation, drawn_evenly=True
        )

    def language(self, number: int) -> str:
        """Of a step's one batch."""
        return self.batches.draws[number][0]

    def held_out(self, **meta: Any) -> HeldOutBatches:
        return HeldOutBatches(streams(self.languages), MetaSettings(**meta), self._settings, SPECIAL, seed=3)

    def plain_step(self) -> PlainStep:
        return PlainStep(self.treated, self.batches, self.updater, CPU)

    def meta_step(self, **meta: Any) -> MetaStep:
        settings = MetaSettings(**meta)
        return MetaStep(self.treated, self.batches, self.held_out(**meta), self.updater, CPU, settings=settings)

    def parameters(self) -> dict[str, Tensor]:
        """A copy of them, by the names of checkpoints."""
        return {name: parameter.detach().clone() for name, parameter in self.treated.named_parameters()}

    def moments(self) -> dict[str, dict[str, Tensor]]:
        """A copy of the optimizer's state."""
        state = self.updater.optimizer.state
        return {
            name: {key: value.clone() for key, value in state[p].items()}
            for name, p in self.treated.named_parameters()
            if state.get(p)
        }

    def loss(self, batch: MaskedBatch, theta: Mapping[str, Tensor], phi: Mapping[str, Tensor]) -> Tensor:
        """The mean over targets, without dropout, written separately."""
        assert self.dropout == 0.0
        index = self.languages.index(batch.language)
        logits = functional_call(self.treated.encoder, {**theta, **phi}, (batch.tokens, index, batch.positions))
        return F.cross_entropy(logits.reshape(-1, VOCABULARY), batch.targets.reshape(-1))

    def record_updates(self) -> list[Update]:
        """Fills as updates are applied."""
        updates: list[Update] = []
        names = {parameter: name for name, parameter in self.treated.named_parameters()}
        apply = self.updater.apply

        def watch(
            number: int, parameters: Iterable[nn.Parameter], gradients: Iterable[Tensor], losses: Sequence[Tensor] = ()
        ) -> Tensor:
            pairs = dict(zip(parameters, gradients, strict=True))
            before = {names[p]: gradient.clone() for p, gradient in pairs.items()}
            norm = apply(number, pairs.keys(), pairs.values(), losses)
            (owner,) = {owner_of(name) for name in before}
            updates.append(Update(owner, before, self.parameters()))
            return norm

        self.updater.apply = watch  # type: ignore[method-assign]
        return updates


def owner_of(name: str) -> str:
    """`shared`, or the language that owns the parameter."""
    kind, rest = name.split("/", 1)
    return kind if kind == "shared" else rest.split("/", 1)[0]


def moved_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """Owners of parameters that are not the same to the bit."""
    return {owner_of(name) for name in after if not torch.equal(before[name], after[name])}


@pytest.fixture
def make_parts() -> Callable[..., Parts]:
    return Parts


@pytest.fixture
def moved() -> Callable[..., set[str]]:
    return moved_between
