"""A study: the grid of runs over mixtures, treatments and seeds, and doing what of it is missing."""

from detente.study.execute import Outcome, run_study
from detente.study.plan import PlannedRun, plan_runs, study_folder

__all__ = ["Outcome", "PlannedRun", "plan_runs", "run_study", "study_folder"]
