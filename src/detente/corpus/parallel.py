"""Sentences that say the same in several languages: line-aligned files, or constructed languages told the same meanings."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from detente.corpus.clean import clean_record
from detente.corpus.constructed import generate_text
from detente.corpus.decompress import open_bytes
from detente.corpus.files import TextFile
from detente.corpus.lines import read_lines
from detente.errors import ConfigError, DataError
from detente.settings.text import ConstructedSettings

PARALLEL_TEXT_SEED = 1_000_003
"""Nobody trains on it: what a network has seen it may represent alike for that reason alone."""


@dataclass(frozen=True)
class ParallelText:
    """Line n says the same in every language."""

    sentences: dict[str, tuple[str, ...]]
    """By language, clean, none empty."""
    dropped: int = 0
    """Lines that were left out everywhere because they are empty in some language."""


def read_parallel(paths: Mapping[str, Path], *, limit: int | None = None) -> ParallelText:
    """Line-aligned text files, one a language, each plain or .gz, .bz2, .xz, .zst. Take text that was not trained on.

    Args:
        limit: keep the first so many lines; the files are read to their ends all the same, to be sure that they agree.

    Raises:
        ConfigError: there are fewer than two files.
        DataError: the files differ in their number of lines, or have no line in common; or a file cannot be read.
    """
    if len(paths) < 2:
        raise ConfigError(f"parallel text needs a file for each of two languages or more, found {len(paths)}.")
    counts = dict.fromkeys(paths, 0)
    kept: list[tuple[str, ...]] = []
    dropped = 0
    for row in zip_longest(*map(_lines, paths.values())):
        for language, line in zip(paths, row, strict=True):
            counts[language] += line is not None
        if not all(row):
            dropped += 1
        elif limit is None or len(kept) < limit:
            kept.append(row)
    _check(paths, counts, kept)
    return ParallelText(dict(zip(paths, zip(*kept, strict=True), strict=True)), dropped)


def constructed_parallel(
    languages: Mapping[str, ConstructedSettings], count: int, *, text_seed: int = PARALLEL_TEXT_SEED
) -> ParallelText:
    """The same meanings said in each constructed language, by a text seed of their own: it is not the text that training sees.

    The world is the same, so that sentences come up again by chance: in the demo's languages one of twenty.

    Raises:
        ConfigError: there are fewer than two languages, they speak of different worlds, or one has this text seed for its own text.
    """
    _check_world(languages, text_seed)
    asked = {"sentences": count, "text_seed": text_seed}
    return ParallelText(
        {label: tuple(generate_text(settings.model_copy(update=asked))) for label, settings in languages.items()}
    )


def _lines(path: Path) -> Iterator[str]:
    """Clean, the empty ones too. A generator of its own for each file, so that an error names the file it is about."""
    with open_bytes(path) as stream:
        for _, line in read_lines(stream, TextFile(path)):
            yield clean_record(line)


def _check(paths: Mapping[str, Path], counts: Mapping[str, int], kept: Iterable[object]) -> None:
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{path} has {counts[language]:,}" for language, path in paths.items())
        raise DataError(f"parallel files need the same number of lines: {found}. Align them anew.")
    if not kept:
        raise DataError(f"no line of {', '.join(map(str, paths.values()))} has text in every language.")


def _check_world(languages: Mapping[str, ConstructedSettings], text_seed: int) -> None:
    if len(languages) < 2:
        raise ConfigError(f"parallel text needs two languages or more, found {len(languages)}.")
    worlds = {label: settings.meaning_seed for label, settings in languages.items()}
    if len(set(worlds.values())) > 1:
        found = ", ".join(f"{seed} of {label}" for label, seed in worlds.items())
        raise ConfigError(f"languages with different worlds have nothing parallel to say: `meaning_seed` is {found}.")
    for label, settings in languages.items():
        if settings.text_seed == text_seed:
            raise ConfigError(f"`{label}` is trained on text seed {text_seed}: choose another for the parallel text.")
