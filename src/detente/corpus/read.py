"""Raw records of a language, from wherever they come, in a fixed order and never all in memory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from detente.corpus.conllu import read_conllu
from detente.corpus.decompress import open_bytes
from detente.corpus.files import HUB_PREFIX, TextFile, find_files, format_of
from detente.corpus.hub import read_hub
from detente.corpus.jsonl import read_jsonl
from detente.corpus.lines import read_plain
from detente.corpus.parquet import read_parquet
from detente.corpus.wikipedia import read_wikipedia
from detente.settings.text import LanguageSettings, TextFormat

_READERS: dict[TextFormat, Callable[[BinaryIO, TextFile], Iterator[str]]] = {
    "text": read_plain,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "conllu": read_conllu,
    "wikipedia": read_wikipedia,
}


def read_text(language: LanguageSettings) -> Iterator[str]:
    """The records of all `paths` in their order, a glob's files by name, each file once; or those of the constructed language.

    A record may hold line ends and characters that `clean_record` removes. A `Head` is the beginning of one too long.

    Raises:
        DataError: a file is missing, unreadable or not what its format says.
    """
    if language.constructed is not None:
        from detente.corpus.constructed import generate_text

        yield from generate_text(language.constructed)
    for source in sources(language):
        yield from read_hub(source, language.field) if isinstance(source, str) else _read_file(source)


def sources(language: LanguageSettings) -> list[str | TextFile]:
    """What `paths` name: hub addresses and files, in order, each once.

    Raises:
        DataError: a path leads nowhere, or a name does not tell its format.
    """
    found: dict[str | Path, str | TextFile] = {}
    for pattern in language.paths:
        if pattern.startswith(HUB_PREFIX):
            found.setdefault(pattern, pattern)
        else:
            found.update({path: _text_file(path, language) for path in find_files(pattern)})
    return list(found.values())


def _text_file(path: Path, language: LanguageSettings) -> TextFile:
    text_format = format_of(path) if language.format == "auto" else language.format
    return TextFile(path, text_format, language.field, language.errors)


def _read_file(file: TextFile) -> Iterator[str]:
    with open_bytes(file.path) as stream:
        yield from _READERS[file.format](stream, file)
