"""The whole vocabulary of a study: models (`schema`), sizes that work (`presets`), files and overrides (`load`)."""

from detente.settings.load import load_study, study_from_mapping
from detente.settings.schema import (
    AdapterSettings,
    BatchSettings,
    ConstructedSettings,
    EncoderSettings,
    LanguageSettings,
    MetaSettings,
    RunSettings,
    SplitSettings,
    StudySettings,
    TrainingSettings,
    TreatmentName,
    VocabularySettings,
    WatchSettings,
)

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
