"""Learning curves out of `metrics.jsonl`: step -> mean and range over seeds, for one system and language."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detente.errors import RecordError
from detente.report.inventory import Study, System
from detente.results import METRICS_FILE, read_metrics

EARLY_FRACTION = 0.2
EARLY_STRETCHES = 20
# A language is drawn at random in every step, so a shorter stretch would often be without it.
SHORTEST_STRETCH = 5
LARGEST_LOSS = 700.0
"""In nats: exp of more has no floating-point number."""

Series = dict[int, float]


@dataclass(frozen=True)
class Curve:
    """One line of a figure."""

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int


@dataclass(frozen=True)
class RunCurves:
    """What the figures need of one run, language -> step -> value."""

    validation: dict[str, Series]
    """Bits per character."""
    early_loss: dict[str, Series]
    """Training loss in nats over the first fifth of the steps, averaged over short stretches."""
    perplexity: dict[str, Series]
    """On the validation split."""


class CurveBook:
    """The curves of a study; each file is read once, however large, keeping only what is drawn.

    Raises:
        RecordError: a run's metrics are damaged.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._of_run = {run.folder: _read_curves(run.folder, run.record.steps) for run in study.runs}

    def validation(self, system: System, language: str) -> Curve | None:
        """Bits per character on the validation split."""
        return _over_seeds([curves.validation.get(language, {}) for curves in self._curves(system)])

    def perplexity(self, system: System, language: str) -> Curve | None:
        """On the validation split; comparable under one vocabulary only."""
        return _over_seeds([curves.perplexity.get(language, {}) for curves in self._curves(system)])

    def mean_early_loss(self, system: System) -> Curve | None:
        """Training loss in the first fifth of the steps, mean over the languages of the mixture."""
        return _over_seeds([_mean_over(list(curves.early_loss.values())) for curves in self._curves(system)])

    def early_loss(self, system: System, language: str) -> Curve | None:
        """Training loss in the first fifth of the steps."""
        return _over_seeds([curves.early_loss.get(language, {}) for curves in self._curves(system)])

    def _curves(self, system: System) -> list[RunCurves]:
        runs = self._study.by_system.get(system, {}).values()
        return [self._of_run[run.folder] for run in runs]


def _over_seeds(series: Sequence[Series]) -> Curve | None:
    """At the steps that all seeds have; None without any."""
    present = [one for one in series if one]
    steps = sorted(set.intersection(*(set(one) for one in present))) if present else []
    if not steps:
        return None
    columns = [[one[step] for one in present] for step in steps]
    means = tuple(math.fsum(column) / len(column) for column in columns)
    return Curve(tuple(steps), means, tuple(map(min, columns)), tuple(map(max, columns)), len(present))


def _mean_over(languages: Sequence[Series]) -> Series:
    """At the steps that all have."""
    steps = sorted(set.intersection(*map(set, languages))) if languages else []
    return {step: math.fsum(one[step] for one in languages) / len(languages) for step in steps}


def _read_curves(run_folder: Path, steps: int) -> RunCurves:
    try:
        return _curves_in(read_metrics(run_folder), steps)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        name = f"{run_folder.name}/{METRICS_FILE}"
        raise RecordError(
            f"{name} is damaged ({error}). Delete it: the report then goes without the curves of this run."
        ) from None


def _curves_in(lines: Iterable[dict[str, Any]], steps: int) -> RunCurves:
    early_steps = max(1, int(EARLY_FRACTION * steps))
    stretch = max(SHORTEST_STRETCH, math.ceil(early_steps / EARLY_STRETCHES))
    validation: dict[str, Series] = {}
    perplexity: dict[str, Series] = {}
    losses: dict[str, dict[int, list[float]]] = {}
    for line in lines:
        if line["kind"] == "validation":
            for label, value in line["bits_per_character"].items():
                validation.setdefault(label, {})[line["step"]] = value
            for label, loss in line["loss"].items():
                perplexity.setdefault(label, {})[line["step"]] = math.exp(loss) if loss < LARGEST_LOSS else math.inf
        elif line["kind"] == "train" and line["step"] <= early_steps:
            for label, value in line["loss"].items():
                losses.setdefault(label, {}).setdefault(_middle(line["step"], stretch), []).append(value)
    early = {
        label: {step: math.fsum(some) / len(some) for step, some in bins.items()} for label, bins in losses.items()
    }
    return RunCurves(validation, early, perplexity)


def _middle(step: int, stretch: int) -> int:
    """The step in the middle of the stretch that `step` belongs to."""
    return (step - 1) // stretch * stretch + (stretch + 1) // 2
