"""What a language's token store says about itself, and whether it fits. Written last: with a manifest it is complete."""

import hashlib
from pathlib import Path
from typing import Literal

from detente.corpus.manifest import SPLITS
from detente.errors import DataError
from detente.manifests import MANIFEST_FILE, read_manifest_file
from detente.results import Baseline, Part

STORE_VERSION = 1


class SplitTokens(Part):
    """One split of one language."""

    tokens: int
    """End tokens included."""
    records: int
    characters: int
    """Code points, line ends left out."""
    sha256: str
    """Of the .bin file."""

    @property
    def tokens_per_character(self) -> float:
        """End tokens left out. Bits per character are loss / ln 2 times this."""
        return (self.tokens - self.records) / max(self.characters, 1)


class StoreManifest(Part):
    """One language's tokens under one vocabulary."""

    version: int = STORE_VERSION
    label: str
    dtype: Literal["<u2", "<u4"]
    """`<u2` up to 65,536 entries, else `<u4`."""
    vocabulary: str
    """Checksum of the vocabulary."""
    corpus: str
    """Fingerprint of the corpus."""
    splits: dict[str, SplitTokens]
    baseline: Baseline
    """Counts of the training split on the test split."""

    @property
    def checksum(self) -> str:
        """Of all tokens."""
        return hashlib.sha256("".join(self.splits[split].sha256 for split in SPLITS).encode()).hexdigest()


def read_store_manifest(folder: Path, label: str) -> StoreManifest:
    """The manifest of a language in a store.

    Raises:
        DataError: it is missing, damaged or of another version.
    """
    manifest = read_manifest_file(folder / label, StoreManifest, f"token store of `{label}`")
    if manifest.version != STORE_VERSION:
        raise DataError(
            f"{folder / label / MANIFEST_FILE} has version {manifest.version}, this detente reads {STORE_VERSION}. Run `detente prepare`."
        )
    if manifest.label != label or manifest.splits.keys() != set(SPLITS):
        raise DataError(
            f"{folder / label} holds the tokens of `{manifest.label}`, splits {', '.join(manifest.splits)}: it was copied or "
            "changed. Delete it and run `detente prepare` again."
        )
    return manifest


def tokens_path(folder: Path, label: str, split: str) -> Path:
    """Where a store has the token ids of a split."""
    return folder / label / f"{split}.bin"


def check_vocabulary(folder: Path, manifest: StoreManifest, vocabulary: str) -> None:
    """Refuse tokens whose ids mean something else to the run."""
    if manifest.vocabulary != vocabulary:
        raise DataError(
            f"the token store {folder / manifest.label} was written with vocabulary {manifest.vocabulary[:8]}... but the "
            f"run uses {vocabulary[:8]}.... Run `detente prepare` again."
        )


def check_sizes(folder: Path, manifest: StoreManifest) -> None:
    """Refuse files that were cut short or swapped; cheap beside `Store.verify`."""
    width = int(manifest.dtype[-1])
    for split, counts in manifest.splits.items():
        path = tokens_path(folder, manifest.label, split)
        found = path.stat().st_size if path.exists() else 0
        if found != counts.tokens * width:
            raise DataError(
                f"{path} is damaged: it has {found} bytes, the manifest says {counts.tokens * width}. Run `detente "
                "prepare` again."
            )
