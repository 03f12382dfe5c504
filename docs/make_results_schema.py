"""Writes `results.schema.json` beside this file, the form of a report's `results.json`. Run by `make docs`."""

import json
from pathlib import Path

from detente.report.results_schema import StudyResults

FILE = Path(__file__).parent / "results.schema.json"


def schema() -> str:
    """The JSON schema."""
    values = {"$schema": "https://json-schema.org/draft/2020-12/schema", **StudyResults.model_json_schema()}
    return json.dumps(values, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema(), encoding="utf-8")
