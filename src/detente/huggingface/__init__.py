"""Trained encoders as Hugging Face models: load, fill masks, fine-tune, with a language for each row.

Imported with the package itself, so nothing is loaded before it is asked for (transformers comes with `detente[tasks]`).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detente.huggingface.config import DetenteConfig
    from detente.huggingface.conversion import to_huggingface
    from detente.huggingface.heads import (
        DetenteForMaskedLM,
        DetenteForQuestionAnswering,
        DetenteForSequenceClassification,
        DetenteForTokenClassification,
    )
    from detente.huggingface.model import DetenteModel

__all__ = [
    "DetenteConfig",
    "DetenteForMaskedLM",
    "DetenteForQuestionAnswering",
    "DetenteForSequenceClassification",
    "DetenteForTokenClassification",
    "DetenteModel",
    "to_huggingface",
]
_MODULES = {"DetenteConfig": "config", "DetenteModel": "model", "to_huggingface": "conversion"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'heads')}"), name)
