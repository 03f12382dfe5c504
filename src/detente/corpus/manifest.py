"""What a corpus folder says about itself. Written last: a folder with a manifest is complete."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from detente.errors import DataError
from detente.results import write_json

SPLITS = ("train", "meta", "validation", "test")
MANIFEST_FILE = "manifest.json"


class Part(BaseModel):
    """Base of the manifest's parts: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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
    path = folder / MANIFEST_FILE
    try:
        return CorpusManifest.model_validate(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"there is no finished corpus in {folder}. Run `detente prepare`.") from None
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror}.") from None
    except (ValueError, ValidationError) as error:
        problem = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is damaged ({problem}). Delete it and run `detente prepare` again.") from None


def write_manifest(folder: Path, manifest: CorpusManifest) -> None:
    """Declare a corpus folder complete."""
    write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
