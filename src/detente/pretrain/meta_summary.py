"""What a run's measurements of the meta step amount to, for its record."""

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from detente.results import MetaTerms, read_metrics

MEDIANS = ("direct_norm", "second_order_norm", "ratio", "cosine", "epsilon", "difference_error", "direct_noise")


def meta_terms(folder: Path, total_steps: int) -> MetaTerms:
    """Medians over the measured steps of the second half of training: early, both terms are far larger."""
    lines = [line for line in read_metrics(folder) if line["kind"] == "train"]
    measured = [line for line in lines if "direct_norm" in line]
    late = [line for line in measured if line["step"] > total_steps / 2] or measured
    medians = {name: _median(late, name) for name in MEDIANS}
    return MetaTerms(measured=len(late), skipped=skipped_steps(lines), **medians)


def skipped_steps(lines: Iterable[dict[str, Any]]) -> int:
    """Updates of phi that were left out."""
    return sum(line.get("skipped", 0) for line in lines)


def _median(lines: list[dict[str, Any]], name: str) -> float | None:
    values = [line[name] for line in lines if name in line]
    return median(values) if values else None
