"""The memory and the disk that a study's runs will take, before anything is spent; what cannot fit is refused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from detente.disk import free, size
from detente.errors import ConfigError
from detente.machine import choose_device, memory_size, resident_memory
from detente.pretrain.run import build_model
from detente.settings import RunSettings
from detente.study.live_memory import peak_of_step
from detente.study.plan import PlannedRun

FLOAT = 4
"""Bytes: weights and moments are float32 at any precision of the passes."""
HELD, SAVED = 3, 3
"""Copies of the parameters: weights and two moments; and again in a checkpoint, which is put together in memory (`save_checkpoint`), in
blocks too large for what a step has left free."""
LIBRARIES = 110_000_000
"""Bytes that a process has grown by when torch, the tokenizer and the first step have set themselves up (benchmarks/memory_prediction.py)."""
HOLES = 1.5
"""Memory that a process takes for a step over what is alive in it: the C library's heap has holes, and kernels have buffers of their own
(same benchmark). A GPU's allocator has none to speak of."""
LINE = 230
"""Bytes in the metrics, for each step."""


@dataclass(frozen=True)
class Footprint:
    """Of one run.

    Attributes:
        memory: bytes at its peak, of the process or of the GPU.
        checkpoint: bytes of one.
        disk: bytes of its folder at most, the checkpoint that is being written included.
    """

    memory: int
    checkpoint: int
    disk: int


def footprints(runs: Sequence[PlannedRun], vocabulary_size: int) -> list[Footprint]:
    """Of each run. Runs that differ in seed and languages alone take the same."""
    if not runs:
        return []
    # Before any model is built: this process is then as large as one that begins a run.
    base = resident_memory()
    peaks: dict[tuple[str, int], int] = {}
    found: dict[tuple[str, int], Footprint] = {}
    for settings in (run.settings for run in runs):
        key = _shape(settings)
        if key not in found:
            # A third language takes nothing in a step; nor does a second one without language-specific parameters.
            tried = (settings.system, 1 if settings.treatment == "none" else min(len(settings.mixture), 2))
            if tried not in peaks:
                peaks[tried] = peak_of_step(settings, vocabulary_size, choose_device(settings.training.device))
            found[key] = footprint(settings, vocabulary_size, base=base, step=peaks[tried])
    return [found[_shape(run.settings)] for run in runs]


def _shape(settings: RunSettings) -> tuple[str, int]:
    return settings.system, len(settings.mixture)


def footprint(settings: RunSettings, vocabulary_size: int, *, base: int, step: int) -> Footprint:
    """Of one run.

    Args:
        base: bytes that the process has before it builds a model.
        step: bytes that a step takes (`peak_of_step`).
    """
    device = choose_device(settings.training.device)
    two = settings.model_copy(update={"mixture": settings.mixture[:2]})
    shared, specific = build_model(two, vocabulary_size).count()
    parameters = shared + len(settings.mixture) * specific
    # The template has weights of its own where each language has its copy.
    held = FLOAT * (HELD * parameters + specific)
    saved = FLOAT * SAVED * parameters
    memory = held + step if device.type == "cuda" else base + LIBRARIES + held + round(HOLES * step) + saved
    checkpoint = FLOAT * HELD * parameters
    return Footprint(memory, checkpoint, checkpoint * (_kept(settings) + 1) + LINE * settings.training.steps)


def _kept(settings: RunSettings) -> int:
    """Checkpoints at the end."""
    training = settings.training
    written = -(-training.steps // training.checkpoint_every)
    besides = training.steps // training.keep_every if training.keep_every else 0
    return min(written, training.keep_checkpoints + besides)


def refuse_what_cannot_fit(runs: Sequence[PlannedRun], found: Sequence[Footprint], folder: Path) -> None:
    """Compare with this machine's memory, and with the disk of the study's folder.

    Raises:
        ConfigError: something does not fit; what, by how much, and what to change.
    """
    problems = [*_memory_problems(runs, found), *_disk_problems(found, folder)]
    if problems:
        raise ConfigError(*problems)


def _memory_problems(runs: Sequence[PlannedRun], found: Sequence[Footprint]) -> Iterator[str]:
    if not runs:
        return
    run, largest = max(zip(runs, found, strict=True), key=lambda pair: pair[1].memory)
    device = choose_device(run.settings.training.device)
    there = memory_size(device)
    if largest.memory > there:
        yield (
            f"{run.name} needs about {size(largest.memory)} of memory, and {_named(device)} has {size(there)}. Lower "
            "`batches.blocks` and raise `training.accumulation` as much, or choose a smaller `vocabulary.size` or `encoder.width`."
        )


def _named(device: torch.device) -> str:
    return "the GPU" if device.type == "cuda" else "this machine"


def _disk_problems(found: Sequence[Footprint], folder: Path) -> Iterator[str]:
    """What the runs' folders hold already is not needed again."""
    needed = max(0, sum(each.disk for each in found) - size_of(folder / "runs"))
    there = free(folder)
    if needed > there:
        yield (
            f"the runs need about {size(needed)} more on the disk of {folder}, where {size(there)} are free. Make room, choose "
            "another `folder`, lower `training.keep_checkpoints`, or raise or leave out `training.keep_every`."
        )


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; 0 without one."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
