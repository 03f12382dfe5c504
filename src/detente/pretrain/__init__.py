"""Masked-LM pretraining: objective, steps, loop, checkpoints, evaluation, and one run from settings to record."""

from detente.pretrain.evaluate import evaluate
from detente.pretrain.run import build_model, pretrain

__all__ = ["build_model", "evaluate", "pretrain"]
