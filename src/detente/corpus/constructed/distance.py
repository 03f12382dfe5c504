"""How far two constructed languages are apart, known by construction."""

import math
from itertools import combinations

from detente.settings.text import ConstructedSettings

_WEIGHTS = {
    "words": 0.35,
    "grammar": 0.10,
    "script": 0.15,
    "word_order": 0.15,
    "morphology": 0.15,
    "adposition": 0.05,
    "adjective": 0.05,
}


def distance(a: ConstructedSettings, b: ConstructedSettings) -> float:
    """Weighted share of what differs between two languages, in [0, 1].

    The sum of

        0.35  words: the expected share of concepts with different words, spelling apart. With lexicon seeds that differ
              it is 1 - min(shared_a, shared_b), with one seed |shared_a - shared_b|.
        0.10  grammar: 1 if the lexicon seeds, and with them grammatical words and affixes, differ
        0.15  script: 1 if different
        0.15  word_order: the share of the pairs subject-verb, verb-object and subject-object that are turned round
        0.15  morphology: 1 if different
        0.05  adposition: 1 if different
        0.05  adjective: 1 if different

    A metric over languages: each summand is one, and 0 means the same language. How much is said and about which world
    (`sentences`, `meaning_seed`, `text_seed`) does not count. The weights are a convention; the order of pairs that
    differ in nested sets of features does not depend on them.
    """
    differences = {
        "words": _words(a, b),
        "grammar": float(a.lexicon_seed != b.lexicon_seed),
        "script": float(a.script != b.script),
        "word_order": _turned(a.word_order, b.word_order),
        "morphology": float(a.morphology != b.morphology),
        "adposition": float(a.adposition != b.adposition),
        "adjective": float(a.adjective != b.adjective),
    }
    return math.fsum(weight * differences[feature] for feature, weight in _WEIGHTS.items())


def _words(a: ConstructedSettings, b: ConstructedSettings) -> float:
    if a.lexicon_seed == b.lexicon_seed:
        return abs(a.shared_vocabulary - b.shared_vocabulary)
    return 1 - min(a.shared_vocabulary, b.shared_vocabulary)


def _turned(a: str, b: str) -> float:
    """Kendall's distance of two orders: the share of pairs in which they disagree."""
    pairs = list(combinations("svo", 2))
    return sum((a.index(x) < a.index(y)) != (b.index(x) < b.index(y)) for x, y in pairs) / len(pairs)
