"""Builds a corpus folder in three passes: clean and hash, decide, distribute. Memory does not grow with the text.

The clean text is first written to a scratch file inside the folder, so that the disk must hold it twice over.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from detente.corpus.clean import MAX_RECORD_CHARACTERS, Head, clean_record, cut_long
from detente.corpus.count import ScriptCounter, add_counts, count_lines
from detente.corpus.doubts import find_doubts
from detente.corpus.files import COMPRESSIONS, TextFile
from detente.corpus.manifest import (
    SPLITS,
    CorpusManifest,
    SplitCounts,
    read_manifest,
    split_path,
    write_manifest,
)
from detente.corpus.read import read_text, sources
from detente.corpus.split import Fates, decide_fates, hash_record
from detente.disk import told_when_full
from detente.errors import DataError
from detente.languages import find_language
from detente.manifests import MANIFEST_FILE
from detente.results import hash_of
from detente.settings.text import LanguageSettings, SplitSettings

# Counts up when cleaning, splitting or generating changes, so that older corpora are built anew.
_VERSION = 1
_BLOCK_BYTES = 1 << 22
_PROGRESS_RECORDS = 4096
_PARTIAL = ".partial-"
# Of constructed languages, by the name of their alphabet in the settings.
_CONSTRUCTED_SCRIPTS = {
    "latin": "Latn",
    "cyrillic": "Cyrl",
    "greek": "Grek",
    "georgian": "Geor",
    "armenian": "Armn",
    "cherokee": "Cher",
}

Progress = Callable[[int], None]


def build_corpus(
    label: str, language: LanguageSettings, splits: SplitSettings, folder: Path, *, progress: Progress | None = None
) -> CorpusManifest:
    """Fill `folder` with `{split}.txt` and a manifest, unless it holds just that already.

    Args:
        progress: called now and then with the number of records read since the last call.

    Raises:
        DataError: the text cannot be read, too little of it is left, or the folder cannot be written.
    """
    source = _fingerprint(language, splits)
    finished = _finished(folder, source)
    if finished is not None:
        return finished
    with _scratch(folder, needed=_room(language)) as scratch:
        tally = _clean_and_hash(read_text(language), scratch, progress)
        _require_text(label, tally)
        fate = decide_fates(scratch / "hashes", scratch, splits, subsample=language.subsample)
        counts, scripts = _distribute(scratch, fate.of_record)
        _require_splits(label, counts)
        code, name, script = _identity(label, language)
        manifest = CorpusManifest(
            label=label,
            code=code,
            name=name,
            script=script,
            source=source,
            records_read=tally.records,
            cuts=tally.cuts,
            empty=tally.empty,
            duplicates=fate.duplicates,
            not_sampled=fate.not_sampled,
            splits=counts,
            scripts=scripts,
        )
        manifest = manifest.model_copy(update={"warnings": tuple(find_doubts(manifest, language.subsample))})
        _publish(scratch, folder, manifest)
    return manifest


def _fingerprint(language: LanguageSettings, splits: SplitSettings) -> str:
    """Changes when a file or a setting does. What a hub address holds is taken to stay the same."""
    read = [_stamp(source) if isinstance(source, TextFile) else source for source in sources(language)]
    decisive = [_VERSION, language.model_dump(mode="json"), splits.model_dump(mode="json"), read]
    return hash_of(decisive)


def _stamp(file: TextFile) -> tuple[str, int, int]:
    status = file.path.stat()
    return str(file.path), status.st_size, status.st_mtime_ns


def _finished(folder: Path, source: str) -> CorpusManifest | None:
    try:
        manifest = read_manifest(folder)
    except DataError:
        return None
    whole = all(_size(split_path(folder, split)) == manifest.splits[split].bytes for split in SPLITS)
    return manifest if whole and manifest.source == source else None


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


@contextmanager
def _scratch(folder: Path, *, needed: int | None) -> Iterator[Path]:
    """A folder inside `folder` for unfinished files, so that publishing them is a rename; gone afterwards."""
    try:
        with told_when_full("the corpus", folder, needed=needed):
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder)
            with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder) as name:
                yield Path(name)
    except OSError as error:
        raise DataError(f"the corpus could not be written to {folder}: {error.strerror or error}.") from error


def _room(language: LanguageSettings) -> int | None:
    """Bytes that the disk must hold at once; unknown where text is compressed, drawn or fetched."""
    files = [source.path for source in sources(language) if isinstance(source, TextFile)]
    is_plain = files and all(path.suffix not in COMPRESSIONS for path in files)
    return 2 * sum(path.stat().st_size for path in files) if is_plain else None


def _remove_abandoned(folder: Path) -> None:
    """Scratch folders that a killed process left; nobody else is at work here (`detente.prepare` holds the lock)."""
    for left in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left, ignore_errors=True)


@dataclass
class _Tally:
    records: int = 0
    cuts: int = 0
    empty: int = 0
    kept: int = 0


def _clean_and_hash(records: Iterable[str], scratch: Path, progress: Progress | None) -> _Tally:
    tally = _Tally()
    reported = 0
    with (scratch / "records").open("wb") as lines, (scratch / "hashes").open("wb") as hashes:
        for piece in _pieces(records, tally):
            text = clean_record(piece)
            if text:
                line = text.encode()
                lines.write(line + b"\n")
                hashes.write(hash_record(line))
                tally.kept += 1
            else:
                tally.empty += 1
            if progress is not None and tally.records - reported >= _PROGRESS_RECORDS:
                progress(tally.records - reported)
                reported = tally.records
    if progress is not None and tally.records > reported:
        progress(tally.records - reported)
    return tally


def _pieces(records: Iterable[str], tally: _Tally) -> Iterator[str]:
    for record in records:
        for piece in cut_long(record) if len(record) > MAX_RECORD_CHARACTERS else (record,):
            if isinstance(piece, Head):
                tally.cuts += 1
            else:
                tally.records += 1
            yield piece


def _require_text(label: str, tally: _Tally) -> None:
    if not tally.kept:
        raise DataError(
            f"`{label}`: no text is left of {tally.records:,} records, all are empty once cleaned. Check `paths`, `format` and `field`."
        )


def _distribute(scratch: Path, fates: Fates) -> tuple[dict[str, SplitCounts], dict[str, float]]:
    counts = dict.fromkeys(SPLITS, SplitCounts(records=0, words=0, characters=0, bytes=0))
    scripts = ScriptCounter()
    start = 0
    with ExitStack() as stack:
        files = {split: stack.enter_context(split_path(scratch, split).open("wb")) for split in SPLITS}
        for lines in _line_blocks(stack.enter_context((scratch / "records").open("rb"))):
            block_fates = fates[start : start + len(lines)]
            start += len(lines)
            for index, split in enumerate(SPLITS):
                part = b"".join(itertools.compress(lines, (block_fates == index).tolist()))
                files[split].write(part)
                counts[split] = add_counts(counts[split], count_lines(part))
                scripts.add(part)
    return counts, scripts.shares()


def _line_blocks(file: IO[bytes]) -> Iterator[list[bytes]]:
    while lines := file.readlines(_BLOCK_BYTES):
        yield lines


def _require_splits(label: str, counts: dict[str, SplitCounts]) -> None:
    total = sum(split.records for split in counts.values())
    for split in ("train", "validation", "test"):
        if not counts[split].records:
            raise DataError(
                f"`{label}`: none of its {total:,} records fell into {split}. Give more text, or larger shares in `splits`."
            )


def _identity(label: str, language: LanguageSettings) -> tuple[str, str, str]:
    """Code, name and script; what the settings say wins over the table."""
    code = language.code or label
    if language.constructed is not None:
        return code, language.name or label, language.script or _CONSTRUCTED_SCRIPTS[language.constructed.script]
    if language.name and language.script:
        return code, language.name, language.script
    entry = find_language(code)
    return entry.code, language.name or entry.name, language.script or entry.script


def _publish(scratch: Path, folder: Path, manifest: CorpusManifest) -> None:
    """The old manifest goes first and the new one comes last: at no time does a manifest stand beside another's text."""
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    for split in SPLITS:
        with split_path(scratch, split).open("rb") as file:
            os.fsync(file.fileno())
        split_path(scratch, split).replace(split_path(folder, split))
    write_manifest(folder, manifest)
