"""Where the time of a run's step goes: a table by part, and a trace for a browser (chrome://tracing, ui.perfetto.dev)."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from detente.machine import choose_device, keep_freed_memory
from detente.pretrain.data import RunData, held_out_batches, train_batches
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.run import build_model, make_step, to_device
from detente.pretrain.step import Step
from detente.settings import RunSettings

UNCOUNTED = 4
"""First steps allocate, and compile where that is asked for."""

PARTS = (
    "batches",
    "forward pass",
    "backward pass",
    "inner pass",
    "held-out passes",
    "mixed derivative",
    "theta's pass",
    "sum over processes",
    "update",
    "update of theta",
)


@dataclass(frozen=True)
class StepProfile:
    """Of a number of steps after the first ones.

    Attributes:
        seconds: of a step, mean.
        tokens_per_second: training tokens.
        parts: name -> seconds of a step, mean, in the order they come; what is left of `seconds` is between the parts.
    """

    steps: int
    seconds: float
    tokens_per_second: float
    parts: dict[str, float]


def profile_run(settings: RunSettings, data_folder: Path, trace: Path, *, steps: int = 8) -> StepProfile:
    """Do some steps of a run that is kept nowhere, and write their trace.

    On a GPU a part is as long as its kernels take, `update` also as long as the program waits for those before it.
    """
    device = choose_device(settings.training.device)
    keep_freed_memory()
    step = _step(settings, RunData.open(data_folder, settings.mixture), device)
    for number in range(UNCOUNTED):
        step(number)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiler:
        begun = time.perf_counter()
        tokens = sum(step(number).tokens for number in range(UNCOUNTED, UNCOUNTED + steps))
        seconds = time.perf_counter() - begun
    trace.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(trace))
    return StepProfile(steps, seconds / steps, tokens / seconds, _parts(profiler, device, steps))


def _step(settings: RunSettings, data: RunData, device: torch.device) -> Step:
    treated = to_device(build_model(settings, data.vocabulary.size), device)
    treated = replace(treated, compiled=settings.training.compile)
    treated.encoder.train()
    updater = Updater(build_optimizer(treated, settings.training), settings.training, settings.training.steps)
    batches = train_batches(settings, data)
    return make_step(settings, treated, updater, batches, lambda: held_out_batches(settings, data), device=device)


def _parts(profiler: profile, device: torch.device, steps: int) -> dict[str, float]:
    found = {event.key: event for event in profiler.key_averages() if event.key in PARTS}
    in_order = [name for name in PARTS if name in found]
    on_gpu = device.type == "cuda"
    microseconds = {name: found[name].device_time_total if on_gpu else found[name].cpu_time_total for name in in_order}
    return {name: total / steps / 1e6 for name, total in microseconds.items()}
