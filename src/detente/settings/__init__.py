"""The whole vocabulary of a study: models (`text`, `run`, `study`, `tasks`, `grid`), sizes that work (`presets`), files and overrides (`load`)."""

from detente.settings.load import load_study, study_from_mapping
from detente.settings.run import (
    AdapterSettings,
    BatchSettings,
    EncoderSettings,
    MetaSettings,
    RunSettings,
    TrainingSettings,
    TreatmentName,
    WatchSettings,
)
from detente.settings.study import StudySettings
from detente.settings.text import ConstructedSettings, LanguageSettings, SplitSettings, VocabularySettings

__all__ = [
    "AdapterSettings",
    "BatchSettings",
    "ConstructedSettings",
    "EncoderSettings",
    "LanguageSettings",
    "MetaSettings",
    "RunSettings",
    "SplitSettings",
    "StudySettings",
    "TrainingSettings",
    "TreatmentName",
    "VocabularySettings",
    "WatchSettings",
    "load_study",
    "study_from_mapping",
]
