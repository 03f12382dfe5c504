"""What can be wrong with a study's mixtures, and with what is left out of its grid or added to it."""

from collections.abc import Iterator
from typing import get_args

from detente.errors import did_you_mean
from detente.settings.grid import ExcludeSettings, IncludeSettings
from detente.settings.run import TreatmentName
from detente.settings.study import StudySettings

MIXTURE_WORDS = ("mono", "pairs", "joint")


def grid_problems(study: StudySettings) -> Iterator[str]:
    """Sentences."""
    for mixture in study.mixtures:
        yield from _mixture_problems(study, "mixtures", mixture)
    for group in ("exclude", "include"):
        for place, part in enumerate(getattr(study, group)):
            yield from _part_problems(study, f"{group}.{place}", part)


def _mixture_problems(study: StudySettings, where: str, mixture: str | tuple[str, ...]) -> Iterator[str]:
    if isinstance(mixture, str):
        if mixture not in MIXTURE_WORDS:
            hint = f" For one language alone write [[{mixture}]]." if mixture in study.languages else ""
            yield f"`{where}`: `{mixture}` is none of {', '.join(MIXTURE_WORDS)}.{did_you_mean(mixture, MIXTURE_WORDS)}{hint}"
        elif mixture != "mono" and len(study.languages) < 2:
            yield f"`{where}`: `{mixture}` needs two languages or more, found {len(study.languages)}."
        return
    for label in mixture:
        if label not in study.languages:
            yield f"`{where}`: `{label}` is not among `languages`.{did_you_mean(label, study.languages)}"
    if len(set(mixture)) < len(mixture) or not mixture:
        yield f"`{where}`: {list(mixture)} must name one or more different languages."


def _part_problems(study: StudySettings, where: str, part: ExcludeSettings | IncludeSettings) -> Iterator[str]:
    if not part.model_dump(exclude_none=True):
        yield f"`{where}` is empty. Say which runs: `mixture`, `treatment`, `seed`, or several of them."
    if part.mixture is not None:
        yield from _mixture_problems(study, f"{where}.mixture", part.mixture)
    known = [*get_args(TreatmentName), *study.variants]
    if part.treatment is not None and part.treatment not in known:
        yield (
            f"`{where}.treatment`: `{part.treatment}` is neither a treatment nor one of `variants`.{did_you_mean(part.treatment, known)}"
        )
