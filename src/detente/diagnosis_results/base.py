"""What the results of all diagnoses have in common: frozen dataclasses, one JSON file each, versioned. Never imports torch."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import TypeAdapter, ValidationError

from detente.errors import RecordError
from detente.results import write_json
from detente.seal import sealed, unsealed

DIAGNOSIS_VERSION = 1
FOLDER = "diagnosis"
"""Of a run or a study: results and their figures."""


class Diagnosis:
    """Base of the results: a subclass is a frozen dataclass of plain values and names its file."""

    FILE: ClassVar[str]
    """Name of its JSON file, `gradients.json` say."""

    def as_json(self) -> dict[str, Any]:
        """Everything, with the version of its form."""
        return {"version": DIAGNOSIS_VERSION, **asdict(self)}  # type: ignore[call-overload]

    def write(self, folder: Path) -> Path:
        """Write `FILE` into a folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / self.FILE, sealed(self.as_json()))
        return folder / self.FILE

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What `write` wrote.

        Raises:
            RecordError: there is no such file, or it is damaged or of another version.
        """
        path = folder / cls.FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.get("version") != DIAGNOSIS_VERSION:
                raise RecordError(f"{path} is of another version of detente. Run the diagnosis again.")
            values = unsealed(content)
            del values["version"]
            return TypeAdapter(cls).validate_python(values)
        except FileNotFoundError:
            raise RecordError(f"there is no {path}. Run the diagnosis first.") from None
        except (ValueError, AttributeError, RecursionError, ValidationError) as error:
            problem = " ".join(str(error).split())[:200]
            raise RecordError(f"{path} is damaged ({problem}). Run the diagnosis again.") from None
