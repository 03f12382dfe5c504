"""Systems of a study against each other, from its committed records.

    python docs/compare_systems.py docs/results/NAME/records.jsonl meta-adapter:held-out held-out:adapter

Prints a row a pair: bits per character of the first minus the second, paired by seed, in each language and in the mean over languages;
mean and half the 95 % interval over seeds.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from detente.report import numbers
from detente.report.comparisons import bits, by_seed
from detente.report.inventory import Study, read_study
from detente.report.statistics import estimate, paired_differences, word_for
from detente.results import RunRecord, write_record
from detente.task_results import TaskRecord, write_task_record


def rebuilt(records: Path, folder: Path) -> Path:
    """A study folder with these records, and those of the fine-tunings beside them."""
    runs = {}
    for line in records.read_text(encoding="utf-8").splitlines():
        record = RunRecord.model_validate_json(line)
        runs[record.name] = folder / "runs" / f"{record.name}-{record.fingerprint[:8]}"
        write_record(runs[record.name], record)
    tasks = records.with_name("tasks.jsonl")
    for line in tasks.read_text(encoding="utf-8").splitlines() if tasks.exists() else ():
        task = TaskRecord.model_validate_json(line)
        write_task_record(runs[task.model] / "tasks" / task.task / f"{task.source}_seed{task.seed}", task)
    return folder


def table(study: Study, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Markdown, for the study's largest mixture."""
    mixture = max(study.mixtures, key=len)
    lines = [f"| pair | {' | '.join(mixture)} | mean | can tell |", f"| --- |{' ---: |' * (len(mixture) + 1)} --- |"]
    return lines + [_row(study, mixture, *pair) for pair in pairs]


def _row(study: Study, mixture: tuple[str, ...], first: str, second: str) -> str:
    systems = {system.name: system for system in study.systems if system.mixture == mixture}
    apart = [
        paired_differences(*(by_seed(study, systems[name], language, bits) for name in (first, second)))
        for language in mixture
    ]
    found = [estimate(list(each.values())) for each in apart]
    mean = estimate([sum(each[seed] for each in apart) / len(apart) for seed in apart[0]])
    cells = [numbers.signed(each) for each in (*found, mean)]
    return f"| {first} minus {second} | {' | '.join(cells)} | {word_for(mean)} |"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        read = read_study(rebuilt(Path(sys.argv[1]), Path(temporary) / "study"))
        print("\n".join(table(read, [(pair.split(":")[0], pair.split(":")[1]) for pair in sys.argv[2:]])))
