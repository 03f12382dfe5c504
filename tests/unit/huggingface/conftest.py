"""Runs in memory: settings, a treated encoder away from its initialisation, and a vocabulary."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from transformers.utils import logging

from detente.pretrain import build_model
from detente.settings import AdapterSettings, BatchSettings, EncoderSettings, RunSettings
from detente.treatment import TreatedEncoder
from detente.vocabulary import SPECIAL_TOKENS, Vocabulary
from detente.vocabulary.train import _learn

# Parts of names of modules, a method of modules, and a code with a hyphen.
LANGUAGES = ("te", "to", "bn-latn")
LENGTH = 12


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are split by threads: the same bits are promised for the same number of threads only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def quiet() -> None:
    """Transformers' bars and its table of new weights."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()


@pytest.fixture(scope="session")
def vocabulary(scripts: tuple[str, ...]) -> Vocabulary:
    """Learnt from one record in each of several scripts."""
    return Vocabulary.of(_learn([*scripts] * 3, 420), "", dict(SPECIAL_TOKENS))


@dataclass(frozen=True)
class Run:
    settings: RunSettings
    treated: TreatedEncoder


@pytest.fixture
def make_run(vocabulary: Vocabulary) -> Callable[..., Run]:
    """Gives a run, dropout off; at initialisation adapters are the identity and biases zero, so noise is added."""

    def make(treatment: str, variant: str, languages: tuple[str, ...] = LANGUAGES, **encoder: object) -> Run:
        shape = {"layers": 2, "width": 16, "heads": 2, "feed_forward_width": 64, "dropout": 0.0} | encoder
        settings = RunSettings(
            mixture=languages,
            treatment=treatment,
            encoder=EncoderSettings(variant=variant, **shape),
            adapter=AdapterSettings(width=4, activation="gelu"),
            batches=BatchSettings(block_length=LENGTH),
        )
        treated = build_model(settings, vocabulary.size)
        random = torch.Generator().manual_seed(9)
        with torch.no_grad():
            for _, parameter in treated.named_parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
        treated.encoder.eval()
        return Run(settings, treated)

    return make
