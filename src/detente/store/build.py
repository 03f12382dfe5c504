"""A corpus becomes a language's token store; nothing is done where it is there already."""

from pathlib import Path

import numpy as np

from detente.baselines import count_baseline
from detente.corpus.manifest import SPLITS, CorpusManifest, read_manifest, split_path
from detente.errors import DataError
from detente.manifests import MANIFEST_FILE, write_manifest_file
from detente.results import Baseline
from detente.store.encode import Progress, encode_file, journal_path, token_dtype
from detente.store.manifest import (
    STORE_VERSION,
    SplitTokens,
    StoreManifest,
    check_sizes,
    check_vocabulary,
    read_store_manifest,
    tokens_path,
)
from detente.store.read import map_tokens
from detente.vocabulary import Vocabulary


def build_store(
    label: str, corpus_folder: Path, vocabulary: Vocabulary, folder: Path, *, progress: Progress | None = None
) -> StoreManifest:
    """Encode a corpus into `folder`/`label`; a build that was killed goes on.

    Args:
        folder: STUDY/data/NAME/store.
        progress: called with the bytes of text done since the call before.

    Raises:
        DataError: the corpus does not fit its manifest, has no test text, or the disk is full.
    """
    corpus = read_manifest(corpus_folder)
    if is_current(label, corpus, vocabulary, folder):
        return read_store_manifest(folder, label)
    (folder / label).mkdir(parents=True, exist_ok=True)
    (folder / label / MANIFEST_FILE).unlink(missing_ok=True)
    splits = _encode_splits(label, corpus_folder, vocabulary, folder, progress or (lambda _: None))
    manifest = StoreManifest(
        label=label,
        dtype=token_dtype(vocabulary),
        vocabulary=vocabulary.checksum,
        corpus=corpus.source,
        splits=splits,
        baseline=_baseline(label, vocabulary, folder),
    )
    write_manifest_file(folder / label, manifest)
    for split in SPLITS:
        journal_path(tokens_path(folder, label, split)).unlink(missing_ok=True)
    return manifest


def is_current(label: str, corpus: CorpusManifest, vocabulary: Vocabulary, folder: Path) -> bool:
    """Whether the store holds this corpus under this vocabulary, by manifest and file sizes."""
    try:
        manifest = read_store_manifest(folder, label)
        check_vocabulary(folder, manifest, vocabulary.checksum)
        check_sizes(folder, manifest)
    except DataError:
        return False
    return manifest.corpus == corpus.source


def _encode_splits(
    label: str, corpus_folder: Path, vocabulary: Vocabulary, folder: Path, progress: Progress
) -> dict[str, SplitTokens]:
    corpus = read_manifest(corpus_folder)
    key = f"{STORE_VERSION} {vocabulary.checksum} {corpus.source}"
    splits = {}
    for split in SPLITS:
        text, path = split_path(corpus_folder, split), tokens_path(folder, label, split)
        splits[split] = encode_file(text, path, vocabulary, key=key, progress=progress)
        _check_counts(text, splits[split], corpus.splits[split].records, corpus.splits[split].characters)
    return splits


def _check_counts(text: Path, found: SplitTokens, records: int, characters: int) -> None:
    if (found.records, found.characters) != (records, characters):
        raise DataError(
            f"{text} has {found.records} records and {found.characters} characters, its manifest says {records} and "
            f"{characters}: it was changed after it was written. Delete {text.parent} and run `detente prepare` again."
        )


def _baseline(label: str, vocabulary: Vocabulary, folder: Path) -> Baseline:
    dtype = token_dtype(vocabulary)
    train, test = (map_tokens(tokens_path(folder, label, split), dtype) for split in ("train", "test"))
    if not np.isin(test, list(vocabulary.special_ids), invert=True).any():
        raise DataError(
            f"`{label}` has no test text that the vocabulary knows. Give more text, raise `splits.test`, or take another "
            "`vocabulary.path`."
        )
    return count_baseline(
        train,
        test,
        vocabulary_size=vocabulary.size,
        special_ids=vocabulary.special_ids,
        end_id=vocabulary.end_id,
    )
