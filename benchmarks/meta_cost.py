"""What a meta step costs: time and peak memory of every variant over the plain joint step with the same adapters and tokens.

    python benchmarks/meta_cost.py --preset mini --languages 2 8 32 --out benchmarks/results/meta_cost_mini.json

Time: all variants in one process on one model, one step of each per round in a freshly shuffled order; a ratio is the median over
rounds of (step / plain step of the same round). With `every: 2`, half the steps update phi: there one step of each kind is timed, and
the mean counts. Memory: a fresh process for each variant, its largest resident set over four steps, imports and the model's building
included; and the same less what the process had before the first step.

Tokens are Zipf-distributed and random. Batches and masking are inside the timed step, for every variant.
"""

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from rounds import over
from zipf import zipf_tokens

from detente.batches import HeldOutBatches, SpecialTokens, TrainBatches
from detente.machine import peak_memory, reset_peak_memory
from detente.pretrain import build_model
from detente.pretrain.meta import MetaStep
from detente.pretrain.meta_gradient import inner_pass, meta_gradient
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.plain import PlainStep
from detente.results import now, write_json
from detente.settings import MetaSettings, RunSettings
from detente.settings.presets import PRESETS

CPU = torch.device("cpu")
BLOCKS = {"tiny": 32, "mini": 16, "paper": 4}
"""In a batch: what two cores can time many rounds of. A quarter of the paper preset's is one block."""

QUARTER = {"inner_fraction": 0.25, "meta_fraction": 0.25}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "source: central": {},
    "one-sided": {"second_order": "one-sided"},
    "exact": {"second_order": "exact"},
    "none": {"second_order": "none"},
    "adam inner step": {"inner_rule": "adam"},
    "fused, central": {"order": "fused"},
    "fused, one-sided": {"order": "fused", "second_order": "one-sided"},
    "fused, one-sided, quarter": {"order": "fused", "second_order": "one-sided", **QUARTER},
    "fused, one-sided, quarter, every 2": {"order": "fused", "second_order": "one-sided", "every": 2, **QUARTER},
    "fused, none, quarter": {"order": "fused", "second_order": "none", **QUARTER},
}
OF_MANY = ("plain", "source: central", "fused, one-sided, quarter", "fused, one-sided, quarter, every 2")
"""Timed with more than two languages; each again with `meta_languages: 2`."""

Step = Callable[[int], Any]


def main() -> None:
    """Measure, print and write."""
    options = _options()
    if options.memory_of:
        print(json.dumps(_memory(Bench(options.preset, options.languages[0], options.blocks), options.memory_of)))
        return
    results = [_measure(options, number) for number in options.languages]
    record = {
        "preset": options.preset,
        "date": now(),
        "machine": machine(),
        "rounds": options.rounds,
        "results": results,
    }
    for result in results:
        print(f"\n{options.preset}, {result['languages']} languages, {result['tokens']:,} tokens a step")
        print("\n".join(table(result)))
    if options.out:
        write_json(options.out, record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="mini")
    parser.add_argument("--languages", type=int, nargs="+", default=[2])
    parser.add_argument("--blocks", type=int, help="in a batch; by default what two cores can time many rounds of")
    parser.add_argument("--variants", nargs="+", help="besides the plain step; all when not given")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def variants(num_languages: int) -> dict[str, dict[str, Any]]:
    """Name -> meta settings."""
    if num_languages == 2:
        return VARIANTS
    few = {f"{name}, 2 validate": {**VARIANTS[name], "meta_languages": 2} for name in OF_MANY if name != "plain"}
    return {name: VARIANTS[name] for name in OF_MANY} | few


class Bench:
    """One model and its data; a step of every kind works on it."""

    def __init__(self, preset: str, num_languages: int, blocks: int | None) -> None:
        self.settings = run_settings(preset, num_languages, blocks or BLOCKS[preset], treatment="meta-adapter")
        size = PRESETS[preset]["vocabulary"]["size"]
        self.special = SpecialTokens(size, 4, frozenset(range(5)))
        self.tokens = {label: zipf_tokens(size, seed) for seed, label in enumerate(self.settings.mixture)}
        self.batches = TrainBatches(self.tokens, self.settings.batches, self.special, seed=1, drawn_evenly=True)
        self.treated = build_model(self.settings, size)
        self.treated.encoder.train()
        self.updater = Updater(build_optimizer(self.treated, self.settings.training), self.settings.training, 1000)

    def step(self, name: str, meta: dict[str, Any]) -> Step:
        """Of one variant."""
        if name == "plain":
            return PlainStep(self.treated, self.batches, self.updater, CPU)
        settings = MetaSettings(**meta, measure_every=1_000_000)
        held_out = HeldOutBatches(self.tokens, settings, self.settings.batches, self.special, seed=2)
        return MetaStep(self.treated, self.batches, held_out, self.updater, CPU, settings=settings)

    def kinds_of_steps(self) -> tuple[Iterator[int], Iterator[int]]:
        """Numbers of the steps that update phi with `every: 2`, and of those that do not."""

        def whose_batch_is(remainder: int) -> Iterator[int]:
            return (number for number in count() if next(iter(self.batches.train(number))).number % 2 == remainder)

        return whose_batch_is(0), whose_batch_is(1)

    def cosine(self, meta: dict[str, Any]) -> float:
        """Of a variant's meta-gradient with the exact one (double backward) on the same batches."""
        settings = MetaSettings(**meta)
        held_out = HeldOutBatches(self.tokens, settings, self.settings.batches, self.special, seed=2)
        (batch,) = self.batches.train(0)
        inner, _ = batch.split(max(1, round(settings.inner_fraction * self.settings.batches.blocks)))
        found = []
        for second_order in (settings.second_order, "exact"):
            chosen = settings.model_copy(update={"second_order": second_order, "epsilon": None})
            passed = inner_pass(self.treated, inner, with_phi=True)
            beta = self.updater.rate(0)
            gradient = meta_gradient(
                self.treated, passed, held_out.validating(0, batch.language), beta=beta, settings=chosen
            )
            found.append(torch.cat([part.double().flatten() for part in gradient.total()]))
        return float(torch.nn.functional.cosine_similarity(found[0], found[1], dim=0))


def run_settings(preset: str, num_languages: int, blocks: int, **more: Any) -> RunSettings:
    """A preset's joint run in float32, untreated unless `more` says otherwise."""
    chosen = PRESETS[preset]
    return RunSettings.model_validate(
        {
            "mixture": [f"l{number}" for number in range(num_languages)],
            "encoder": chosen["encoder"],
            "batches": {**chosen["batches"], "blocks": blocks},
            "training": {**chosen["training"], "precision": "float32"},
            **more,
        }
    )


def _measure(options: argparse.Namespace, num_languages: int) -> dict[str, Any]:
    bench = Bench(options.preset, num_languages, options.blocks)
    chosen = [
        name for name in variants(num_languages) if name == "plain" or not options.variants or name in options.variants
    ]
    seconds = _time(bench, {name: variants(num_languages)[name] for name in chosen}, options.rounds)
    memory = {name: _memory_in_fresh_process(options, num_languages, name) for name in chosen}
    plain = memory["plain"]
    rows = {}
    for name in chosen:
        ratio = over(seconds[name], seconds["plain"])
        rows[name] = {
            "time": ratio["median"],
            "time_quartiles": [ratio["low"], ratio["high"]],
            "seconds": statistics.median(seconds[name]),
            "memory": memory[name]["peak"] / plain["peak"],
            "memory_of_steps": memory[name]["steps"] / plain["steps"],
            "peak_bytes": memory[name]["peak"],
        }
        if name != "plain" and num_languages == 2:
            rows[name]["cosine_with_exact"] = bench.cosine(VARIANTS[name])
    return {"languages": num_languages, "tokens": bench.settings.tokens(1), "variants": rows}


def _time(bench: Bench, metas: dict[str, dict[str, Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each variant's step in each round; a first round is not counted."""
    steps = {name: bench.step(name, meta) for name, meta in metas.items()}
    order, seconds = random.Random(0), {name: [] for name in steps}
    due, idle = bench.kinds_of_steps()
    for counted in (False, *(True,) * rounds):
        names = list(steps)
        order.shuffle(names)
        for name in names:
            numbers = [next(due), next(idle)] if metas[name].get("every") == 2 else [next(due)]
            begun = time.perf_counter()
            for number in numbers:
                steps[name](number)
            if counted:
                seconds[name].append((time.perf_counter() - begun) / len(numbers))
    return seconds


def _memory_in_fresh_process(options: argparse.Namespace, num_languages: int, name: str) -> dict[str, int]:
    command = [sys.executable, __file__, "--preset", options.preset, "--languages", str(num_languages)]
    command += ["--memory-of", name, *(("--blocks", str(options.blocks)) if options.blocks else ())]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def _memory(bench: Bench, name: str) -> dict[str, int]:
    step = bench.step(name, variants(len(bench.tokens))[name])
    reset_peak_memory(CPU)
    before = peak_memory(CPU)
    for number in range(4):
        step(number)
    peak = peak_memory(CPU)
    return {"peak": peak, "steps": peak - before}


def machine() -> dict[str, str]:
    return {
        "processor": platform.machine(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def table(result: dict[str, Any]) -> list[str]:
    """Markdown."""
    lines = ["| variant | time | quartiles | memory | of the steps |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, row in result["variants"].items():
        low, high = row["time_quartiles"]
        lines.append(
            f"| {name} | {row['time']:.2f} | {low:.2f} to {high:.2f} | {row['memory']:.2f} | {row['memory_of_steps']:.2f} |"
        )
    return lines


if __name__ == "__main__":
    main()
