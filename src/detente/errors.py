"""What can go wrong, by whose hand. The command line prints a `DetenteError` as one line and exits with 2."""

import difflib
from collections.abc import Iterable


class DetenteError(Exception):
    """Something the user can mend. The text names what is wrong, what was found and what to do."""


class ConfigError(DetenteError):
    """One or more settings are wrong.

    Attributes:
        problems: every problem found, one sentence or two each, in the order of the settings.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DataError(DetenteError):
    """A corpus, vocabulary or token store is missing, unreadable or does not fit."""


class InUse(DataError):
    """Another process is at work on a folder."""


class CheckpointError(DetenteError):
    """A checkpoint is missing, damaged or belongs to other settings."""


class RecordError(DetenteError):
    """A run record is missing or damaged."""


class TrainingError(DetenteError):
    """Training cannot go on, for example because the loss is not finite."""


class ProcessLost(Exception):
    """One of the processes that train a run together has ended; no setting was wrong."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM: the state was saved at `step`; without a step, that of every run in hand was.

    Attributes:
        signal_number: the signal received; the exit code is 128 plus it.
    """

    def __init__(self, step: int | None, signal_number: int) -> None:
        # Both go to the base class: an exception is rebuilt from its arguments when it leaves a worker process.
        super().__init__(step, signal_number)
        self.step = step
        self.signal_number = signal_number

    def __str__(self) -> str:
        where = "" if self.step is None else f" after step {self.step}"
        return f"interrupted{where}; what was begun is saved, the same command goes on from there"


def describe(error: Exception) -> str:
    """The text for people: that of a `DetenteError` stands alone, others say their type."""
    return str(error) if isinstance(error, DetenteError) else f"{type(error).__name__}: {error}"


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """' Did you mean `x`?' for the nearest candidate, or '' when none is near."""
    nearest = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f" Did you mean `{nearest[0]}`?" if nearest else ""
