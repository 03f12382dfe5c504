"""What stands in the source's Tables 2 to 7: which columns and which blocks of rows, for the languages and tasks of a study."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from detente.report.inventory import Study
from detente.report.paper_layout import Company, Layout, PaperRow, company_rows, mono_row
from detente.task_results import Setting

WITHIN, ZERO_SHOT = "Within-language monolingual", "Zero-shot cross-lingual"
EXACT = "exact_match"
MEASURES = {"ner": "F1", "pos": "F1", "qa": "F1", "nli": "accuracy"}


@dataclass(frozen=True)
class Spot:
    """Of what a number is."""

    task: str
    kind: str
    language: str
    metric: str = ""
    """Empty for the task's main one."""


@dataclass(frozen=True)
class Place:
    """A column."""

    group: str
    title: str
    spots: tuple[Spot, ...]
    """One; of an average, those that it is of."""


@dataclass(frozen=True)
class Block:
    """Rows that are compared with each other."""

    title: str
    setting: Setting
    rows: tuple[PaperRow, ...]
    is_of_source: bool = False
    """Whether the numbers are scores of the source language, beside that of the column."""


@dataclass(frozen=True)
class Contents:
    """What a table is of."""

    caption: str
    places: Sequence[Place]
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Kind:
    """One of the source's tables."""

    title: str
    needs: str
    """What a study must have for it."""
    build: Callable[[Study, Layout], Contents]


def _table_2(study: Study, layout: Layout) -> Contents:
    return _by_language(study, layout, ("ner", "pos"), "F1 of entities and of parts of speech.")


def _table_3(study: Study, layout: Layout) -> Contents:
    return _by_language(study, layout, ("qa",), "F1 of words in the answer.")


def _by_language(study: Study, layout: Layout, kinds: Sequence[str], caption: str) -> Contents:
    """Tables 2, 3 and 6: the languages of each task side by side, and their average."""
    targets = [label for label in layout.targets if label not in layout.smaller]
    places = [place for task, kind in tasks_of(study, kinds) for place in _task_places(study, task, kind, targets)]
    blocks = _both_blocks(study, layout, targets)
    return Contents(caption, places, blocks)


def _task_places(study: Study, task: str, kind: str, targets: Sequence[str]) -> Iterator[Place]:
    group = named_task(task, kind, MEASURES[kind])
    spots = [Spot(task, kind, label) for label in targets if label in _tested(study, task)]
    yield from (Place(group, spot.language, (spot,)) for spot in spots)
    if len(spots) > 1:
        yield Place(group, "avg", tuple(spots))


def _table_4(study: Study, layout: Layout) -> Contents:
    """Pairs beside larger mixtures with the same languages."""
    pairs, larger = ([each for each in layout.companies if (each.size > 2) is is_larger] for is_larger in (False, True))
    both = {label for each in pairs for label in each.mixtures} & {label for each in larger for label in each.mixtures}
    targets = [label for label in layout.targets if label in both and label not in layout.smaller]
    rows = tuple(row for company in (*pairs, *larger) for row in untreated_rows(study, company))
    places = [
        Place(named_task(task, kind, MEASURES[kind]), label, (Spot(task, kind, label),))
        for task, kind in tasks_of(study, ("ner", "pos", "qa", "nli"))
        for label in targets
        if label in _tested(study, task)
    ]
    blocks = [Block(WITHIN, "within", rows), Block(ZERO_SHOT, "zero-shot", rows)]
    return Contents("More languages in one model: pairs beside larger mixtures.", places, blocks)


def _table_5(study: Study, layout: Layout) -> Contents:
    """A language beside a part of itself: what it loses, and what the source language loses to it."""
    languages = [label for part, whole in layout.smaller.items() for label in (whole, part)]
    targets = [label for label in layout.targets if label in languages]
    rows = [row for each in layout.companies if each.size == 2 for row in untreated_rows(study, each)]
    places = [
        Place(named_task(task, kind, "F1/EM" if kind == "qa" else MEASURES[kind]), title, (spot,))
        for task, kind in tasks_of(study, ("ner", "pos", "qa", "nli"))
        for label in targets
        if label in _tested(study, task)
        for name, spot in _measured(task, kind, label)
        for title in (f"{label} {name}" if kind == "qa" else label,)
    ]
    whole = "/".join(dict.fromkeys(layout.smaller.values()))
    blocks = [
        Block(f"Within-language performance on {whole}", "within", (mono_row(study, targets), *rows)),
        Block(f"Within-language performance on {layout.source}", "within", tuple(rows), is_of_source=True),
    ]
    caption = "What the size of the training text changes: languages beside subsamples of themselves."
    return Contents(caption, places, blocks)


def _table_6(study: Study, layout: Layout) -> Contents:
    """Inference, which has training examples in the source language only."""
    found = _by_language(study, layout, ("nli",), "Zero-shot accuracy.")
    return replace(found, blocks=[block for block in found.blocks if block.setting == "zero-shot"])


def _table_7(study: Study, layout: Layout) -> Contents:
    """Question answering with both of its measures."""
    targets = [label for label in layout.targets if label not in layout.smaller]
    places = []
    for task, kind in tasks_of(study, ("qa",)):
        tested = [label for label in targets if label in _tested(study, task)]
        prefix = "" if task == kind else f"{task}: "
        for label in tested:
            places += [Place(f"{prefix}{label}", name, (spot,)) for name, spot in _measured(task, kind, label)]
        if len(tested) > 1:
            both = zip(*(_measured(task, kind, label) for label in tested), strict=True)
            places += [Place(f"{prefix}avg", each[0][0], tuple(spot for _, spot in each)) for each in both]
    return Contents("F1 and exact match.", places, _both_blocks(study, layout, targets))


def _both_blocks(study: Study, layout: Layout, targets: Sequence[str]) -> tuple[Block, ...]:
    rows = tuple(row for company in layout.companies for row in company_rows(study, company))
    return Block(WITHIN, "within", (mono_row(study, targets), *rows)), Block(ZERO_SHOT, "zero-shot", rows)


def untreated_rows(study: Study, company: Company) -> Iterator[PaperRow]:
    """One, or none where the study has treated mixtures only."""
    return (row for row in company_rows(study, company) if row.label == company.label)


def tasks_of(study: Study, kinds: Sequence[str]) -> list[tuple[str, str]]:
    """Name and kind, in the order of the kinds."""
    found = {(record.task, record.kind) for run in study.runs for record in run.tasks if record.kind in kinds}
    return sorted(found, key=lambda task: (kinds.index(task[1]), task[0]))


def _tested(study: Study, task: str) -> set[str]:
    """Languages that the task has a score of."""
    records = [record for run in study.runs for record in run.tasks if record.task == task]
    return {score.language for record in records for score in record.scores}


def named_task(task: str, kind: str, measure: str) -> str:
    """As over a group of columns."""
    name = f"{kind.upper()} ({measure})"
    return name if task == kind else f"{task}: {name}"


def _measured(task: str, kind: str, language: str) -> tuple[tuple[str, Spot], ...]:
    """Measures that a language has columns for, with their names."""
    main = (MEASURES[kind], Spot(task, kind, language))
    return (main, ("EM", Spot(task, kind, language, EXACT))) if kind == "qa" else (main,)


KINDS: Mapping[str, Kind] = {
    "2": Kind("NER and POS", "fine-tunings on ner or pos", _table_2),
    "3": Kind("question answering", "fine-tunings on qa", _table_3),
    "4": Kind(
        "more languages in one model",
        "fine-tunings, and languages that are in a pair and in a larger mixture",
        _table_4,
    ),
    "5": Kind("corpus size", "fine-tunings, and a language beside its `subsample`, each in a pair", _table_5),
    "6": Kind("inference", "fine-tunings on nli", _table_6),
    "7": Kind("question answering, both measures", "fine-tunings on qa", _table_7),
}
