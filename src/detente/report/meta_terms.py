"""What the runs of meta-adapters measured of the meta step's two terms (method 5), and which systems differ in second order alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from detente.report.comparisons import flatten
from detente.report.inventory import Study, System
from detente.report.statistics import Estimate, estimate
from detente.results import MetaTerms
from detente.settings.run import AdapterSettings, MetaSettings

# Settings that change nothing once the second-order term is left out, or nothing ever.
FREE_OF_TWINS = frozenset({"meta.second_order", "meta.epsilon", "meta.measure_every", "meta.skip_limit"})
# Share of the batch that g is taken on: without second order it only decides where theta' lies, a step of beta away.
NEARLY_FREE = frozenset({"meta.inner_fraction"})
DEFAULTS = dict(
    flatten({"adapter": AdapterSettings().model_dump(mode="json"), "meta": MetaSettings().model_dump(mode="json")})
)


@dataclass(frozen=True)
class Twins:
    """Two systems with the same settings but for the second-order term."""

    full: System
    without: System
    also: tuple[str, ...] = ()
    """What else they differ in."""


def meta_systems(study: Study) -> tuple[System, ...]:
    """Of the treatment `meta-adapter`, in the study's order."""
    return tuple(system for system in study.systems if system.treatment == "meta-adapter")


def has_terms(study: Study) -> bool:
    """Whether any run measured them; runs of earlier versions did not."""
    return any(run.record.meta for run in study.runs)


def terms_of(study: Study, system: System) -> dict[int, MetaTerms]:
    """Seed -> medians of the run."""
    runs = study.by_system.get(system, {})
    return {seed: run.record.meta for seed, run in runs.items() if run.record.meta}


def over_seeds(terms: Mapping[int, MetaTerms], pick: Callable[[MetaTerms], float | None]) -> Estimate | None:
    """Of the runs that have the number."""
    values = [value for one in terms.values() if (value := pick(one)) is not None]
    return estimate(values) if values else None


def second_order_share(terms: MetaTerms) -> float | None:
    """Of the direct term's norm."""
    return terms.ratio


def noise_share(terms: MetaTerms) -> float | None:
    """Of the direct term's norm."""
    return terms.direct_noise / terms.direct_norm if terms.direct_noise is not None and terms.direct_norm else None


def verdict_word(settings: Mapping[str, Any], terms: Mapping[int, MetaTerms]) -> str:
    """What becomes of the second-order term in the runs of one system; `settings` by their full names."""
    if settings["meta.second_order"] == "none":
        return "left out"
    if settings["meta.meta_languages"] == "others":
        return "no direct term"
    known = [one for one in terms.values() if one.second_order_norm is not None and one.direct_noise is not None]
    below = sum(one.is_below_noise for one in known)
    if not known:
        return "not measured"
    if below in (0, len(known)):
        return "below noise" if below else "above noise"
    return f"below noise in {below} of {len(known)}"


def settings_of(study: Study, system: System) -> dict[str, Any] | None:
    """Adapter and meta settings by their full names; None without a run."""
    for run in study.by_system.get(system, {}).values():
        # A record of an earlier version lacks the settings that came later.
        return DEFAULTS | {key: value for key, value in flatten(run.record.settings) if key in DEFAULTS}
    return None


def twins(study: Study) -> tuple[Twins, ...]:
    """Every system with a second-order term beside the one that is closest to it without, where one is close enough."""
    known = {system: settings for system in meta_systems(study) if (settings := settings_of(study, system))}
    without = [system for system, settings in known.items() if settings["meta.second_order"] == "none"]
    found = []
    for system in (system for system in known if system not in without):
        others = [other for other in without if other.mixture == system.mixture]
        pairs = [Twins(system, other, _differing(known[system], known[other])) for other in others]
        close = [pair for pair in pairs if NEARLY_FREE.issuperset(pair.also)]
        found += sorted(close, key=lambda pair: len(pair.also))[:1]
    return tuple(found)


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key for key in first if first[key] != second[key] and key not in FREE_OF_TWINS)
