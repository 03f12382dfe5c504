import hashlib
import math
import os
import subprocess
import sys
import unicodedata
from collections import Counter, defaultdict

import numpy as np
import pytest

from detente.corpus.constructed import DEMO_LANGUAGES, generate_text
from detente.settings.text import ConstructedSettings

PINNED = {
    "qaa": "d5d67686c3bdc2b9",
    "qab": "074d6279f0b3b03c",
}
"""A change of these digests is a change of every study on constructed languages: say so in the commit."""

_PROGRAM = """
import sys
from detente.corpus.constructed import DEMO_LANGUAGES, generate_text
settings = DEMO_LANGUAGES[sys.argv[1]].model_copy(update={"sentences": 100})
sys.stdout.buffer.write("\\n".join(generate_text(settings)).encode())
"""


def text_of(**features) -> list[str]:
    return list(generate_text(ConstructedSettings(**features)))


@pytest.fixture(scope="module")
def words() -> list[str]:
    """The text of the first demo language, marks as words of their own."""
    return [word for line in generate_text(DEMO_LANGUAGES["qaa"]) for word in f"{line[:-1]} {line[-1]}".split()]


@pytest.mark.parametrize("label", DEMO_LANGUAGES)
def test_first_sentences_are_pinned(label):
    lines = generate_text(DEMO_LANGUAGES[label].model_copy(update={"sentences": 100}))
    assert hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest() == PINNED[label]


def test_another_process_with_another_hash_seed_says_the_same():
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    program = [sys.executable, "-c", _PROGRAM, "qaa"]
    said = subprocess.run(program, env=environment, capture_output=True, check=True).stdout.decode()
    assert said.split("\n") == list(generate_text(DEMO_LANGUAGES["qaa"].model_copy(update={"sentences": 100})))


def test_sentences_sets_the_length_and_more_continue_the_same_text():
    short, long = text_of(sentences=30), text_of(sentences=80)
    assert (len(short), len(long)) == (30, 80)
    assert long[:30] == short


def test_lines_are_clean():
    for line in text_of(sentences=500, script="armenian"):
        assert line == unicodedata.normalize("NFC", line) == line.lower() == " ".join(line.split())
        assert line[-1] in ".?"
        assert line[-2].isalpha()


def test_equal_meaning_seeds_give_parallel_text():
    first, second = (
        text_of(sentences=300, word_order=order, adjective=side)
        for order, side in (("svo", "before"), ("vos", "after"))
    )
    assert first != second
    assert [sorted(line.rstrip(".?").split()) for line in first] == [
        sorted(line.rstrip(".?").split()) for line in second
    ]


def test_another_text_seed_says_other_things_of_the_same_world():
    first, second = (text_of(sentences=3000, text_seed=seed) for seed in (0, 1))
    assert first[:50] != second[:50]
    words = [Counter(" ".join(lines).split()) for lines in (first, second)]
    shared = sum((words[0] & words[1]).values()) / sum(words[0].values())
    assert shared > 0.9, "the same names and things come up as often"


def test_another_meaning_seed_says_other_things_in_the_same_words():
    first, second = (Counter(" ".join(text_of(sentences=3000, meaning_seed=seed)).split()) for seed in (0, 1))
    assert text_of(sentences=50, meaning_seed=0) != text_of(sentences=50, meaning_seed=1)
    assert len(first.keys() & second.keys()) > 0.6 * len(first)


def test_word_frequencies_are_zipfian(words):
    counts = np.array(sorted(Counter(words).values(), reverse=True))[:300]
    slope = np.polyfit(np.log(np.arange(1, 301)), np.log(counts), 1)[0]
    assert -1.25 < slope < -0.75


def test_frequent_words_are_short(words):
    ranked = [word for word, _ in Counter(words).most_common()]
    assert np.mean([len(word) for word in ranked[:50]]) < np.mean([len(word) for word in ranked[50:400]]) - 1


def test_few_sentences_repeat():
    lines = list(generate_text(DEMO_LANGUAGES["qaa"]))
    assert len(set(lines)) > 0.95 * len(lines)


@pytest.mark.parametrize(("neighbours", "nats_saved"), [((-1,), 2.0), ((1,), 2.0), ((-1, 1), 2.8)])
def test_context_predicts_words(words, neighbours, nats_saved):
    cut = int(0.9 * len(words))
    train, test = words[:cut], words[cut:]
    assert _entropy(train, test, ()) - _entropy(train, test, neighbours) > nats_saved


def _entropy(train: list[str], test: list[str], neighbours: tuple[int, ...]) -> float:
    """Cross-entropy in nats of a word given neighbours, interpolated with the unigram."""
    unigram = Counter(train)
    tables: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for place in range(1, len(train) - 1):
        tables[tuple(train[place + step] for step in neighbours)][train[place]] += 1
    losses = []
    for place in range(1, len(test) - 1):
        table = tables.get(tuple(test[place + step] for step in neighbours), Counter())
        prior = (unigram[test[place]] + 0.5) / (len(train) + 0.5 * len(unigram) + 0.5)
        losses.append(-math.log((table[test[place]] + 5 * prior) / (table.total() + 5)))
    return float(np.mean(losses))
