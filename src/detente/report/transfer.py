"""Zero-shot scores of treated mixtures beside those of the untreated one."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from detente.report.inventory import Study, System
from detente.report.rules import TransferChange
from detente.report.statistics import estimate, paired_differences


def transfer_changes(study: Study, systems: Sequence[System], language: str) -> Iterator[TransferChange]:
    """Of every treated system, task and source, to one target language; where seeds with both runs were fine-tuned."""
    tasks = sorted({record.task for run in study.runs for record in run.tasks})
    for system in systems:
        for task in tasks:
            for source in system.mixture:
                untreated = System(system.mixture, "none")
                ours, theirs = (zero_shot(study, one, task, source, language) for one in (system, untreated))
                differences = paired_differences(ours, theirs)
                if differences:
                    yield TransferChange(system.name, task, source, estimate(list(differences.values())))


def zero_shot(study: Study, system: System, task: str, source: str, target: str) -> dict[int, float]:
    """Pretraining seed -> score on a language that the fine-tuning has not seen; fine-tunings' seeds are averaged first."""
    found = {
        seed: [
            score.value
            for record in run.tasks
            if (record.task, record.source) == (task, source)
            for score in record.scores
            if (score.setting, score.language) == ("zero-shot", target)
        ]
        for seed, run in study.by_system.get(system, {}).items()
    }
    return {seed: fmean(values) for seed, values in found.items() if values}
