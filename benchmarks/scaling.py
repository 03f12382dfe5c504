"""Two processes with one thread each against one process with one thread: tokens per second of the plain step on the same whole batch.

    python benchmarks/scaling.py --out benchmarks/results/scaling_mini.json

Each sitting starts the processes anew, as torchrun does, and times its steps after some that are not counted; sittings of one and of two
alternate, and the ratio is the median over pairs. What the processes wait for one another is in the time: the all-reduce of theta and phi_i is
also timed alone, on a buffer of its size.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from throughput import SIZES, run_settings
from zipf import zipf_tokens

from detente.batches import SpecialTokens, TrainBatches
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.parallel import Ranks, joined_ranks
from detente.pretrain.plain import PlainStep
from detente.pretrain.run import build_model
from detente.results import now, write_json

UNCOUNTED = 3


def main() -> None:
    """Measure, print and write; as a worker, one sitting."""
    options = _options()
    if options.worker:
        with joined_ranks() as ranks:
            found = sitting(options.preset, options.steps, ranks)
        if ranks.is_first:
            print(json.dumps(found))
        return
    pairs = [(start(options, 1), start(options, 2)) for _ in range(options.pairs)]
    ratios = sorted(two["tokens_per_second"] / one["tokens_per_second"] for one, two in pairs)
    record = {
        "preset": options.preset,
        "date": now(),
        "machine": {"processor": platform.machine(), "torch": torch.__version__, "python": platform.python_version()},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "all_reduce_share": statistics.median(two["all_reduce_seconds"] / two["step_seconds"] for _, two in pairs),
        "all_reduce_bytes": pairs[0][1]["all_reduce_bytes"],
    }
    print(
        f"two processes: {record['ratio']:.2f} times the tokens per second of one ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )
    print(f"all-reduce of {record['all_reduce_bytes'] / 1e6:.1f} MB: {record['all_reduce_share']:.1%} of a step")
    if options.out:
        write_json(options.out, record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=SIZES, default="mini")
    parser.add_argument("--pairs", type=int, default=5, help="of sittings")
    parser.add_argument("--steps", type=int, default=12, help="timed in a sitting")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def start(options: argparse.Namespace, processes: int) -> dict[str, Any]:
    """What the first of so many processes finds."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    worker = [__file__, "--worker", "--preset", options.preset, "--steps", str(options.steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = subprocess.run([*launch, *worker], check=True, capture_output=True, text=True, env=environment).stdout
    return json.loads(output.splitlines()[-1])


def sitting(preset: str, steps: int, ranks: Ranks) -> dict[str, float]:
    """Tokens per second of the whole batch, and what the all-reduce alone takes."""
    size = SIZES[preset]
    # A joint run of two languages with adapters.
    settings = run_settings(size, mixture=["a", "b"], treatment="adapter")
    treated = build_model(settings, size["vocabulary"])
    treated.encoder.train()
    special = SpecialTokens(size["vocabulary"], 4, frozenset(range(5)))
    streams = {label: zipf_tokens(size["vocabulary"]) for label in settings.mixture}
    batches = TrainBatches(streams, settings.batches, special, seed=1, share=ranks.share)
    updater = Updater(build_optimizer(treated, settings.training), settings.training, 1000)
    step = PlainStep(treated, batches, updater, torch.device("cpu"), ranks=ranks)
    for number in range(UNCOUNTED):
        step(number)
    begun = time.perf_counter()
    for number in range(UNCOUNTED, UNCOUNTED + steps):
        step(number)
    seconds = (time.perf_counter() - begun) / steps
    buffer = torch.zeros(sum(treated.count()))
    return {
        "tokens_per_second": settings.tokens(1) / seconds,
        "step_seconds": seconds,
        "all_reduce_seconds": all_reduce_seconds(buffer, ranks),
        "all_reduce_bytes": buffer.numel() * buffer.element_size(),
    }


def all_reduce_seconds(buffer: torch.Tensor, ranks: Ranks) -> float:
    """The median of nine; the copy into and out of the flat buffer included."""
    seconds = []
    for _ in range(9):
        begun = time.perf_counter()
        ranks.sum_([buffer])
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
