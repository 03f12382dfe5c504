"""A study: the grid of runs over mixtures, treatments and seeds, and doing what of it is missing."""

from typing import TYPE_CHECKING, Any

from detente.study.plan import PlannedRun, plan_runs, study_folder

if TYPE_CHECKING:
    from detente.study.execute import Outcome, run_study

__all__ = ["Outcome", "PlannedRun", "plan_runs", "run_study", "study_folder"]


def __getattr__(name: str) -> Any:
    """What trains imports torch, which takes seconds; plans and states of studies do without."""
    if name not in __all__:
        raise AttributeError(name)
    from detente.study import execute

    return getattr(execute, name)
