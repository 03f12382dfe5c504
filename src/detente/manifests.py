"""Reading what a folder of prepared data says about itself. Manifests are written last: a folder with one is complete."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from detente.errors import DataError
from detente.results import Part, write_json
from detente.seal import sealed, unsealed

MANIFEST_FILE = "manifest.json"
AnyManifest = TypeVar("AnyManifest", bound=Part)


def read_manifest_file(folder: Path, model: type[AnyManifest], what: str) -> AnyManifest:
    """The manifest of `folder`.

    Args:
        what: is in the folder, for the error: `corpus`, say.

    Raises:
        DataError: it is missing, unreadable or damaged.
    """
    path = folder / MANIFEST_FILE
    try:
        return model.model_validate(unsealed(json.loads(path.read_text(encoding="utf-8"))))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"there is no finished {what} in {folder}. Run `detente prepare`.") from None
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror}.") from None
    except (ValueError, AttributeError, RecursionError, ValidationError) as error:
        problem = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is damaged ({problem}). Delete it and run `detente prepare` again.") from None


def write_manifest_file(folder: Path, manifest: Part) -> None:
    """Declare `folder` complete."""
    write_json(folder / MANIFEST_FILE, sealed(manifest.model_dump(mode="json")))
