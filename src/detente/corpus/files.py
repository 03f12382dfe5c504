"""Which files a language's `paths` name, and which format and compression each has."""

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from detente.errors import DataError
from detente.settings.text import TextFormat

HUB_PREFIX = "hf://"
COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstandard"}
_FORMATS: dict[str, TextFormat] = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".conllu": "conllu",
    ".xml": "wikipedia",
}


@dataclass(frozen=True)
class TextFile:
    """A file and how to read it.

    Attributes:
        field: where JSON and Parquet hold the text.
        errors: what to do about invalid UTF-8.
    """

    path: Path
    format: TextFormat = "text"
    field: str = "text"
    errors: Literal["strict", "replace"] = "strict"


def find_files(pattern: str) -> list[Path]:
    """The file, or the files a glob matches, in the order of their names.

    Raises:
        DataError: there is none, or it is a folder.
    """
    try:
        # Looked up before it is taken for a glob: names may hold brackets.
        if Path(pattern).exists() or not glob.has_magic(pattern):
            return [_regular_file(Path(pattern))]
        # `Path.glob` takes no absolute pattern.
        files = [path for name in sorted(glob.glob(pattern, recursive=True)) if (path := Path(name)).is_file()]  # noqa: PTH207
    except OSError as error:
        raise DataError(f"{pattern} could not be looked up: {error.strerror}. Correct `paths`.") from None
    if not files:
        raise DataError(f"no file matches {pattern}. Correct `paths`; `**` reaches into folders of any depth.")
    return files


def _regular_file(path: Path) -> Path:
    if path.is_dir():
        raise DataError(f"{path} is a folder. Name its files in `paths`, for example {path / '*.txt'}.")
    if not path.exists():
        raise DataError(
            f"there is no file {path}. Correct `paths`; a relative path starts at the study file.{_near(path)}"
        )
    if not path.is_file():
        raise DataError(
            f"{path} is not a regular file. Text is read twice or more over a study's life: save it to a file."
        )
    return path


def _near(path: Path) -> str:
    """The same name with another ending, when the folder has one: the usual slip is a forgotten `.gz`."""
    if not path.parent.is_dir():
        return f" (Its folder {path.parent} is missing too.)"
    same = sorted(other.name for other in path.parent.iterdir() if other.name.split(".")[0] == path.name.split(".")[0])
    return f" Its folder has {', '.join(same[:3])}." if same else ""


def format_of(path: Path) -> TextFormat:
    """The format that a name tells, a compression's ending set aside.

    Raises:
        DataError: it tells none.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    found = _FORMATS.get(suffixes[-1]) if suffixes else None
    if found is None:
        raise DataError(
            f"the name of {path} does not tell its format ({', '.join(_FORMATS)}, each also {', '.join(COMPRESSIONS)}). "
            "Set `format`, for example `format: text`."
        )
    return found
