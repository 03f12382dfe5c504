"""Two streams of random tokens, one in ten of them special, and the training batches of both."""

from collections.abc import Callable

import numpy as np
import pytest

from detente.batches import SpecialTokens, TrainBatches
from detente.settings import BatchSettings

Streams = dict[str, np.ndarray]


def token_stream(seed: int, length: int) -> np.ndarray:
    tokens = np.random.default_rng(seed).integers(5, 100, size=length).astype(np.uint16)
    tokens[9::10] = 2
    return tokens


@pytest.fixture(scope="session")
def special() -> SpecialTokens:
    return SpecialTokens(size=100, mask_id=4, special_ids=frozenset(range(5)))


@pytest.fixture(scope="session")
def settings() -> BatchSettings:
    """Four targets a block."""
    return BatchSettings(block_length=8, blocks=4, temperature=1.0, mask_rate=0.5)


@pytest.fixture(scope="session")
def streams() -> Streams:
    return {"en": token_stream(1, 1000), "te": token_stream(2, 400)}


@pytest.fixture
def make_batches(streams: Streams, settings: BatchSettings, special: SpecialTokens) -> Callable[..., TrainBatches]:
    """Training batches with some arguments, or `blocks`, replaced."""

    def make(tokens: Streams = streams, blocks: int = settings.blocks, **changes: object) -> TrainBatches:
        sized = settings.model_copy(update={"blocks": blocks})
        return TrainBatches(tokens, sized, special, **{"seed": 7, **changes})

    return make
