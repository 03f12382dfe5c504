"""The labelled examples of a task: every language and split, checked against one another."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from detente.corpus.files import HUB_PREFIX, find_files
from detente.errors import DataError
from detente.seeds import generator
from detente.settings.tasks import TaskFiles, TaskName, TaskSettings
from detente.tasks.examples import Example
from detente.tasks.overlap import keep_shared, leave_out_shared, text_of
from detente.tasks.read import read_examples
from detente.tasks.reading import Reading
from detente.tasks.tagsets import compare_tags

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """Examples of one language."""

    train: tuple[Example, ...] = ()
    validation: tuple[Example, ...] = ()
    test: tuple[Example, ...] = ()


@dataclass(frozen=True)
class TaskData:
    """What a task is asked of.

    Attributes:
        notes: what was repaired, left out or is doubtful, in sentences.
    """

    languages: Mapping[str, Splits]
    notes: tuple[str, ...] = ()

    def examples(self, language: str, split: str) -> tuple[Any, ...]:
        """Of a language and split."""
        found: tuple[Example, ...] = getattr(self.languages[language], split)
        return found

    def counts(self) -> dict[str, dict[str, int]]:
        """Language -> split -> examples."""
        return {label: {split: len(self.examples(label, split)) for split in SPLITS} for label in self.languages}


@dataclass
class _Read:
    """One language while its files are read."""

    language: str
    readings: dict[str, Reading[Any]] = field(default_factory=dict)

    def notes(self) -> Iterator[str]:
        for reading in self.readings.values():
            yield from (f"{self.language}: {note}" for note in reading.notes)


def read_task(kind: TaskName, settings: TaskSettings, *, source: str) -> TaskData:
    """The source's training examples, and validation and test examples of all languages.

    Examples that stand in a language's own training file too are left out of its validation and test examples, whatever the source:
    so every model is tested on the same.

    Raises:
        DataError: a file cannot be read, or files do not mean the same by their tags.
    """
    found = [_read_language(kind, settings, label) for label in settings.data]
    doubts = list(_tag_doubts(kind, found, source))
    languages = {each.language: _splits(each, is_source=each.language == source) for each in found}
    notes = [*(note for each in found for note in each.notes()), *doubts]
    return TaskData(languages, tuple(dict.fromkeys(_without_folders(notes, settings.data.values()))))


def _read_language(kind: TaskName, settings: TaskSettings, language: str) -> _Read:
    found = _Read(language)
    for split, paths in settings.data[language]:
        if paths:
            found.readings[split] = read_examples(
                kind, paths, tags=settings.tags, language=language, strict=settings.strict
            )
    train = found.readings.get("train")
    if train is not None:
        _separate(found, train, settings)
    return found


def _separate(found: _Read, train: Reading[Any], settings: TaskSettings) -> None:
    handle = keep_shared if settings.keep_overlap else leave_out_shared
    for split in ("validation", "test"):
        if split in found.readings:
            found.readings[split] = handle(found.readings[split], train)
    if "validation" not in found.readings:
        found.readings["train"], found.readings["validation"] = _put_aside(train, settings.validation_fraction)


def _put_aside(train: Reading[Any], fraction: float) -> tuple[Reading[Any], Reading[Any]]:
    """Drawn by the number of examples alone: the same in every run, and in languages with parallel examples."""
    number = len(train.examples)
    drawn = set(generator("validation", number).permutation(number)[: max(1, round(fraction * number))].tolist())
    rest = tuple(example for place, example in enumerate(train.examples) if place not in drawn)
    # A sentence that repeats one of the rest would be known by heart.
    seen = {text_of(example) for example in rest}
    aside = tuple(train.examples[place] for place in sorted(drawn) if text_of(train.examples[place]) not in seen)
    if not aside or not rest:
        raise DataError(f"{train.source} has too few examples, {number}, to put some aside for validation.")
    note = f"{len(aside):,} of {number:,} examples of {train.source} were put aside for validation."
    return replace(train, examples=rest, notes=(*train.notes, note)), replace(train, examples=aside, notes=())


def _tag_doubts(kind: TaskName, found: Iterable[_Read], source: str) -> Iterator[str]:
    """Of each language's test files, beside what the source's training files have."""
    train = [each.readings["train"] for each in found if each.language == source and "train" in each.readings]
    if kind not in ("ner", "pos") or not train:
        return
    for each in found:
        if "test" in each.readings:
            doubts = compare_tags(kind, cast(Any, train), cast(Any, [each.readings["test"]]))
            yield from (f"{each.language}: {doubt}" for doubt in doubts)


def _splits(found: _Read, *, is_source: bool) -> Splits:
    examples = {split: reading.examples for split, reading in found.readings.items() if is_source or split != "train"}
    return Splits(**examples)


def _without_folders(notes: Iterable[str], files: Iterable[TaskFiles]) -> Iterator[str]:
    """Names of files are enough for people, and the same on every machine."""
    given = {path for splits in files for _, paths in splits for path in paths if not path.startswith(HUB_PREFIX)}
    name_of = {str(file): file.name for path in given for file in find_files(path)}
    for note in notes:
        # The longest first: a path can be the beginning of another.
        for path in sorted(name_of, key=len, reverse=True):
            note = note.replace(path, name_of[path])
        yield note
