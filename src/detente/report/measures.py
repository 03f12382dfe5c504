"""The numbers that tables show of every system, seed and language, with their unit and direction."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from detente.report import numbers
from detente.report.comparisons import bits, by_seed, interference_by_seed
from detente.report.inventory import Study, System
from detente.report.statistics import Estimate
from detente.results import METRICS, LanguageResult

Values = Callable[[Study, System, str], dict[int, float]]


@dataclass(frozen=True)
class Measure:
    """A number of each system, seed and language, and how to show it."""

    key: str
    title: str
    caption: str
    values: Values
    show: Callable[[Estimate], str]
    direction: Literal["lower", "higher"] | None = None
    """With one, the best of a column is marked."""
    needs_one_vocabulary: bool = False
    """Whether numbers under different vocabularies must not be compared."""
    baseline: Callable[[LanguageResult, float], float] | None = None
    """The measure of a count model's cross-entropy (nats per token) on the same text."""


def bits_of_nats(result: LanguageResult, nats: float) -> float:
    """Bits per character of a cross-entropy per token, on the text that `result` was scored on."""
    if not result.test.loss:
        return math.nan
    tokens_per_character = result.test.bits_per_character / (result.test.loss / math.log(2))
    return nats / math.log(2) * tokens_per_character


def _test(name: str) -> Values:
    return lambda study, system, language: by_seed(study, system, language, lambda result: getattr(result.test, name))


def _early_loss(study: Study, system: System, language: str) -> dict[int, float]:
    return by_seed(study, system, language, lambda result: result.early_loss)


BITS = Measure(
    "bits-per-character",
    "Bits per character",
    "Bits per character on the test split; lower is better. Mean over seeds and 95 % interval.",
    lambda study, system, language: by_seed(study, system, language, bits),
    numbers.plain,
    METRICS["bits_per_character"][1],
    baseline=bits_of_nats,
)
INTERFERENCE = Measure(
    "interference",
    "Interference",
    "Bits per character in the mixture minus those of mono, paired by seed; above zero the mixture hurts. Mean and 95 % interval.",
    interference_by_seed,
    numbers.signed,
)
PERPLEXITY = Measure(
    "perplexity",
    "Perplexity",
    "Perplexity of masked tokens on the test split; lower is better, and comparable under one vocabulary only.",
    _test("perplexity"),
    numbers.perplexity,
    METRICS["perplexity"][1],
    needs_one_vocabulary=True,
    baseline=lambda _, nats: math.exp(nats),
)
EARLY_LOSS = Measure(
    "early-loss",
    "Early training loss",
    "Mean training loss of each language over the first fifth of its steps, in nats per target; lower is faster.",
    _early_loss,
    numbers.plain,
    needs_one_vocabulary=True,
)
