"""Sentences that say the same in the languages of a run: the user's files, or what constructed languages are made to say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from detente.corpus.parallel import ParallelText, constructed_parallel, read_parallel
from detente.errors import ConfigError
from detente.settings.load_tasks import load_resolved
from detente.settings.text import ConstructedSettings

SENTENCES = 500


def parallel_text(run_folder: Path, languages: tuple[str, ...], files: Mapping[str, Path]) -> ParallelText | None:
    """Of those of the run's languages that have files; of all, when there are no files and all are constructed; else None.

    Raises:
        ConfigError: files of other languages are given, or of one.
        DataError: the files are not aligned.
    """
    if files:
        if len(files) < 2 or not files.keys() <= set(languages):
            raise ConfigError(
                f"--parallel has {', '.join(files)}, the run has {', '.join(languages)}. Give a file for two of these or more."
            )
        return read_parallel(
            {language: files[language] for language in languages if language in files}, limit=SENTENCES
        )
    constructed = constructed_languages(run_folder.resolve().parent.parent, languages)
    spoken = {label: settings for label, settings in constructed.items() if settings is not None}
    return constructed_parallel(spoken, SENTENCES) if len(spoken) == len(languages) > 1 else None


def constructed_languages(study_folder: Path, labels: Sequence[str]) -> dict[str, ConstructedSettings | None]:
    """How each was made; None for a real one."""
    languages = load_resolved(study_folder / "study.yaml").languages
    return {label: languages[label].constructed for label in labels}
