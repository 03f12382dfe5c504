"""A run's model as a folder that Hugging Face's transformers loads, with a card that says what it is."""

from detente.export.run import Exported, export_run, write_model

__all__ = ["Exported", "export_run", "write_model"]
