"""Zero-shot scores of treated mixtures beside those of the untreated one."""

from collections.abc import Iterator, Sequence

from detente.report.inventory import Study, System
from detente.report.rules import TransferChange
from detente.report.statistics import estimate, paired_differences
from detente.report.task_scores import Asked, task_scores


def transfer_changes(study: Study, systems: Sequence[System], language: str) -> Iterator[TransferChange]:
    """Of every treated system, task and source, to one target language; where seeds with both runs were fine-tuned."""
    tasks = sorted({record.task for run in study.runs for record in run.tasks})
    for system in systems:
        for task in tasks:
            for source in system.mixture:
                untreated, asked = System(system.mixture, "none"), Asked(task, "zero-shot", source, language)
                ours, theirs = (task_scores(study, one, asked) for one in (system, untreated))
                differences = paired_differences(ours, theirs)
                if differences:
                    yield TransferChange(system.name, task, source, estimate(list(differences.values())))
