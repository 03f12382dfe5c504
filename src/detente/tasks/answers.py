"""Right answers: how a predicted answer is held against the gold ones, after case, punctuation and articles are taken out.

Two published rules, each under its own name: `squad`, of the SQuAD 1.1 script (Rajpurkar et al. 2016), which TyDiQA-GoldP and
XQuAD are scored with, English articles in all languages; and `mlqa`, of MLQA's script (Lewis et al. 2020).
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Literal

from detente.errors import ConfigError

Normalisation = Literal["squad", "mlqa"]
Normalise = Callable[[str], str]

# MLQA's languages. Hindi and Chinese have no articles; in Arabic the article is part of the word.
_ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "hi": None,
    "vi": "\\b(c\u1ee7a|l\u00e0|c\u00e1i|chi\u1ebfc|nh\u1eefng)\\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    # The script means the beginnings of words, but its expression, `\s<al>^|<al>`, takes `al` out of the middle too.
    "ar": "\u0627\u0644",
    "zh": None,
}
# Not all of Han: later additions to the block, and its extensions, stay joined.
_CHINESE = re.compile("([\u4e00-\u9fa5])")


def normaliser(name: Normalisation, *, language: str) -> Normalise:
    """The rule of this name for answers in `language`.

    Raises:
        ConfigError: `mlqa` says nothing about the language.
    """
    if name == "squad":
        return normalise_squad
    if language not in _ARTICLES:
        known = ", ".join(_ARTICLES)
        raise ConfigError(f"the normalisation `mlqa` is for {known}, found `{language}`. Use `squad`.")
    return partial(normalise_mlqa, language=language)


def normalise_squad(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, words parted by one blank."""
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def normalise_mlqa(text: str, *, language: str) -> str:
    """Lower case, without punctuation of any script and the language's articles; each Chinese character is a word (`zh`)."""
    bare = "".join(character for character in text.lower() if not _is_punctuation(character))
    articles = _ARTICLES[language]
    if articles is not None:
        bare = re.sub(articles, " ", bare)
    if language == "zh":
        bare = _CHINESE.sub(r" \1 ", bare)
    return " ".join(bare.split())


def exact_match(predicted: str, gold: Sequence[str], normalise: Normalise) -> float:
    """1 where the answer is one of the gold ones, else 0."""
    answer = normalise(predicted)
    return float(any(answer == normalise(each) for each in gold))


def word_f1(predicted: str, gold: Sequence[str], normalise: Normalise) -> float:
    """F1 of the words shared with the nearest gold answer, in [0, 1].

    0 where no word is shared, also where neither answer has words left: `exact_match` is 1 there, in both scripts too.
    """
    words = Counter(normalise(predicted).split())
    return max(_f1(words, Counter(normalise(each).split())) for each in gold)


def _f1(predicted: Counter[str], gold: Counter[str]) -> float:
    shared = (predicted & gold).total()
    return 2 * shared / (predicted.total() + gold.total()) if shared else 0.0


@lru_cache(maxsize=1 << 16)
def _is_punctuation(character: str) -> bool:
    # ASCII has punctuation that Unicode counts among the symbols, such as `$` and `+`.
    return character in string.punctuation or unicodedata.category(character).startswith("P")
