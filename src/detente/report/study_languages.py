"""Which languages the labels of a study stand for, from the `study.yaml` in its folder: codes, and smaller versions of the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detente.errors import RecordError
from detente.settings.yaml_values import read_yaml

STUDY_FILE = "study.yaml"


@dataclass(frozen=True)
class StudyLanguage:
    """What a label stands for."""

    code: str
    """The label itself where nothing else was said."""
    is_subsample: bool = False
    """Whether a part of the text was left out, to see what its size does."""


def read_languages(folder: Path) -> dict[str, StudyLanguage]:
    """Label -> language; empty without a study file.

    Raises:
        RecordError: the file is damaged.
    """
    path = folder / STUDY_FILE
    if not path.exists():
        return {}
    try:
        languages = read_yaml(path.read_text(encoding="utf-8"))["languages"]
        return {str(label): _language(str(label), values) for label, values in languages.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise RecordError(
            f"{path} is damaged ({problem}). Delete it, or run the study again to write it anew."
        ) from None


def wholes(languages: Mapping[str, StudyLanguage]) -> dict[str, str]:
    """Label of a subsample -> label of the language that it is a smaller version of, where the study has it too."""
    whole = {language.code: label for label, language in languages.items() if not language.is_subsample}
    return {
        label: whole[language.code]
        for label, language in languages.items()
        if language.is_subsample and language.code in whole
    }


def _language(label: str, values: Mapping[str, Any] | None) -> StudyLanguage:
    values = values or {}
    return StudyLanguage(str(values.get("code") or label), values.get("subsample") is not None)
