"""One pretraining run: settings and a data folder in, a run folder with its record out. The same call again is free or goes on."""

from pathlib import Path
from typing import Any

import torch
import yaml

from detente.encoder import Encoder
from detente.errors import CheckpointError, DetenteError, Interrupted, RecordError, describe
from detente.lock import locked
from detente.pretrain.checkpoint import load_checkpoint, save_checkpoint
from detente.pretrain.data import RunData, fingerprint, train_batches
from detente.pretrain.loop import Observer, train
from detente.pretrain.machine import choose_device, machine, peak_memory, reset_peak_memory, versions
from detente.pretrain.meta import MetaStep
from detente.pretrain.observers import Checkpoints, Clock, MetricsLog, Progress, Validation
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.plain import PlainStep
from detente.pretrain.scoring import Scorer
from detente.pretrain.signals import StopRequest
from detente.pretrain.step import Step, StepReport
from detente.results import RECORD_FILE, Parameters, RunRecord, now, read_record, write_atomic, write_record
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
        DataError: another process is at work on it.
    """
    data = RunData.open(data_folder, settings.mixture)
    mark = fingerprint(settings, data)
    with locked(folder):
        done = _finished(folder, mark)
        return done or _begin(settings, data, folder, mark).execute(progress)


def _finished(folder: Path, mark: str) -> RunRecord | None:
    if not (folder / RECORD_FILE).exists():
        return None
    record = read_record(folder)
    if record.fingerprint != mark:
        raise RecordError(f"{folder} holds a run of other settings or data. Choose another folder, or delete it.")
    return record if record.status == "success" else None


def _begin(settings: RunSettings, data: RunData, folder: Path, mark: str) -> "_Run":
    try:
        return _Run(settings, data, folder, mark)
    except DetenteError as error:
        write_record(folder, _record(settings, data, mark, status="failed", error=str(error), steps=0))
        raise


class _Run:
    """The parts of a run, put together."""

    def __init__(self, settings: RunSettings, data: RunData, folder: Path, mark: str) -> None:
        self.settings, self.data, self.folder, self.mark = settings, data, folder, mark
        self.device = choose_device(settings.training.device)
        self.treated = _to_device(build_model(settings, data.vocabulary.size), self.device)
        self.optimizer = build_optimizer(self.treated, settings.training)
        self.batches = train_batches(settings, data)
        self.scorer = Scorer(settings, data, self.treated)

    def execute(self, progress: Progress | None) -> RunRecord:
        write_atomic(self.folder / "settings.yaml", yaml.safe_dump(self.settings.model_dump(mode="json")).encode())
        state = self._resume()
        self.log = MetricsLog(self.folder, start=state["step"])
        reset_peak_memory(self.device)
        try:
            with StopRequest() as stop:
                record = self._train_and_score(state["step"], stop, progress)
        except Interrupted as interruption:
            self._write("interrupted", interruption.step or self.done, error=str(interruption))
            raise
        except Exception as error:
            self._write("failed", self.done, error=describe(error))
            raise
        finally:
            self.log.close()
        # A signal that came after the last step: this run is done, the next must not begin.
        stop.raise_if_asked(record.steps)
        return record

    def _train_and_score(self, start: int, stop: StopRequest, progress: Progress | None) -> RunRecord:
        last = self.settings.training.steps
        saver = Checkpoints(self._save, every=self.settings.training.checkpoint_every, last=last)
        observers = self._observers(progress)
        train(self._step(), start=start, stop=last, observers=observers, saver=saver, stop_request=stop)
        return self._write("success", last, languages=self.scorer.language_results(self.batches, self.folder))

    def _resume(self) -> dict[str, Any]:
        """The newest checkpoint's state, its weights and moments put in place; a fresh one at the start."""
        state = load_checkpoint(self.folder / "checkpoints", self.treated, self.optimizer)
        state = state or {"step": 0, "sittings": 0, "fingerprint": self.mark}
        if state["fingerprint"] != self.mark:
            raise CheckpointError(
                f"{self.folder} holds checkpoints of another run. Delete the folder to start it anew."
            )
        self.clock = Clock(state.get("train_seconds", 0.0), state.get("total_seconds", 0.0))
        self.sittings, self.done = state["sittings"] + 1, state["step"]
        return state

    def _observers(self, progress: Progress | None) -> list[Observer]:
        training = self.settings.training
        last = training.steps
        validation = Validation(self.scorer.validation, self.log, every=training.validate_every, last=last)
        told = [] if progress is None else [lambda done, report: progress(done, last, report)]
        return [self.clock, self.log, validation, *told]

    def _step(self) -> Step:
        training = self.settings.training
        updater = Updater(self.optimizer, training, training.steps)
        self.treated.encoder.train()
        parts = (self.treated, self.batches, updater, self.device)
        is_meta = self.settings.treatment == "meta-adapter"
        step: Step = MetaStep(*parts, self.settings.meta) if is_meta else PlainStep(*parts)

        def timed(number: int) -> StepReport:
            self.done = number
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
        self.log.flush_to_disk()
        save_checkpoint(self.folder / "checkpoints", done, self.treated, self.optimizer, state, keep=keep)

    def _write(self, status: str, steps: int, **values: Any) -> RunRecord:
        shared, specific = self.treated.count()
        record = _record(
            self.settings,
            self.data,
            self.mark,
            status=status,
            steps=steps,
            parameters=Parameters(shared=shared, specific=specific),
            tokens=self.settings.tokens(steps),
            train_seconds=round(self.clock.train_seconds, 3),
            total_seconds=round(self.clock.total_seconds, 3),
            peak_memory_bytes=peak_memory(self.device),
            sittings=self.sittings,
            machine=machine(self.device),
            **values,
        )
        write_record(self.folder, record)
        return record


def _record(settings: RunSettings, data: RunData, mark: str, **values: Any) -> RunRecord:
    return RunRecord(
        name=settings.name,
        fingerprint=mark,
        mixture=settings.mixture,
        treatment=settings.treatment,
        seed=settings.seed,
        settings=settings.model_dump(mode="json"),
        vocabulary=data.vocabulary.checksum,
        finished=now(),
        versions=versions(),
        **values,
    )


def _to_device(treated: TreatedEncoder, device: torch.device) -> TreatedEncoder:
    treated.encoder.to(device)
    for phi in treated.specific.values():
        for parameter in phi.values():
            parameter.data = parameter.data.to(device)
    return treated
