"""Words: coined from a phonology of their own for each lexicon seed, or the common word for a share of the concepts."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from detente.corpus.constructed.chance import Weighted, favourites, stable_fraction, stable_random, zipfian
from detente.corpus.constructed.inventory import GRAMMAR, MARKERS, concepts
from detente.corpus.constructed.scripts import CODAS, CONSONANTS, VOWELS

_COMMON = "common"
"""Stands where a lexicon seed stands, for the words that every language may use."""


@dataclass(frozen=True)
class Lexicon:
    """Sounds of every word of a language.

    Attributes:
        words: by concept or grammatical word.
        markers: affixes or particles, by grammatical marker.
    """

    words: dict[str, str]
    markers: dict[str, str]


def build_lexicon(seed: int, shared_vocabulary: float) -> Lexicon:
    """The words of a lexicon seed; a share of the concepts uses the common word instead.

    Own words are coined for all concepts whatever the share, and avoid all common words: so a language keeps its own
    words when the share changes, and has no homonyms.
    """
    common = _coin(_phonology(_COMMON), concepts(), taken=set())
    phonology = _phonology(seed)
    taken = set(common.values())
    markers = _coin_markers(phonology, taken)
    grammar = _coin(phonology, GRAMMAR, taken)
    own = _coin(phonology, concepts(), taken)
    words = {concept: common[concept] if is_shared(concept, shared_vocabulary) else own[concept] for concept in own}
    return Lexicon(words=words | grammar, markers=markers)


def is_shared(concept: str, shared_vocabulary: float) -> bool:
    """Whether this share includes the concept; a larger share includes all of a smaller one."""
    return stable_fraction("shared", concept) < shared_vocabulary


@dataclass(frozen=True)
class _Phonology:
    rng: random.Random
    consonants: Weighted[str]
    vowels: Weighted[str]
    codas: Weighted[str]
    coda_rate: float

    def syllable(self) -> str:
        coda = self.codas.draw(self.rng) if self.rng.random() < self.coda_rate else ""
        return self.consonants.draw(self.rng) + self.vowels.draw(self.rng) + coda

    def word(self, num_syllables: int) -> str:
        return "".join(self.syllable() for _ in range(num_syllables))


def _phonology(seed: int | str) -> _Phonology:
    rng = stable_random("phonology", seed)
    return _Phonology(
        rng=rng,
        consonants=zipfian(favourites(rng, CONSONANTS, 11), shift=4),
        vowels=zipfian(favourites(rng, VOWELS, 4), shift=3),
        codas=zipfian(favourites(rng, CODAS, 3), shift=2),
        coda_rate=0.1 + 0.4 * rng.random(),
    )


def _coin(phonology: _Phonology, keys: Iterable[str], taken: set[str]) -> dict[str, str]:
    words = {}
    for key in keys:
        words[key] = _new_word(phonology, _num_syllables(key), taken)
        taken.add(words[key])
    return words


def _num_syllables(key: str) -> int:
    if key in GRAMMAR:
        return 1
    rank = int(key.rpartition("-")[2])
    return 1 if rank < 1 else 2 if rank < 12 else 3


def _new_word(phonology: _Phonology, num_syllables: int, taken: set[str]) -> str:
    # Short words run out; after some attempts the word grows.
    attempt = 0
    while (word := phonology.word(num_syllables + attempt // 20)) in taken:
        attempt += 1
    return word


def _coin_markers(phonology: _Phonology, taken: set[str]) -> dict[str, str]:
    # A vowel and a closing consonant: pronounceable after and before any stem, and unlike any word.
    markers = {}
    for key in MARKERS:
        marker = _new_marker(phonology, taken)
        taken.add(marker)
        markers[key] = marker
    return markers


def _new_marker(phonology: _Phonology, taken: set[str]) -> str:
    while (marker := phonology.vowels.draw(phonology.rng) + phonology.codas.draw(phonology.rng)) in taken:
        pass
    return marker
