"""What the variants of a study are variants of, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detente.report.comparisons import OF_A_SYSTEM, flatten
from detente.report.inventory import Run, Study


@dataclass(frozen=True)
class VariantFacts:
    """One variant, for the page."""

    name: str
    treatment: str
    settings: str
    """Those in which it differs from its treatment, or else from the treatment's other variants."""


def variant_facts(study: Study) -> tuple[VariantFacts, ...]:
    """Of every variant that has a run, in the study's order."""
    runs: dict[tuple[str, str], Run] = {}
    for run in study.runs:
        runs.setdefault((run.record.treatment, run.record.variant), run)
    settings = {key: _own_settings(run) for key, run in runs.items()}
    places = {name: place for place, name in enumerate(study.variants)}
    variants = sorted((key for key in settings if key[1]), key=lambda key: places[key[1]])
    return tuple(VariantFacts(name, treatment, _words(settings, (treatment, name))) for treatment, name in variants)


def _own_settings(run: Run) -> dict[str, Any]:
    return {key: value for key, value in flatten(run.record.settings) if key.startswith(OF_A_SYSTEM)}


def _words(settings: Mapping[tuple[str, str], Mapping[str, Any]], variant: tuple[str, str]) -> str:
    treatment, own = variant[0], settings[variant]
    base = settings.get((treatment, ""))
    others = [base] if base is not None else [some for key, some in settings.items() if key[0] == treatment]
    differing = [key for key in own if any(other.get(key) != own[key] for other in others)]
    return ", ".join(f"{key}: {_value(own[key])}" for key in differing) or "the same settings"


def _value(value: object) -> str:
    """As in a study file."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
