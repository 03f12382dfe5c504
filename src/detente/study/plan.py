"""A study's settings expand to its runs. Every mono run that a mixture is compared with is made once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from detente.errors import ConfigError
from detente.prepare import vocabulary_name
from detente.settings import AdapterSettings, MetaSettings, RunSettings, StudySettings
from detente.settings.grid import ExcludeSettings, IncludeSettings

ADAPTED: frozenset[str] = frozenset({"adapter", "shared-adapter", "meta-adapter"})


@dataclass(frozen=True)
class PlannedRun:
    """One run of the grid."""

    settings: RunSettings

    @property
    def name(self) -> str:
        """Unique within the study."""
        return self.settings.name


def study_folder(study: StudySettings) -> Path:
    """Where a study writes."""
    return Path(study.folder) if study.folder else Path("studies") / study.name


class Cell(NamedTuple):
    """Of the grid."""

    seed: int
    mixture: tuple[str, ...]
    system: str


def plan_runs(study: StudySettings) -> list[PlannedRun]:
    """Seeds outermost, so that an unfinished study has whole comparisons; mono before joint, cheap treatments first.

    Raises:
        ConfigError: an entry of `exclude` or `include` changes nothing, or no run is left.
    """
    return [PlannedRun(_run(study, cell)) for cell in _cells(study)]


def mixtures(study: StudySettings) -> list[tuple[str, ...]]:
    """Every mixture that has a run, once, smallest first."""
    return sorted(dict.fromkeys(cell.mixture for cell in _cells(study)), key=len)


def _cells(study: StudySettings) -> list[Cell]:
    found = list(_grid(study, study.seeds, study.mixtures, None))
    for excluded in study.exclude:
        kept = [cell for cell in found if not _agrees(study, cell, excluded)]
        if len(kept) == len(found):
            raise ConfigError(f"`exclude`: no run has {_said(excluded)}, or an entry before leaves it out. Remove it.")
        found = kept
    for included in study.include:
        more = [cell for cell in _added(study, included) if cell not in found]
        if not more:
            raise ConfigError(f"`include`: {_said(included)} adds no run to those that are there. Remove it.")
        found += more
    if not found:
        raise ConfigError("`exclude` leaves no run. Take an entry away.")
    order = list(dict.fromkeys(cell.seed for cell in found))
    return sorted(found, key=lambda cell: (order.index(cell.seed), len(cell.mixture)))


def _added(study: StudySettings, part: IncludeSettings) -> Iterator[Cell]:
    seeds = study.seeds if part.seed is None else (part.seed,)
    return _grid(study, seeds, study.mixtures if part.mixture is None else (part.mixture,), part.treatment)


def _grid(
    study: StudySettings, seeds: Sequence[int], some: Sequence[str | tuple[str, ...]], system: str | None
) -> Iterator[Cell]:
    """Under all the grid's systems, or one. A mono run is untreated whatever they are."""
    systems = (*study.treatments, *study.variants) if system is None else (system,)
    wanted = dict.fromkeys(labels for mixture in some for labels in _expand(mixture, tuple(study.languages)))
    for seed in seeds:
        for mixture in sorted(wanted, key=len):
            if len(mixture) > 1:
                yield from (Cell(seed, mixture, name) for name in systems)
            elif system in (None, "none"):
                yield Cell(seed, mixture, "none")


def _agrees(study: StudySettings, cell: Cell, part: ExcludeSettings) -> bool:
    return (
        part.seed in (None, cell.seed)
        and part.treatment in (None, cell.system)
        and (part.mixture is None or cell.mixture in _expand(part.mixture, tuple(study.languages)))
    )


def _said(part: ExcludeSettings | IncludeSettings) -> str:
    """As it was given."""
    given = part.model_dump(exclude_none=True)
    return ", ".join(f"{name} {list(value) if isinstance(value, tuple) else value}" for name, value in given.items())


def _expand(mixture: str | tuple[str, ...], labels: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(mixture, str):
        # In the study's order, so that [sw, en] and [en, sw] are one mixture.
        yield tuple(label for label in labels if label in mixture)
    elif mixture == "joint":
        yield labels
    else:
        yield from combinations(labels, 1 if mixture == "mono" else 2)


def _run(study: StudySettings, cell: Cell) -> RunSettings:
    """Settings that a treatment does not use are left at their defaults: changing them must not redo its runs."""
    mixture = cell.mixture
    treatment, variant = study.systems[cell.system] if len(mixture) > 1 else ("none", "")
    by_examples = study.budget == "examples"
    steps = study.training.steps * (len(mixture) if by_examples else 1)
    adapter, meta = study.system_settings(variant)
    try:
        return RunSettings(
            mixture=mixture,
            treatment=treatment,
            variant=variant,
            seed=cell.seed,
            encoder=study.encoder,
            adapter=adapter if treatment in ADAPTED else AdapterSettings(),
            meta=meta if treatment == "meta-adapter" else MetaSettings(),
            batches=study.batches,
            training=study.training.model_copy(update={"steps": steps}),
            watch=study.watch,
            vocabulary=vocabulary_name(study, mixture),
            drawn_evenly=by_examples,
        )
    except ValidationError as error:
        raise ConfigError(*(details["msg"].removeprefix("Value error, ") + "." for details in error.errors())) from None


def planned_tunings(study: StudySettings, mixture: tuple[str, ...]) -> Iterator[tuple[str, str, int]]:
    """Task, source language and seed of each fine-tuning of a run; a mixture without a task's sources has none."""
    constructed = [label for label, language in study.languages.items() if language.constructed is not None]
    for name, task in study.tasks.items():
        # Constructed languages without files are given some.
        having = [label for label, files in task.data.items() if files.train]
        having += [label for label in constructed if label not in task.data]
        sources = [label for label in having if label in (task.sources or having) and label in mixture]
        yield from ((name, source, seed) for source in sources for seed in task.seeds)
