"""Running text of a constructed language."""

from collections.abc import Iterator
from itertools import islice

from detente.corpus.constructed.chance import stable_random
from detente.corpus.constructed.meaning import Narrator
from detente.corpus.constructed.surface import Speaker
from detente.corpus.constructed.world import build_world
from detente.settings.text import ConstructedSettings


def generate_text(settings: ConstructedSettings) -> Iterator[str]:
    """One sentence a line, decided by the settings alone; more sentences continue the same text."""
    narrator = Narrator(
        build_world(settings.meaning_seed), stable_random("text", settings.meaning_seed, settings.text_seed)
    )
    speaker = Speaker(settings)
    for sentence in islice(narrator.sentences(), settings.sentences):
        yield speaker.text(sentence)
