"""Small languages, one feature apart, and sentences to say in them."""

from collections.abc import Callable
from itertools import islice

import pytest

from detente.corpus.constructed.chance import stable_random
from detente.corpus.constructed.meaning import Event, Narrator, Sentence
from detente.corpus.constructed.surface import Speaker
from detente.corpus.constructed.world import build_world
from detente.settings.text import ConstructedSettings


@pytest.fixture
def speaker() -> Callable[..., Speaker]:
    """A speaker of the default language with the given features changed."""
    return lambda **features: Speaker(ConstructedSettings(**features))


@pytest.fixture(scope="session")
def meanings() -> list[Sentence]:
    narrator = Narrator(build_world(0), stable_random("test", 0))
    return list(islice(narrator.sentences(), 2000))


@pytest.fixture(scope="session")
def transitive_events() -> list[Event]:
    narrator = Narrator(build_world(0), stable_random("test", 1))
    return [event for event in islice(narrator.events(), 1000) if event.patient]
