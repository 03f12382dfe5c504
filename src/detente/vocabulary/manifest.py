"""What a vocabulary folder says about itself. Written last: a folder with a manifest is complete."""

import hashlib
from pathlib import Path

from detente.errors import DataError
from detente.manifests import MANIFEST_FILE, read_manifest_file, write_manifest_file
from detente.results import Part
from detente.vocabulary.load import TOKENIZER_FILE

VOCABULARY_VERSION = 1


class LanguageFit(Part):
    """How well a vocabulary suits a language; measured on its validation text."""

    fertility: float
    """Tokens per word (separated by blanks)."""
    characters_per_token: float
    unknown: float
    """Share of the tokens that are the unknown token; 0 for byte-level vocabularies."""


class VocabularyManifest(Part):
    """A vocabulary, where it comes from and whom it suits."""

    version: int = VOCABULARY_VERSION
    size: int
    checksum: str
    """Of tokenizer.json."""
    source: str
    """Fingerprint of the settings and corpora that it was made from."""
    special: dict[str, str]
    """Role -> token."""
    languages: dict[str, LanguageFit]
    """By label."""
    scripts: dict[str, float]
    """Share of the entries by the script of their first letter, in [0, 1], the largest first; `other` has no letter."""


def read_vocabulary_manifest(folder: Path) -> VocabularyManifest:
    """The manifest of STUDY/data/NAME.

    Raises:
        DataError: it is missing, damaged or of another version.
    """
    manifest = read_manifest_file(folder, VocabularyManifest, "vocabulary")
    if manifest.version != VOCABULARY_VERSION:
        raise DataError(
            f"{folder / MANIFEST_FILE} has version {manifest.version}, not {VOCABULARY_VERSION}. Run `detente prepare` again."
        )
    return manifest


def write_vocabulary_manifest(folder: Path, manifest: VocabularyManifest) -> None:
    """Declare a vocabulary folder complete."""
    write_manifest_file(folder, manifest)


def is_finished(folder: Path, source: str) -> bool:
    """Whether `folder` holds the vocabulary made from `source`, its file as it was written."""
    try:
        manifest = read_vocabulary_manifest(folder)
        content = (folder / TOKENIZER_FILE).read_bytes()
    except (DataError, FileNotFoundError):
        return False
    return manifest.source == source and manifest.checksum == hashlib.sha256(content).hexdigest()
