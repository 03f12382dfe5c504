"""The check of a run's meta-gradient: every variant against the exact one, on the run's own batches, at its newest checkpoint.

Batches are seeded: the same run gives the same errors.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch

from detente.batches import HeldOutBatches, MaskedBatch
from detente.errors import ConfigError
from detente.pretrain.data import held_out_batches, train_batches
from detente.pretrain.meta_agreement import Agreement, Counter, Sample, Validating, Variant, compare
from detente.pretrain.opened_run import OpenedRun, open_run, read_run_settings
from detente.pretrain.optimizer import learning_rate
from detente.results import MetaTerms, write_json
from detente.settings import MetaSettings, RunSettings

CHECK_FILE, CHECK_VERSION = "check-meta.json", 1
ADAPTED = ("meta-adapter", "adapter")


@dataclass(frozen=True)
class MetaCheck:
    """What `check_meta` found.

    Attributes:
        terms: of each inner rule, in float64 on whole batches with all languages validating; medians over the samples.
        has_dropout: whether dropout was drawn as in training.
    """

    run: str
    step: int
    beta: float
    batches: int
    blocks: int
    has_dropout: bool
    agreements: Mapping[Variant, Agreement]
    terms: Mapping[str, MetaTerms]

    def as_json(self) -> dict[str, Any]:
        """For `CHECK_FILE`."""
        facts = {name: getattr(self, name) for name in ("run", "step", "beta", "batches", "blocks", "has_dropout")}
        return {
            "version": CHECK_VERSION,
            **facts,
            "variants": [asdict(variant) | asdict(found) for variant, found in self.agreements.items()],
            "terms": {
                rule: terms.model_dump(exclude_none=True) | {"is_below_noise": terms.is_below_noise}
                for rule, terms in self.terms.items()
            },
        }


def check_meta(
    folder: Path,
    *,
    beta: float | None = None,
    batches: int = 3,
    blocks: int | None = None,
    progress: Counter | None = None,
) -> MetaCheck:
    """Compare the variants on a run of language adapters and write `CHECK_FILE` into its folder.

    Args:
        folder: STUDY/runs/NAME.
        beta: of the inner step; by the run's own rule, at the checkpoint's learning rate, when not given.
        batches: of each language.
        blocks: at most so many in a batch; all of the run's when not given.

    Raises:
        ConfigError: the run has one language or no language adapters.
        DataError, RecordError, CheckpointError: see `open_run`; also where a language has too little held-out text.
        TrainingError: a held-out gradient is zero or not finite.
    """
    _refuse_unsuited(read_run_settings(folder), folder)
    run = open_run(folder)
    samples = list(_draw_samples(run, batches, blocks))
    # On a GPU, dropout draws other masks in float64 than in float32; on a CPU they are the same.
    has_dropout = run.device.type == "cpu"
    run.treated.encoder.train(has_dropout)
    meta, rate = run.settings.meta, learning_rate(run.step, run.settings.training, run.settings.training.steps)
    beta = beta or meta.beta or meta.beta_multiple * rate
    agreements, terms = compare(run.treated, run.optimizer, samples, beta=beta, progress=progress)
    size = len(samples[0].train.row_targets)
    found = MetaCheck(run.settings.name, run.step, beta, batches, size, has_dropout, agreements, terms)
    write_json(folder / CHECK_FILE, found.as_json())
    return found


def _refuse_unsuited(settings: RunSettings, folder: Path) -> None:
    if len(settings.mixture) < 2:
        raise ConfigError(
            f"{folder} is a run of one language, {settings.mixture[0]}: a meta-gradient needs another language or more. Give a joint run."
        )
    if settings.treatment not in ADAPTED:
        raise ConfigError(
            f"{folder} is a run of the treatment `{settings.treatment}`, without adapters of each language. Give a run of "
            f"{' or '.join(f'`{name}`' for name in ADAPTED)}."
        )


def _draw_samples(run: OpenedRun, batches: int, blocks: int | None) -> Iterator[Sample]:
    """The training batches that come next, so many of each language, and what would validate them."""
    settings, languages = run.settings, len(run.settings.mixture)
    size = min(settings.batches.blocks, blocks or settings.batches.blocks)
    settings = settings.model_copy(update={"batches": settings.batches.model_copy(update={"blocks": size})})
    choices: list[Validating] = ["all", "others", *([2] if languages > 2 else [])]
    held_out = {choice: _held_out(settings, run, choice) for choice in choices}
    train, wanted = train_batches(settings, run.data), dict.fromkeys(settings.mixture, batches)
    for step in count(run.step):
        for batch in train.train(step):
            if wanted[batch.language]:
                wanted[batch.language] -= 1
                yield _sample(step, batch, held_out, run.device)
        if not any(wanted.values()):
            return


def _held_out(settings: RunSettings, run: OpenedRun, choice: Validating) -> HeldOutBatches:
    meta = MetaSettings.model_validate({"meta_languages": choice, "meta_split": settings.meta.meta_split})
    return held_out_batches(settings.model_copy(update={"meta": meta}), run.data)


def _sample(
    step: int, batch: MaskedBatch, held_out: Mapping[Validating, HeldOutBatches], device: torch.device
) -> Sample:
    validating = {
        choice: [each._replace(batch=each.batch.to(device)) for each in batches.validating(step, batch.language)]
        for choice, batches in held_out.items()
    }
    return Sample(batch.to(device), validating, held_out["all"].of(step + 1, batch.language).to(device))
