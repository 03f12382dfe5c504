"""How a study takes its places in the source's tables: one language stands in every mixture, the others are the columns.

The source always pairs with English and transfers from it zero-shot. Here that language is the one that most mixtures have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from detente.report.inventory import TREATMENTS, Study, System, mono
from detente.report.study_languages import wholes

MONO = "Mono"
JOINT_PAIR = "JointPair"
JOINTS = {2: JOINT_PAIR, 3: "JointTri"}
"""Number of languages -> the source's name of their untreated mixture."""
TREATED = {
    "ffn": "+ ffn",
    "attention": "+ attn",
    "adapter": "+ adpt",
    "shared-adapter": "+ share adpt",
    "meta-adapter": "+ meta adpt",
}
"""Treatment -> the source's name."""


@dataclass(frozen=True)
class PaperRow:
    """A row: which system stands in each column."""

    label: str
    systems: Mapping[str, System]
    """Column's language -> system; without those that the study does not ask for."""


@dataclass(frozen=True)
class Company:
    """What columns have in common: mixtures of one size, one for each language."""

    label: str
    size: int
    mixtures: Mapping[str, tuple[str, ...]]
    """Column's language -> mixture."""


@dataclass(frozen=True)
class Layout:
    """Of one study."""

    source: str
    """In every mixture that counts; zero-shot transfer goes from it."""
    targets: tuple[str, ...]
    """Columns: what is trained together with the source language."""
    companies: tuple[Company, ...]
    smaller: Mapping[str, str]
    """Target with a part of its text left out -> the same with all of it."""


def layout_of(study: Study) -> Layout | None:
    """None where no run trains two languages together."""
    if not study.mixtures:
        return None
    sources = {
        record.source
        for run in study.runs
        for record in run.tasks
        if any(score.setting == "zero-shot" for score in record.scores)
    }
    candidates = [label for label in study.languages if label in sources] or study.languages
    source = max(candidates, key=lambda label: sum(label in mixture for mixture in study.mixtures))
    companies = tuple(_companies(study, source))
    known = {label for company in companies for label in company.mixtures}
    targets = tuple(label for label in study.languages if label in known)
    smaller = {part: whole for part, whole in wholes(study.known_languages).items() if {part, whole} <= known}
    return Layout(source, targets, companies, smaller)


def mono_row(study: Study, languages: Sequence[str]) -> PaperRow:
    """Every column's language alone."""
    return PaperRow(MONO, {label: mono(label) for label in languages if mono(label) in study.by_system})


def company_rows(study: Study, company: Company) -> list[PaperRow]:
    """Untreated, then the treatments in the source's order, then variants."""
    mixtures = set(company.mixtures.values())
    order = (*TREATMENTS, *study.variants)
    names = dict.fromkeys(name for name in order for system in study.systems if system.name == name)
    rows = [PaperRow(_label(company, name), _systems(study, company, name)) for name in names]
    return [row for row in rows if any(system.mixture in mixtures for system in row.systems.values())]


def _companies(study: Study, source: str) -> Iterator[Company]:
    mixtures = [mixture for mixture in study.mixtures if source in mixture]
    for size in sorted({len(mixture) for mixture in mixtures}):
        alike = [mixture for mixture in mixtures if len(mixture) == size]
        pairs = [(label, mixture) for mixture in alike for label in mixture if label != source]
        if len(dict(pairs)) == len(pairs):
            yield Company(JOINTS.get(size, f"Joint{size}"), size, dict(pairs))
        else:
            # A language that is in two of them has no place in one row.
            for mixture in alike:
                columns = {label: mixture for label in mixture if label != source}
                yield Company(f"Joint {'+'.join(mixture)}", size, columns)


def _label(company: Company, name: str) -> str:
    if name == "none":
        return company.label
    treated = TREATED.get(name, f"+ {name}")
    return treated if company.label == JOINT_PAIR else f"{company.label} {treated}"


def _systems(study: Study, company: Company, name: str) -> dict[str, System]:
    return {
        label: system
        for label, mixture in company.mixtures.items()
        for system in study.systems
        if (system.mixture, system.name) == (mixture, name)
    }
