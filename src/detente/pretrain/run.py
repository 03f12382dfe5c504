"""One pretraining run: settings and a data folder in, a run folder with its record out. The same call again is free or goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from detente.batches import evaluation_batches
from detente.encoder import Encoder
from detente.errors import Interrupted, RecordError
from detente.pretrain.checkpoint import load_checkpoint, save_checkpoint
from detente.pretrain.data import RunData, fingerprint, train_batches
from detente.pretrain.evaluate import evaluate
from detente.pretrain.loop import train
from detente.pretrain.machine import choose_device, machine, now, peak_memory, versions
from detente.pretrain.meta import MetaStep
from detente.pretrain.observers import Checkpoints, Clock, MetricsLog, Progress, Validation
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.plain import PlainStep
from detente.pretrain.signals import StopRequest
from detente.pretrain.step import Step, StepReport
from detente.results import (
    LanguageResult,
    Parameters,
    RunRecord,
    Score,
    read_metrics,
    read_record,
    write_atomic,
    write_record,
)
from detente.seeds import derive_seed
from detente.settings import RunSettings
from detente.treatment import TREATMENTS, TreatedEncoder, treat

def build_model(settings: RunSettings, vocabulary_size: int) -> TreatedEncoder:
    """The treated encoder of a run at initialisation. Shared weights are the same under every treatment of a seed."""
    encoder = Encoder(
        settings.encoder,
        vocabulary_size,
        block_length=settings.batches.block_length,
        num_languages=len(settings.mixture),
        seed=derive_seed(settings.seed, "encoder"),
    )
    seed = derive_seed(settings.seed, "treatment")
    return treat(encoder, TREATMENTS[settings.treatment], settings.mixture, settings.adapter, seed=seed)


def pretrain(settings: RunSettings, data_folder: Path, folder: Path, *, progress: Progress | None = None) -> RunRecord:
    """Do, continue or just read a run.

    Args:
        data_folder: `STUDY/data/NAME`, with the vocabulary and the token store.
        folder: the run's own; its record is returned at once when it is there and fits.
        progress: told after each step.

    Raises:
        Interrupted: a signal came; the state is saved and the same call goes on from there.
        TrainingError: a loss or gradient is not finite.
        RecordError: the folder holds a run of other settings.
    """
    data = RunData.open(data_folder, settings.mixture)
    mark = fingerprint(settings, data)
    done = _finished(folder, mark)
    if done is not None:
        return done
    run = _Run(settings, data, folder, mark)
    return run.execute(progress)


def _finished(folder: Path, mark: str) -> RunRecord | None:
    try:
        record = read_record(folder)
    except RecordError:
        if (folder / "record.json").exists():
            raise
        return None
    if record.fingerprint != mark:
        raise RecordError(f"{folder} holds a run of other settings or data. Choose another folder, or delete it.")
    return record if record.status == "success" else None


def record_failure(settings: RunSettings, data_folder: Path, folder: Path, error: str) -> None:
    """Leave a record that says why a run failed. What it saved before stays, and the next try goes on from there."""
    data = RunData.open(data_folder, settings.mixture)
    record = RunRecord(
        name=settings.name,
        fingerprint=fingerprint(settings, data),
        status="failed",
        error=error,
        mixture=settings.mixture,
        treatment=settings.treatment,
        seed=settings.seed,
        settings=settings.model_dump(mode="json"),
        steps=0,
        vocabulary=data.vocabulary.checksum,
        finished=now(),
    )
    write_record(folder, record)


class _Run:
    """The parts of a run, put together."""

    def __init__(self, settings: RunSettings, data: RunData, folder: Path, mark: str) -> None:
        self.settings, self.data, self.folder, self.mark = settings, data, folder, mark
        self.total_steps = settings.training.steps
        self.device = choose_device(settings.training.device)
        self.treated = _to_device(build_model(settings, data.vocabulary.size), self.device)
        self.optimizer = build_optimizer(self.treated, settings.training)
        self.batches = train_batches(settings, data)
        self.checkpoints = folder / "checkpoints"

    def execute(self, progress: Progress | None) -> RunRecord:
        write_atomic(self.folder / "settings.yaml", yaml.safe_dump(self.settings.model_dump(mode="json")).encode())
        state = load_checkpoint(self.checkpoints, self.treated, self.optimizer) or {"step": 0, "sittings": 0}
        start = state["step"]
        self.clock = Clock(state.get("train_seconds", 0.0), state.get("total_seconds", 0.0))
        self.sittings = state["sittings"] + 1
        log = MetricsLog(self.folder, start=start)
        last = self.total_steps
        training = self.settings.training
        observers = [self.clock, log, Validation(self._validate, log, every=training.validate_every, last=last)]
        if progress is not None:
            observers.append(lambda done, report: progress(done, last, report))
        saver = Checkpoints(self._save, every=training.checkpoint_every, last=last)
        try:
            with StopRequest() as stop:
                train(self._step(), start=start, stop=last, observers=observers, saver=saver, stop_request=stop)
        except Interrupted as interruption:
            write_record(self.folder, self._record("interrupted", interruption.step, error=str(interruption)))
            raise
        finally:
            log.close()
        record = self._record("success", last, languages=self._language_results())
        write_record(self.folder, record)
        return record

    def _step(self) -> Step:
        updater = Updater(self.optimizer, self.settings.training, self.total_steps)
        self.treated.encoder.train()
        parts = (self.treated, self.batches, updater, self.device)
        step: Step = MetaStep(*parts, self.settings.meta) if self.settings.treatment == "meta-adapter" else PlainStep(*parts)

        def timed(number: int) -> StepReport:
            self.clock.start_step()
            return step(number)

        return timed

    def _save(self, done: int) -> None:
        state = {
            "fingerprint": self.mark,
            "sittings": self.sittings,
            "train_seconds": self.clock.train_seconds,
            "total_seconds": self.clock.total_seconds,
        }
        keep = self.settings.training.keep_checkpoints
        save_checkpoint(self.checkpoints, done, self.treated, self.optimizer, state, keep=keep)

    def _validate(self) -> Mapping[str, Score]:
        blocks = self.settings.training.validation_blocks
        return {label: self._score(label, "validation", blocks) for label in self.settings.mixture}

    def _final_scores(self, split: str) -> dict[str, Score]:
        blocks = self.settings.training.test_blocks
        return {label: self._score(label, split, blocks, every_token=True) for label in self.settings.mixture}

    def _score(self, label: str, split: str, max_blocks: int, *, every_token: bool = False) -> Score:
        tokens = self.data.store.tokens(label, split)
        batches = evaluation_batches(
            tokens,
            label,
            split,
            self.settings.batches,
            self.data.special,
            max_blocks=max_blocks,
            every_token=every_token,
        )
        counts = self.data.store.manifest(label).splits[split]
        return evaluate(
            self.treated, batches, tokens_per_character=counts.tokens_per_character, precision=self.settings.training.precision
        )

    def _language_results(self) -> dict[str, LanguageResult]:
        training = self.settings.training
        test, validation = self._final_scores("test"), self._final_scores("validation")
        drawn = self.batches.draws.counts(self.total_steps * training.accumulation)
        epochs = self.batches.epochs(self.total_steps)
        early = early_losses(self.folder, self.total_steps)
        return {
            label: LanguageResult(
                test=test[label],
                validation=validation[label],
                baseline=self.data.store.manifest(label).baseline,
                early_loss=early[label],
                blocks_seen=drawn[label] * self.settings.batches.blocks,
                epochs=epochs[label],
                data=self.data.checksum(label),
            )
            for label in self.settings.mixture
        }

    def _record(self, status: str, steps: int, **values: Any) -> RunRecord:
        shared, specific = self.treated.count()
        tokens = steps * self.settings.training.accumulation * self.settings.batches.blocks
        return RunRecord(
            name=self.settings.name,
            fingerprint=self.mark,
            status=status,  # type: ignore[arg-type]
            mixture=self.settings.mixture,
            treatment=self.settings.treatment,
            seed=self.settings.seed,
            settings=self.settings.model_dump(mode="json"),
            steps=steps,
            parameters=Parameters(shared=shared, specific=specific),
            vocabulary=self.data.vocabulary.checksum,
            tokens=tokens * self.settings.batches.block_length,
            train_seconds=round(self.clock.train_seconds, 3),
            total_seconds=round(self.clock.total_seconds, 3),
            peak_memory_bytes=peak_memory(self.device),
            sittings=self.sittings,
            finished=now(),
            versions=versions(),
            machine=machine(self.device),
            **values,
        )


def _to_device(treated: TreatedEncoder, device: torch.device) -> TreatedEncoder:
    treated.encoder.to(device)
    for phi in treated.specific.values():
        for parameter in phi.values():
            parameter.data = parameter.data.to(device)
    return treated


def early_losses(folder: Path, total_steps: int) -> dict[str, float]:
    """Mean training loss per language over the first fifth of the steps (all of them for a language first seen later)."""
    seen: dict[str, list[tuple[int, float]]] = {}
    for line in read_metrics(folder):
        for label, loss in line["loss"].items() if line["kind"] == "train" else ():
            seen.setdefault(label, []).append((line["step"], loss))
    early = {label: [loss for step, loss in losses if step <= total_steps / 5] for label, losses in seen.items()}
    chosen = {label: early[label] or [loss for _, loss in losses] for label, losses in seen.items()}
    return {label: sum(losses) / len(losses) for label, losses in chosen.items()}
