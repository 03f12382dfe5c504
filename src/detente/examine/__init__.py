"""Diagnoses of a run of ours: its newest checkpoint, on its own text; results and figures in RUN/diagnosis.

`detente.diagnose` has the diagnoses themselves, for any module.
"""

from detente.diagnosis_results.base import FOLDER
from detente.examine.examination import Examination
from detente.examine.parallel import constructed_languages, parallel_text
from detente.examine.watch import gradient_watch

__all__ = ["FOLDER", "Examination", "constructed_languages", "gradient_watch", "parallel_text"]
