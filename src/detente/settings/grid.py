"""Runs to leave out of a study's grid, and runs to add to it."""

from pydantic import NonNegativeInt

from detente.settings.base import Settings


class ExcludeSettings(Settings):
    """A list. Each entry leaves out the runs of the grid that agree with all that it gives."""

    mixture: str | tuple[str, ...] | None = None
    """`mono`, `pairs`, `joint`, or a list of labels."""
    treatment: str | None = None
    """A treatment, or the name of a variant. Mono runs have `none`."""
    seed: NonNegativeInt | None = None
    """One seed."""


class IncludeSettings(Settings):
    """A list. Each entry adds runs, whatever is excluded; what it does not give is as in the grid."""

    mixture: str | tuple[str, ...] | None = None
    """`mono`, `pairs`, `joint`, or a list of labels, in place of the grid's mixtures."""
    treatment: str | None = None
    """A treatment, or the name of a variant, in place of all of the grid."""
    seed: NonNegativeInt | None = None
    """One seed, in place of the grid's."""
