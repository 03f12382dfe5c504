"""A finished token store, for reading."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detente.errors import DataError, did_you_mean
from detente.results import hash_of_file
from detente.store.manifest import StoreManifest, check_sizes, check_vocabulary, read_store_manifest, tokens_path

Tokens = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Store:
    """The token ids of some languages under one vocabulary."""

    folder: Path
    manifests: Mapping[str, StoreManifest]

    @classmethod
    def open(cls, folder: Path, labels: Iterable[str], *, vocabulary: str) -> "Store":
        """The store in STUDY/data/NAME/store.

        Args:
            vocabulary: checksum of the vocabulary that the run uses.

        Raises:
            DataError: a language is missing, unfinished, cut short or of another vocabulary.
        """
        store = cls.described(folder, labels, vocabulary=vocabulary)
        store.check_sizes()
        return store

    @classmethod
    def described(cls, folder: Path, labels: Iterable[str], *, vocabulary: str) -> "Store":
        """As `open`, by the manifests alone: the tokens are not looked at, and may be gone.

        Raises:
            DataError: a manifest is missing, or of another vocabulary.
        """
        manifests = {label: read_store_manifest(folder, label) for label in labels}
        for manifest in manifests.values():
            check_vocabulary(folder, manifest, vocabulary)
        return cls(folder, manifests)

    def manifest(self, label: str) -> StoreManifest:
        """Counts, checksums and baseline of a language."""
        if label not in self.manifests:
            raise DataError(f"`{label}` is not among the opened languages.{did_you_mean(label, self.manifests)}")
        return self.manifests[label]

    def tokens(self, label: str, split: str) -> Tokens:
        """The stream of a split; its pages come from disk as they are read."""
        manifest = self.manifest(label)
        return map_tokens(tokens_path(self.folder, label, split), manifest.dtype)

    def check_sizes(self) -> None:
        """Cheap beside `verify`.

        Raises:
            DataError: names the first file that was cut short.
        """
        for manifest in self.manifests.values():
            check_sizes(self.folder, manifest)

    def verify(self) -> None:
        """Read every file and compare checksums.

        Raises:
            DataError: names the first damaged file.
        """
        for label, manifest in self.manifests.items():
            for split, counts in manifest.splits.items():
                _verify(tokens_path(self.folder, label, split), counts.sha256)


def map_tokens(path: Path, dtype: str) -> Tokens:
    """Read-only view of a file of ids."""
    # An empty file cannot be mapped; the meta split may be empty.
    if not path.stat().st_size:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")


def _verify(path: Path, expected: str) -> None:
    try:
        found = hash_of_file(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Run `detente prepare` again.") from None
    if found != expected:
        raise DataError(
            f"{path} is damaged: its checksum is {found[:8]}..., the manifest says {expected[:8]}.... Delete {path.parent} "
            "and run `detente prepare` again."
        )
