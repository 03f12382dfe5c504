"""Labelled examples of a task, from files in the formats of the published data sets or from the Hugging Face hub.

The format is recognised from the content; `columns`, `conllu`, `squad` and `pairs` say which there are. What has to be repaired,
left out or doubted on the way is said in `Reading.notes`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detente.corpus.files import HUB_PREFIX, find_files
from detente.errors import DataError
from detente.settings.tasks import TaskName
from detente.tasks.columns import parse_columns
from detente.tasks.conllu import is_conllu, parse_conllu
from detente.tasks.examples import Example, Question, SentencePair, TaggedSentence
from detente.tasks.hub import hub_rows, tagged_from
from detente.tasks.iob import as_iob2
from detente.tasks.overlap import count_repeats
from detente.tasks.pairs import pairs_from, parse_pairs
from detente.tasks.questions import questions_from, with_distinct_keys
from detente.tasks.reading import Reading, share
from detente.tasks.squad import parse_squad
from detente.tasks.text import read_whole
from detente.tasks.upos import as_upos


@dataclass(frozen=True)
class _Options:
    tags: Mapping[str, str] = field(default_factory=dict)
    language: str | None = None
    strict: bool = False


def read_examples(
    task: TaskName,
    paths: str | Path | Iterable[str | Path],
    *,
    tags: Mapping[str, str] | None = None,
    language: str | None = None,
    strict: bool = False,
) -> Reading[Any]:
    """The labelled examples of all files, one after another.

    Args:
        paths: files, globs, or `hf://owner/dataset[/configuration][:split]`; one named twice is read once.
        tags: tag -> the tag that is meant; for ner entity type -> type, or O.
        language: which pairs to take from a file that has several languages (nli).
        strict: refuse what would be repaired: invalid IOB2, sentences tagged in part, misplaced answers.

    Raises:
        DataError: a file is missing, damaged, of no known format or without labels, or has unknown tags.
    """
    options = _Options(tags or {}, language, strict)
    parts = [_READERS[task](source, options) for source in _sources(paths)]
    if not parts:
        raise DataError(f"{task}: no files are given.")
    return _checked(_joined(parts))


def _sources(paths: str | Path | Iterable[str | Path]) -> list[str | Path]:
    patterns = [paths] if isinstance(paths, str | Path) else paths
    found: dict[str | Path, None] = {}
    for pattern in map(str, patterns):
        found.update(dict.fromkeys([pattern] if pattern.startswith(HUB_PREFIX) else find_files(pattern)))
    return list(found)


def _joined(parts: Sequence[Reading[Example]]) -> Reading[Example]:
    return Reading(
        tuple(example for part in parts for example in part.examples),
        ", ".join(part.source for part in parts),
        tuple(note for part in parts for note in part.notes),
    )


def _checked(reading: Reading[Any]) -> Reading[Any]:
    """What holds of all files together: questions differ in their keys, repeated examples are said."""
    if isinstance(reading.examples[0], Question):
        reading = with_distinct_keys(reading)
    repeats = count_repeats(reading.examples)
    if not repeats:
        return reading
    note = f"{share(repeats, reading.examples)} of {reading.source} repeat an earlier one and were kept."
    return replace(reading, notes=(*reading.notes, note))


def _read_entities(source: str | Path, options: _Options) -> Reading[TaggedSentence]:
    return as_iob2(_read_tagged(source, "ner"), tags=options.tags, strict=options.strict)


def _read_parts_of_speech(source: str | Path, options: _Options) -> Reading[TaggedSentence]:
    return as_upos(_read_tagged(source, "pos"), tags=options.tags, strict=options.strict)


def _read_tagged(source: str | Path, task: TaskName) -> Reading[TaggedSentence]:
    if isinstance(source, str):
        return tagged_from(hub_rows(source), source, task)
    text = read_whole(source)
    if not is_conllu(text):
        return parse_columns(text, source)
    if task == "ner":
        raise DataError(f"{source} is CoNLL-U, which has no entities. Name a file with a tag for each word.")
    return parse_conllu(text, source)


def _read_questions(source: str | Path, options: _Options) -> Reading[Question]:
    rows = hub_rows(source) if isinstance(source, str) else parse_squad(read_whole(source), source)
    return questions_from(rows, str(source), strict=options.strict)


def _read_pairs(source: str | Path, options: _Options) -> Reading[SentencePair]:
    rows = hub_rows(source) if isinstance(source, str) else parse_pairs(read_whole(source), source)
    return pairs_from(rows, str(source), language=options.language)


_READERS: dict[TaskName, Callable[[str | Path, _Options], Reading[Any]]] = {
    "ner": _read_entities,
    "pos": _read_parts_of_speech,
    "qa": _read_questions,
    "nli": _read_pairs,
}
