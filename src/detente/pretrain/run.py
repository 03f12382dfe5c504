"""One pretraining run: settings and a data folder in, a run folder with its record out. The same call again is free or goes on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from detente.batches import HeldOutBatches, TrainBatches
from detente.encoder import Encoder
from detente.errors import CheckpointError, DataError, DetenteError, Interrupted, ProcessLost, RecordError, describe
from detente.lock import locked
from detente.machine import choose_device, keep_freed_memory, machine, peak_memory, reset_peak_memory, versions
from detente.pretrain.checkpoint import load_checkpoint, save_checkpoint
from detente.pretrain.data import RunData, fingerprint, held_out_batches, train_batches
from detente.pretrain.loop import Observer, train
from detente.pretrain.meta import MetaStep
from detente.pretrain.meta_summary import meta_terms, skipped_steps
from detente.pretrain.not_finite import left_out_updates
from detente.pretrain.observers import Checkpoints, Clock, LeftOutLimit, MetricsLog, Progress, SkipLimit, Validation
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.parallel import ALONE, Ranks, joined_ranks
from detente.pretrain.plain import PlainStep
from detente.pretrain.scoring import Scorer
from detente.pretrain.signals import StopRequest
from detente.pretrain.step import Step, StepReport
from detente.results import (
    RECORD_FILE,
    Parameters,
    RunRecord,
    now,
    read_metrics,
    read_record,
    write_atomic,
    write_record,
)
from detente.revision import find_revision
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


def make_step(
    settings: RunSettings,
    treated: TreatedEncoder,
    updater: Updater,
    batches: TrainBatches,
    held_out: Callable[[], HeldOutBatches],
    *,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> Step:
    """The step of a run's treatment; only the meta step asks for held-out text."""
    if settings.treatment != "meta-adapter":
        return PlainStep(treated, batches, updater, device, ranks=ranks)
    return MetaStep(treated, batches, held_out(), updater, device, settings=settings.meta, ranks=ranks)


Watch = Callable[[RunSettings, RunData, TreatedEncoder, Path, int], Observer | None]
"""Given the run, its folder and the steps done, what looks on at the steps to come."""


def pretrain(
    settings: RunSettings,
    data_folder: Path,
    folder: Path,
    *,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> RunRecord:
    """Do, continue or just read a run.

    Args:
        data_folder: `STUDY/data/NAME`, with the vocabulary and the token store.
        folder: the run's own; its record is returned at once when it is there and fits.
        progress: told after each step.
        watch: makes a further observer, as `detente.examine.gradient_watch` does.

    Raises:
        Interrupted: a signal came; the state is saved and the same call goes on from there.
        TrainingError: a loss or gradient is not finite.
        RecordError: the folder holds a run of other settings.
        DataError: another process is at work on it.
    """
    with joined_ranks() as ranks, ExitStack() as held:
        with ranks.agreed():
            device = choose_device(settings.training.device)
            data = RunData.open(data_folder, settings.mixture)
            mark = fingerprint(settings, data)
            if ranks.is_first:
                held.enter_context(locked(folder))
        with ranks.agreed():
            run = _finished(folder, mark) or _begin(settings, data, folder, mark, device=device, ranks=ranks)
        return run if isinstance(run, RunRecord) else run.execute(progress, watch)


def _finished(folder: Path, mark: str) -> RunRecord | None:
    if not (folder / RECORD_FILE).exists():
        return None
    record = read_record(folder)
    if record.fingerprint != mark:
        raise RecordError(f"{folder} holds a run of other settings or data. Choose another folder, or delete it.")
    return record if record.status == "success" else None


def _begin(
    settings: RunSettings, data: RunData, folder: Path, mark: str, *, device: torch.device, ranks: Ranks
) -> "_Run":
    try:
        if ranks.is_first:
            data.store.verify()
        return _Run(settings, data, folder, mark, device=device, ranks=ranks)
    except DetenteError as error:
        if ranks.is_first:
            write_record(folder, _record(settings, data, mark, status="failed", error=str(error), steps=0))
        raise


class _Run:
    """The parts of a run, put together."""

    def __init__(
        self,
        settings: RunSettings,
        data: RunData,
        folder: Path,
        mark: str,
        *,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.settings, self.data, self.folder, self.mark = settings, data, folder, mark
        self.device, self.ranks = device, ranks
        self.revision = find_revision() if ranks.is_first else None
        if device.type == "cuda":
            torch.cuda.set_device(device)
        keep_freed_memory()
        treated = to_device(build_model(settings, data.vocabulary.size), self.device)
        self.treated = replace(treated, compiled=settings.training.compile)
        self.optimizer = build_optimizer(self.treated, settings.training)
        self.batches = train_batches(settings, data, ranks.share)
        self.scorer = Scorer(settings, data, self.treated)

    def execute(self, progress: Progress | None, watch: Watch | None) -> RunRecord:
        state = self._resume()
        reset_peak_memory(self.device)
        # The record is written before signals kill again: a study's parent sends one to a worker that Ctrl-C has stopped already.
        with StopRequest(self.ranks) as stop:
            record = self._recorded(state["step"], progress, watch, stop)
        # A signal that came after the last step: this run is done, the next must not begin.
        if signal_number := stop.asked():
            raise Interrupted(record.steps, signal_number)
        return record

    def _recorded(self, start: int, progress: Progress | None, watch: Watch | None, stop: StopRequest) -> RunRecord:
        """However it ends, a record says so."""
        try:
            with self._opened_log(start) as log:
                train(
                    self._step(),
                    start=start,
                    stop=self.settings.training.steps,
                    observers=self._observers(log, progress, watch, start=start),
                    saver=self._saver(log),
                    stop_request=stop,
                )
                return self._score()
        except Interrupted as interruption:
            self._write("interrupted", interruption.step or self.done, error=str(interruption))
            # torchrun ends the others as soon as one has ended: none may before the first has saved.
            with suppress(ProcessLost):
                self.ranks.agree(0)
            raise
        except ProcessLost as error:
            self._write("interrupted", self.done, error=str(error))
            raise
        except Exception as error:
            # A full disk may have no room for a record either; what is told is what came first.
            with suppress(DataError):
                self._write("failed", self.done, error=describe(error))
            raise

    @contextmanager
    def _opened_log(self, start: int) -> Iterator[MetricsLog | None]:
        """The first process writes; the others have no log."""
        if not self.ranks.is_first:
            yield None
            return
        write_atomic(self.folder / "settings.yaml", yaml.safe_dump(self.settings.model_dump(mode="json")).encode())
        log = MetricsLog(self.folder, start=start)
        try:
            yield log
        finally:
            log.close()

    def _score(self) -> RunRecord:
        """The first process scores and writes the record; the others read it."""
        last = self.settings.training.steps
        with self.ranks.agreed():
            if self.ranks.is_first:
                is_meta = self.settings.treatment == "meta-adapter"
                self._write(
                    "success",
                    last,
                    languages=self.scorer.language_results(self.batches, self.folder),
                    meta=meta_terms(self.folder, last) if is_meta else None,
                    left_out=left_out_updates(read_metrics(self.folder)),
                )
        return read_record(self.folder)

    def _resume(self) -> dict[str, Any]:
        """The newest checkpoint's state, its weights and moments put in place; a fresh one at the start."""
        with self.ranks.agreed():
            state = load_checkpoint(self.folder / "checkpoints", self.treated, self.optimizer)
            state = state or {"step": 0, "sittings": 0, "fingerprint": self.mark}
            if state.get("fingerprint") != self.mark:
                raise CheckpointError(
                    f"{self.folder} holds checkpoints of another run. Delete the folder to start it anew."
                )
        self._refuse_other_step(state["step"])
        self.clock = Clock(state.get("train_seconds", 0.0), state.get("total_seconds", 0.0))
        self.sittings, self.done = state["sittings"] + 1, state["step"]
        return state

    def _refuse_other_step(self, step: int) -> None:
        """All processes go on from the same step."""
        with self.ranks.agreed():
            newest = self.ranks.agree(step)
            if step != newest:
                raise CheckpointError(
                    f"one process found the checkpoint of step {step} in {self.folder}, another that of step {newest}. All "
                    "machines must see the same folder."
                )

    def _observers(
        self, log: MetricsLog | None, progress: Progress | None, watch: Watch | None, *, start: int
    ) -> list[Observer]:
        last = self.settings.training.steps
        limits: list[Observer] = [
            SkipLimit(self.settings.meta.skip_limit, already=skipped_steps(self._metrics_until(start))),
            LeftOutLimit(self.settings.training.skip_nonfinite, already=left_out_updates(self._metrics_until(start))),
        ]
        if log is None:
            return [self.clock, *limits]
        validation = Validation(self.scorer.validation, log, every=self.settings.training.validate_every, last=last)
        told = [] if progress is None else [lambda done, report: progress(done, last, report)]
        watching = watch(self.settings, self.data, self.treated, self.folder, start) if watch else None
        return [self.clock, log, *limits, validation, *([watching] if watching else []), *told]

    def _metrics_until(self, step: int) -> Iterator[dict[str, Any]]:
        return (line for line in read_metrics(self.folder) if line["step"] <= step)

    def _saver(self, log: MetricsLog | None) -> Checkpoints:
        training = self.settings.training

        def save(done: int) -> None:
            # A full disk, which the first alone meets, ends the run in all.
            with self.ranks.agreed():
                if log is not None:
                    log.flush_to_disk()
                    self._save(done)

        return Checkpoints(save, every=training.checkpoint_every, last=training.steps)

    def _step(self) -> Step:
        training = self.settings.training
        updater = Updater(self.optimizer, training, training.steps)
        self.treated.encoder.train()
        step = make_step(
            self.settings,
            self.treated,
            updater,
            self.batches,
            lambda: held_out_batches(self.settings, self.data, self.ranks.share),
            device=self.device,
            ranks=self.ranks,
        )

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
        training = self.settings.training
        save_checkpoint(
            self.folder / "checkpoints",
            done,
            self.treated,
            self.optimizer,
            state,
            keep=training.keep_checkpoints,
            keep_every=training.keep_every,
        )

    def _write(self, status: str, steps: int, **values: Any) -> None:
        if not self.ranks.is_first:
            return
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
            machine={**machine(self.device), "processes": str(self.ranks.size)},
            revision=self.revision,
            **values,
        )
        write_record(self.folder, record)


def _record(settings: RunSettings, data: RunData, mark: str, **values: Any) -> RunRecord:
    return RunRecord(
        name=settings.name,
        fingerprint=mark,
        mixture=settings.mixture,
        treatment=settings.treatment,
        variant=settings.variant,
        seed=settings.seed,
        settings=settings.model_dump(mode="json"),
        vocabulary=data.vocabulary.checksum,
        finished=now(),
        versions=versions(),
        **values,
    )


def to_device(treated: TreatedEncoder, device: torch.device) -> TreatedEncoder:
    """`treated` itself, theta and every phi moved."""
    treated.encoder.to(device)
    for phi in treated.specific.values():
        for parameter in phi.values():
            parameter.data = parameter.data.to(device)
    return treated
