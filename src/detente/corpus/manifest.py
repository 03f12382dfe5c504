"""What a corpus folder says about itself. Written last: a folder with a manifest is complete."""

from pathlib import Path

from detente.manifests import read_manifest_file, write_manifest_file
from detente.results import Part

SPLITS = ("train", "meta", "validation", "test")


class SplitCounts(Part):
    """Size of one split."""

    records: int
    words: int
    """Separated by blanks."""
    characters: int
    """Code points, line ends left out."""
    bytes: int
    """Of the file, line ends included."""


class CorpusManifest(Part):
    """One language's clean text.

    `records_read + cuts == empty + duplicates + not_sampled + records of the splits`.
    """

    label: str
    code: str
    name: str
    script: str
    """ISO 15924."""
    source: str
    """Fingerprint of what was read (paths, sizes, times) and of the settings that decide the result."""
    records_read: int
    cuts: int
    """Records were too long so many times, and cut at a blank."""
    empty: int
    """Nothing was left after cleaning."""
    duplicates: int
    """Equal to an earlier record after cleaning."""
    not_sampled: int
    """Training records left out by `subsample`."""
    splits: dict[str, SplitCounts]
    scripts: dict[str, float]
    """Share of the letters, in [0, 1], by script; the largest first."""
    warnings: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """Of all splits together."""
        return sum(counts.records for counts in self.splits.values())


def split_path(folder: Path, split: str) -> Path:
    """Where a corpus folder has the text of `split`."""
    return folder / f"{split}.txt"


def read_manifest(folder: Path) -> CorpusManifest:
    """The manifest of a corpus folder.

    Raises:
        DataError: it is missing or damaged.
    """
    return read_manifest_file(folder, CorpusManifest, "corpus")


def write_manifest(folder: Path, manifest: CorpusManifest) -> None:
    """Declare a corpus folder complete."""
    write_manifest_file(folder, manifest)
