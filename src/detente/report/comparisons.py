"""Numbers of a study that compare two systems on one language, paired by seed."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from detente.report.inventory import Run, Study, System, mono
from detente.report.statistics import Estimate, Word, estimate, paired_differences, ratio, word_for
from detente.results import LanguageResult

Pick = Callable[[LanguageResult], float]

# Settings in which the runs of a sound study differ. Steps are compared among mixtures of one size.
FREE_SETTINGS = ("mixture", "treatment", "variant", "seed", "vocabulary", "training.steps")
# Settings that only some treatments read, and that variants differ in by intention: the others leave them at their defaults.
OF_A_SYSTEM = ("adapter.", "meta.")


def bits(result: LanguageResult) -> float:
    """The score that interference is measured in: it survives a change of vocabulary."""
    return result.test.bits_per_character


@dataclass(frozen=True)
class Comparison:
    """Bits per character of a system minus those of a reference; above zero the system is worse."""

    difference: Estimate
    has_learned: bool
    """Whether all runs on both sides have left the unigram plateau."""
    exposure: float
    """Blocks of the language that the system was shown, over those of the reference."""

    @property
    def word(self) -> Word:
        """A model that has not learned yet cannot show interference, whatever its interval."""
        return word_for(self.difference) if self.has_learned else "cannot tell"


def by_seed(study: Study, system: System, language: str, pick: Pick) -> dict[int, float]:
    """Seed -> one number of one language."""
    return {seed: pick(result) for seed, result in study.results(system, language).items()}


def has_learned(study: Study, system: System, language: str) -> bool:
    """Whether every seed has left the unigram plateau."""
    return all(result.has_learned for result in study.results(system, language).values())


def compare(study: Study, system: System, reference: System, language: str) -> Comparison | None:
    """System against reference over the seeds that both have; None without one."""
    ours, theirs = study.results(system, language), study.results(reference, language)
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    pairs = [(ours[seed], theirs[seed]) for seed in seeds]
    seen, reference_seen = (sum(pair[side].blocks_seen for pair in pairs) for side in (0, 1))
    return Comparison(
        difference=estimate([bits(our) - bits(their) for our, their in pairs]),
        has_learned=all(our.has_learned and their.has_learned for our, their in pairs),
        exposure=seen / reference_seen if reference_seen else math.nan,
    )


def interference(study: Study, system: System, language: str) -> Comparison | None:
    """Score in the mixture minus score alone: positive, the mixture hurts (method 1)."""
    return None if system.is_mono else compare(study, system, mono(language), language)


def interference_by_seed(study: Study, system: System, language: str) -> dict[int, float]:
    """Seed -> interference."""
    ours, theirs = by_seed(study, system, language, bits), by_seed(study, mono(language), language, bits)
    return {} if system.is_mono else paired_differences(ours, theirs)


def against_untreated(study: Study, system: System, language: str) -> Comparison | None:
    """A treated mixture against the same mixture without treatment."""
    return compare(study, system, System(system.mixture, "none"), language)


def recovered(study: Study, system: System, language: str) -> Estimate | None:
    """Share of the untreated mixture's interference that a treatment takes away; 1 is all of it.

    None unless the untreated mixture hurts beyond doubt and all runs have learned: a share of nothing is noise.
    """
    untreated = System(system.mixture, "none")
    gain, lost = against_untreated(study, system, language), interference(study, untreated, language)
    if system.is_untreated or not (gain and lost and gain.has_learned and lost.word == "hurt"):
        return None
    losses = interference_by_seed(study, untreated, language)
    left = interference_by_seed(study, system, language)
    seeds = sorted(losses.keys() & left.keys())
    if len(seeds) < 2:
        return None
    return ratio([losses[seed] - left[seed] for seed in seeds], [losses[seed] for seed in seeds])


def inconsistencies(study: Study) -> tuple[str, ...]:
    """Sentences on whatever keeps the runs from comparing like with like."""
    return (*_unequal_settings(study.runs), *_unequal_steps(study.runs), *_unequal_data(study.runs))


def _unequal_settings(runs: tuple[Run, ...]) -> Iterator[str]:
    values: dict[tuple[str, str], set[str]] = {}
    for record in (run.record for run in runs):
        for key, value in flatten(record.settings):
            system = record.system if key.startswith(OF_A_SYSTEM) else ""
            values.setdefault((key, system), set()).add(json.dumps(value))
    for (key, system), found in sorted(values.items()):
        if len(found) > 1 and key not in FREE_SETTINGS:
            whose = f"runs with {system}" if system else "runs"
            yield f"The {whose} differ in the setting {key}: {' and '.join(sorted(found))}."


def _unequal_steps(runs: tuple[Run, ...]) -> Iterator[str]:
    for size in sorted({len(run.record.mixture) for run in runs}):
        steps = sorted({run.record.steps for run in runs if len(run.record.mixture) == size})
        if len(steps) > 1:
            yield f"Runs of {size} language{'s' if size > 1 else ''} differ in steps: {' and '.join(map(str, steps))}."


def _unequal_data(runs: tuple[Run, ...]) -> Iterator[str]:
    stores: dict[tuple[str, str], set[str]] = {}
    for record in (run.record for run in runs):
        for label, result in record.languages.items():
            stores.setdefault((label, record.vocabulary), set()).add(result.data)
    for (label, _), checksums in sorted(stores.items()):
        if len(checksums) > 1:
            yield f"The runs were not all trained and tested on the same text of {label}."


def flatten(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their full names, as `meta.every`."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
