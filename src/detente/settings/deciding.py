"""Which of a run's settings decide its result."""

from typing import Any

from detente.settings.run import RunSettings

SAVING = ("checkpoint_every", "keep_checkpoints", "keep_every", "skip_nonfinite")
"""Training settings that decide how often is saved and when to give up, and no number."""

WATCHING = ("measure_every", "skip_limit")
"""Settings of the meta step that decide what is measured and when to give up, and no number."""


def deciding(settings: RunSettings) -> dict[str, Any]:
    """All but how often a run is saved or watched, and what its system is called."""
    is_meta = settings.treatment == "meta-adapter"
    return settings.model_dump(
        mode="json",
        exclude={"training": set(SAVING), "variant": True, "watch": True, "meta": set(WATCHING) if is_meta else True},
    )
