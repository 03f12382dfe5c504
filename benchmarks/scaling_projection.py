"""What a step on 8 and on 64 GPUs would take: arithmetic from one measured GPU, no measurement.

    python benchmarks/scaling_projection.py

prints the table of docs/scaling.md. A step is that of one GPU, divided or not; then one all-reduce of the gradient of theta and one phi as a
flat float32 buffer, not overlapped with anything.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from detente.pretrain.run import build_model
from detente.settings import RunSettings, study_from_mapping
from detente.study.cost import H100, flops_per_token
from detente.study.plan import plan_runs

BANDWIDTH = {8: 360e9, 64: 40e9}
"""Bytes a second into and out of a GPU, at 0.8 of what is printed on it: NVLink within a machine of eight, 400 Gbit/s Ethernet or InfiniBand
for each GPU between machines. A ring of 64 goes through the slower."""
LATENCY = 10e-6
"""Seconds for each of a ring's 2 (N - 1) hops."""
DEVICE_MEMORY = 3e12
"""Bytes a second: the buffer is written, read, and read and written back around the all-reduce."""
XLM_R_BASE = {
    "encoder": {"layers": 12, "width": 768, "heads": 12, "feed_forward_width": 3072},
    "vocabulary": {"size": 250_002},
    "batches": {"block_length": 512, "blocks": 64},
}
"""Conneau et al. 2020; 64 sequences on a GPU, and no more: the whole batch of 8,192 takes 128 GPUs, or accumulation."""


@dataclass(frozen=True)
class Size:
    """A model and its batch.

    Attributes:
        step: seconds on one GPU.
        state: bytes of weights and moments, held by every GPU.
        sent: bytes of the all-reduce.
    """

    name: str
    tokens: int
    step: float
    state: int
    sent: int


def sizes() -> list[Size]:
    """The `paper` preset as measured, XLM-R base at the same share of the GPU."""
    results = Path(__file__).parent / "results" / "gpu_plain_nvidia-h100-80gb-hbm3_512.json"
    measured = json.loads(results.read_text(encoding="utf-8"))["steps"]["plain, compiled"]["milliseconds"] / 1000
    paper, large = _settings({}), _settings(XLM_R_BASE)
    tokens = large.tokens(1)
    projected = tokens * flops_per_token(large, 250_002) / H100
    return [_size("paper", paper, 32_000, measured), _size("XLM-R base", large, 250_002, projected)]


def _settings(changed: dict[str, object]) -> RunSettings:
    languages = {label: {"paths": f"{label}.txt"} for label in ("en", "sw")}
    study = study_from_mapping({"preset": "paper", "languages": languages, "treatments": ["adapter"], **changed})
    return plan_runs(study)[-1].settings


def _size(name: str, settings: RunSettings, vocabulary: int, step: float) -> Size:
    shared, specific = build_model(settings, vocabulary).count()
    return Size(name, settings.tokens(1), step, 3 * 4 * (shared + 2 * specific), 4 * (shared + specific))


def all_reduce_seconds(sent: int, gpus: int) -> float:
    """A ring sends every byte 2 (N - 1) / N times."""
    ring = 2 * (gpus - 1) / gpus * sent / BANDWIDTH[gpus] + 2 * (gpus - 1) * LATENCY
    return ring + 4 * sent / DEVICE_MEMORY


def rows() -> list[str]:
    """Of the table, in Markdown."""
    found = []
    for size in sizes():
        for gpus in BANDWIDTH:
            waits = all_reduce_seconds(size.sent, gpus)
            for kind, step in (("the same on each", size.step), ("divided among them", size.step / gpus)):
                milliseconds = f"{1000 * step:.1f} | {1000 * waits:.1f}"
                found.append(f"| {size.name} | {gpus} | {kind} | {milliseconds} | {step / (step + waits):.0%} |")
    return found


def main() -> None:
    """Print."""
    for size in sizes():
        print(
            f"{size.name}: {size.tokens:,} tokens, {1000 * size.step:.1f} ms a step on one GPU, {size.state / 1e6:,.0f} MB of state, "
            f"{size.sent / 1e6:,.0f} MB sent"
        )
    print("\n".join(rows()))


if __name__ == "__main__":
    main()
