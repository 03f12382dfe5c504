"""Who is hurt by whom at equal steps, from two studies: pairs, and each language alone for as many steps as the pairs had.

`python docs/matrix_by_steps.py docs/results/pairs-constructed docs/results/pairs-constructed-alone` prints the table. A study with
`budget: examples` trains a pair for twice the steps of mono, so that each language is seen equally often; its pairs are here held against
mono runs of twice the steps, which see their language twice as often.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from compare_systems import rebuilt

from detente.report.formats import to_markdown
from detente.report.interference_matrix import InterferenceMatrix, interference_matrix
from detente.report.inventory import read_study


def by_steps(pairs: Path, alone: Path, scratch: Path) -> InterferenceMatrix:
    """Pairs of the one record folder, mono of the other."""
    mixed, mono = (read_study(rebuilt(folder / "records.jsonl", scratch / folder.name)) for folder in (pairs, alone))
    runs = (*(run for run in mixed.runs if not run.system.is_mono), *mono.runs)
    return replace(interference_matrix(replace(mixed, runs=runs)), budget="steps")


if __name__ == "__main__":
    from detente.report.matrix_table import matrix_table

    with tempfile.TemporaryDirectory() as scratch:
        print(to_markdown(matrix_table(by_steps(Path(sys.argv[1]), Path(sys.argv[2]), Path(scratch)))))
