"""A study's settings expand to its runs. Every mono run that a mixture is compared with is made once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pydantic import ValidationError

from detente.errors import ConfigError
from detente.prepare import vocabulary_name
from detente.settings import AdapterSettings, MetaSettings, RunSettings, StudySettings, TreatmentName

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


def plan_runs(study: StudySettings) -> list[PlannedRun]:
    """Seeds outermost, so that an unfinished study has whole comparisons; mono before joint, cheap treatments first."""
    return [PlannedRun(run) for seed in study.seeds for run in _runs_of_seed(study, seed)]


def mixtures(study: StudySettings) -> list[tuple[str, ...]]:
    """Every mixture once, smallest first; `mono`, `pairs` and `joint` written out."""
    found: dict[tuple[str, ...], None] = {}
    for mixture in study.mixtures:
        for labels in _expand(mixture, tuple(study.languages)):
            found.setdefault(labels)
    return sorted(found, key=len)


def _expand(mixture: str | tuple[str, ...], labels: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(mixture, str):
        # In the study's order, so that [sw, en] and [en, sw] are one mixture.
        yield tuple(label for label in labels if label in mixture)
    elif mixture == "joint":
        yield labels
    else:
        yield from combinations(labels, 1 if mixture == "mono" else 2)


def _runs_of_seed(study: StudySettings, seed: int) -> Iterator[RunSettings]:
    for mixture in mixtures(study):
        if len(mixture) == 1:
            yield _run(study, mixture, seed, treatment="none")
            continue
        for treatment in study.treatments:
            yield _run(study, mixture, seed, treatment=treatment)
        for name, variant in study.variants.items():
            yield _run(study, mixture, seed, treatment=variant.treatment, variant=name)


def _run(
    study: StudySettings, mixture: tuple[str, ...], seed: int, *, treatment: TreatmentName, variant: str = ""
) -> RunSettings:
    """Settings that a treatment does not use are left at their defaults: changing them must not redo its runs."""
    by_examples = study.budget == "examples"
    steps = study.training.steps * (len(mixture) if by_examples else 1)
    adapter, meta = study.system_settings(variant)
    try:
        return RunSettings(
            mixture=mixture,
            treatment=treatment,
            variant=variant,
            seed=seed,
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
