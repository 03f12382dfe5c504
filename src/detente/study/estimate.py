"""What a study will cost, before anything is spent: parameters, tokens and a time measured on this machine."""

import time
from dataclasses import dataclass
from typing import Any

import torch

from detente.batches import TrainBatches
from detente.machine import choose_device
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.plain import PlainStep
from detente.pretrain.run import build_model, to_device
from detente.settings import RunSettings
from detente.study.cost import passes
from detente.study.plan import PlannedRun
from detente.study.random_text import random_streams, special_tokens

TIMED_STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """The cost of one run.

    Attributes:
        shared, specific: parameters of theta, and of one language's phi.
        tokens: training tokens.
        seconds: wall time on this machine; a rough figure, taken from a few steps on random text.
    """

    shared: int
    specific: int
    tokens: int
    seconds: float


def estimate_runs(runs: list[PlannedRun], vocabulary_size: int) -> list[Estimate]:
    """An estimate for each run; the speed is measured once, on the first."""
    speed = tokens_per_second(runs[0].settings, vocabulary_size) if runs else 1.0
    # Runs of a shape have the same number of parameters, and a large model takes a second to build.
    counts: dict[tuple[Any, ...], tuple[int, int]] = {}
    estimates = []
    for settings in (run.settings for run in runs):
        shape = (settings.encoder, settings.adapter, settings.treatment, len(settings.mixture))
        if shape not in counts:
            counts[shape] = build_model(settings, vocabulary_size).count()
        estimates.append(_estimate(settings, *counts[shape], speed))
    return estimates


def _estimate(settings: RunSettings, shared: int, specific: int, speed: float) -> Estimate:
    tokens = settings.tokens(settings.training.steps)
    return Estimate(shared, specific, tokens, tokens / speed * passes(settings) / 3)


def tokens_per_second(settings: RunSettings, vocabulary_size: int) -> float:
    """Of plain steps on random tokens, with small batches where the run's are large."""
    blocks = min(settings.batches.blocks, 16)
    batches_settings = settings.batches.model_copy(update={"blocks": blocks})
    label = settings.mixture[0]
    tokens = random_streams([label], vocabulary_size, 64 * settings.batches.block_length)
    batches = TrainBatches(tokens, batches_settings, special_tokens(vocabulary_size), seed=0)
    device = choose_device(settings.training.device)
    one = settings.model_copy(update={"mixture": (label,), "treatment": "none"})
    treated = to_device(build_model(one, vocabulary_size), device)
    updater = Updater(build_optimizer(treated, settings.training), settings.training, TIMED_STEPS)
    step = PlainStep(treated, batches, updater, device)
    step(0)
    begun = time.perf_counter()
    for number in range(1, TIMED_STEPS + 1):
        step(number)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return TIMED_STEPS * blocks * settings.batches.block_length / (time.perf_counter() - begun)
