"""A GPU's training step: tokens per second, share of the bf16 matrix peak measured beside it, memory, and what a meta step costs.

    python benchmarks/gpu.py --out benchmarks/results

Everything is timed in one process on one model of the `paper` preset with adapters and two languages: one step of each kind per
round, in a freshly shuffled order; a ratio is the median over rounds of (step / plain compiled step of the same round). A step ends
when its loss has been read. Tokens are Zipf-distributed and random; batches and masking are inside the timed step.

The share of the peak counts the multiplications that the loss needs: logits at the targets, and the last layer there too. A kind of step that
does not fit into the GPU is left out.
"""

import argparse
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
import transformers
from throughput import SIZES, bert
from zipf import zipf_tokens

from detente.batches import HeldOutBatches, SpecialTokens, TrainBatches
from detente.pretrain.meta import MetaStep
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.plain import PlainStep
from detente.pretrain.run import build_model, to_device
from detente.results import now, write_json
from detente.settings import MetaSettings, RunSettings
from detente.settings.presets import CHEAP_META, PRESETS
from detente.study.cost import flops_per_token

GPU = torch.device("cuda")
VOCABULARY = 32_000
LANGUAGES = ("a", "b")

CHEAP = CHEAP_META["meta"]
"""The presets `mini` and `tiny` have these settings of the meta step."""

META: dict[str, dict[str, Any]] = {"source": {}, "cheap": CHEAP}


def main() -> None:
    """Measure, print and write."""
    options = _options()
    peak = matrix_peak()
    print(f"{torch.cuda.get_device_name()}: bf16 matrix product {peak / 1e12:.0f} TFLOP/s", flush=True)
    device = torch.cuda.get_device_name().replace(" ", "-").lower()
    # What takes little compiling first: a machine that is lent may be taken back.
    for kind, blocks in product(("plain", "meta"), options.blocks):
        result = measure(kind, blocks, options.rounds, peak, options.skip)
        record = {"date": now(), "machine": machine(), "matrix_flops_per_second": peak, **result}
        write_json(options.out / f"gpu_{kind}_{device}_{blocks}.json", record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, nargs="+", default=[128, 512], help="of 256 tokens, in a batch")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--skip", nargs="*", default=[], help="kinds of steps whose name has this in it")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args()


class Bench:
    """One model and its data; a step of every kind works on it."""

    def __init__(self, blocks: int) -> None:
        self.settings = run_settings(blocks)
        self.special = SpecialTokens(VOCABULARY, 4, frozenset(range(5)))
        self.tokens = {label: zipf_tokens(VOCABULARY, seed, 2_000_000) for seed, label in enumerate(LANGUAGES)}
        self.batches = TrainBatches(self.tokens, self.settings.batches, self.special, seed=1, drawn_evenly=True)
        self.treated = to_device(build_model(self.settings, VOCABULARY), GPU)
        self.treated.encoder.train()
        training = self.settings.training
        self.updater = Updater(build_optimizer(self.treated, training), training, training.steps)

    def plain(self, *, compiled: bool) -> Callable[[int], Any]:
        """The plain step."""
        return PlainStep(replace(self.treated, compiled=compiled), self.batches, self.updater, GPU)

    def meta(self, chosen: dict[str, Any], *, compiled: bool) -> Callable[[int], Any]:
        """The meta step, nothing measured."""
        settings = MetaSettings(**chosen, measure_every=1_000_000)
        held_out = HeldOutBatches(self.tokens, settings, self.settings.batches, self.special, seed=2)
        treated = replace(self.treated, compiled=compiled)
        return MetaStep(treated, self.batches, held_out, self.updater, GPU, settings=settings)

    def hugging_face(self) -> Callable[[int], Any]:
        """BertForMaskedLM as users run it: logits at every position, autocast, fused AdamW."""
        model = bert(SIZES["paper"]).to(GPU).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

        def step(number: int) -> float:
            (batch,) = self.batches.train(number)
            batch = batch.pinned_for(GPU).to(GPU)
            labels = torch.full_like(batch.tokens, -100).scatter_(1, batch.positions, batch.targets)
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = model(input_ids=batch.tokens, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            optimizer.zero_grad()
            return loss.detach().item()

        return step


def run_settings(blocks: int) -> RunSettings:
    """The paper preset's joint run with adapters."""
    chosen = PRESETS["paper"]
    return RunSettings.model_validate(
        {
            "mixture": LANGUAGES,
            "treatment": "meta-adapter",
            "encoder": chosen["encoder"],
            "batches": {**chosen["batches"], "blocks": blocks},
            "training": chosen["training"],
        }
    )


def matrix_peak() -> float:
    """Operations per second of an 8192 x 8192 x 8192 bf16 product of random numbers: the median of twenty."""
    a, b = (torch.randn(8192, 8192, device=GPU, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(23):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        a @ b
        ended.record()
        torch.cuda.synchronize()
        seconds.append(begun.elapsed_time(ended) / 1000)
    return float(2 * 8192**3 / statistics.median(seconds[3:]))


def makers_of(kind: str, bench: Bench) -> dict[str, Callable[[], Callable[[int], Any]]]:
    """Name -> what makes the step; the plain compiled step, which all are compared with, is always there."""
    found: dict[str, Callable[[], Callable[[int], Any]]] = {
        "plain, compiled": partial(bench.plain, compiled=True),
        "plain": partial(bench.plain, compiled=False),
    }
    if kind == "plain":
        return found | {"BertForMaskedLM": bench.hugging_face}
    for name, chosen in META.items():
        found[f"meta {name}"] = partial(bench.meta, chosen, compiled=False)
        found[f"meta {name}, compiled"] = partial(bench.meta, chosen, compiled=True)
    return found


def measure(kind: str, blocks: int, rounds: int, peak: float, skipped: list[str]) -> dict[str, Any]:
    """Steps of a kind at one size of batch."""
    bench = Bench(blocks)
    steps, kinds = {}, {}
    for name, make in makers_of(kind, bench).items():
        if not any(part in name for part in skipped):
            begun, step = time.perf_counter(), make()
            try:
                kinds[name] = first_steps(step, per_round(name))
            except torch.OutOfMemoryError:
                print(f"{blocks} blocks, {name}: does not fit", flush=True)
                continue
            steps[name] = step
            print(f"{blocks} blocks, {name}: {time.perf_counter() - begun:.0f} s for the first steps", flush=True)
    seconds = duel(steps, rounds)
    tokens, flops = bench.settings.tokens(1), flops_per_token(bench.settings, VOCABULARY)
    plain = seconds["plain, compiled"]
    for name, taken in seconds.items():
        kinds[name] |= {
            "milliseconds": 1000 * statistics.median(taken),
            "tokens_per_second": tokens / statistics.median(taken),
            "ratio": statistics.median(mine / base for mine, base in zip(taken, plain, strict=True)),
        }
        if name.startswith("plain"):
            kinds[name]["share_of_peak"] = kinds[name]["tokens_per_second"] * flops / peak
    print("\n".join(table(blocks, kinds)), flush=True)
    return {"blocks": blocks, "tokens": tokens, "flops_per_token": flops, "rounds": rounds, "steps": kinds}


def per_round(name: str) -> int:
    """Steps of a kind in a round: the cheap meta step updates a language's phi at every second of its batches, so every four steps
    hold each kind of work alike."""
    return 8 if "cheap" in name else 4


def first_steps(step: Callable[[int], Any], number: int) -> dict[str, Any]:
    """Compiles, warms up, and tells the memory."""
    for n in range(2 * number):
        step(n)
    torch.cuda.reset_peak_memory_stats()
    for n in range(number):
        step(n)
    found = {"gigabytes": torch.cuda.max_memory_allocated() / 1e9}
    torch.cuda.empty_cache()
    return found


def duel(steps: dict[str, Callable[[int], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of a step of each kind, by round."""
    order, seconds = random.Random(0), {name: [] for name in steps}
    for round_ in range(rounds):
        names = list(steps)
        order.shuffle(names)
        for name in names:
            number = per_round(name)
            torch.cuda.synchronize()
            begun = time.perf_counter()
            for n in range(round_ * number, (round_ + 1) * number):
                steps[name](n)
            seconds[name].append((time.perf_counter() - begun) / number)
    return seconds


def machine() -> dict[str, str]:
    """What was measured on."""
    return {
        "device": torch.cuda.get_device_name(),
        "cuda": str(torch.version.cuda),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def table(blocks: int, kinds: dict[str, dict[str, Any]]) -> list[str]:
    """Markdown."""
    lines = [
        f"\n{blocks} blocks of 256 tokens",
        "| step | ms | tokens/s | ratio | peak | GB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in kinds.items():
        share = f"{row['share_of_peak']:.1%}" if "share_of_peak" in row else ""
        lines.append(
            f"| {name} | {row['milliseconds']:.1f} | {row['tokens_per_second']:,.0f} | {row['ratio']:.2f} | {share} "
            f"| {row['gigabytes']:.1f} |"
        )
    return lines


if __name__ == "__main__":
    main()
