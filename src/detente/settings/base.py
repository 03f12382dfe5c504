"""What all settings models have in common."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of every settings model: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
