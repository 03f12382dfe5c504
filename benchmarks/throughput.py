"""The plain masked-LM step against Hugging Face's models of the same architecture: tokens per second, share of the machine's peak, memory.

    python benchmarks/throughput.py --preset mini --out benchmarks/results/throughput_mini.json

Each program in a process of its own, since one's settings of the C library would serve the others too; only one computes at a time: one step
of each per round in a freshly shuffled order. A ratio is the median over rounds of (their time / ours of the same round). Every program has the same shape, the same tokens and targets, dropout 0.1 everywhere, gradient clipping and fused AdamW, in
float32; making and masking its batch is inside its step. BertForMaskedLM and XLMWithLMHeadModel run as their users run them: logits at
every position. The matrix peak is the median of large products timed in the same rounds. Memory: a fresh process for each program, its
largest resident set over three steps, imports included.
"""

import argparse
import json
import multiprocessing
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import transformers
from rounds import over
from zipf import zipf_tokens

from detente.batches import SpecialTokens, TrainBatches
from detente.encoder import blocks, dropout
from detente.machine import keep_freed_memory, peak_memory
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.plain import PlainStep
from detente.pretrain.run import build_model
from detente.results import now, write_json
from detente.settings import RunSettings
from detente.study.cost import flops_per_token

CPU = torch.device("cpu")
Step = Callable[[int], Any]

SIZES: dict[str, dict[str, int]] = {
    "mini": {"layers": 4, "width": 256, "inner": 1024, "heads": 4, "vocabulary": 8000, "length": 128, "blocks": 32},
    "paper": {"layers": 8, "width": 512, "inner": 2048, "heads": 8, "vocabulary": 32_000, "length": 256, "blocks": 8},
}
"""As wide and deep as the presets, in batches that two cores can time many rounds of."""


def main() -> None:
    """Measure, print and write."""
    options = _options()
    bench = Bench(options.preset)
    if options.memory_of:
        print(json.dumps(memory(bench, options.memory_of)))
        return
    seconds, peaks = duel(options.preset, options.rounds)
    peak, ours = statistics.median(peaks), seconds["detente"]
    rows = {}
    for name, taken in seconds.items():
        ratio = over(taken, ours)
        rows[name] = {
            "tokens_per_second": bench.tokens / statistics.median(taken),
            "time": ratio["median"],
            "time_quartiles": [ratio["low"], ratio["high"]],
            "peak_bytes": memory_in_fresh_process(options.preset, name),
        }
    rows["detente"]["share_of_peak"] = (
        rows["detente"]["tokens_per_second"] * flops_per_token(bench.settings, bench.size["vocabulary"]) / peak
    )
    print("\n".join(table(options.preset, rows)))
    record = {"preset": options.preset, "date": now(), "machine": machine(), "rounds": options.rounds}
    if options.out:
        write_json(options.out, record | {"matrix_flops_per_second": peak, "programs": rows})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=SIZES, default="mini")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


class Bench:
    """Batches, and a step of every program on models of one size."""

    def __init__(self, preset: str) -> None:
        self.size = SIZES[preset]
        self.settings = run_settings(self.size)
        stream = zipf_tokens(self.size["vocabulary"])
        special = SpecialTokens(self.size["vocabulary"], 4, frozenset(range(5)))
        self.batches = TrainBatches({"a": stream}, self.settings.batches, special, seed=1)
        self.tokens = self.settings.tokens(1)

    def programs(self) -> dict[str, Callable[[], Step]]:
        """Name -> what builds its step."""
        return {
            "detente": self.detente,
            "detente, torch's dropout": lambda: self.detente(masks="torch"),
            "detente, memory given back": lambda: self.detente(keeps_memory=False),
            "BertForMaskedLM": lambda: self.hugging_face(bert(self.size)),
            "XLMWithLMHeadModel": lambda: self.hugging_face(xlm(self.size)),
        }

    def detente(self, *, masks: str = "cheap", keeps_memory: bool = True) -> Step:
        """Our plain step, as a run does it, or without one of the things that make it fast."""
        if keeps_memory:
            keep_freed_memory()
        if masks == "torch":
            dropout.drop = torch.nn.functional.dropout
            blocks.attend_with_cheap_masks = torch.nn.functional.scaled_dot_product_attention
        treated = build_model(self.settings, self.size["vocabulary"])
        treated.encoder.train()
        training = self.settings.training
        return PlainStep(treated, self.batches, Updater(build_optimizer(treated, training), training, 1000), CPU)

    def hugging_face(self, model: transformers.PreTrainedModel) -> Step:
        """A model as its users train it."""
        model.train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

        def step(number: int) -> float:
            (batch,) = self.batches.train(number)
            labels = torch.full_like(batch.tokens, -100).scatter_(1, batch.positions, batch.targets)
            loss = model(input_ids=batch.tokens, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            optimizer.zero_grad()
            return loss.detach().item()

        return step


def run_settings(size: dict[str, int], **more: Any) -> RunSettings:
    """A run of one language, unless more is said."""
    encoder = {
        "variant": "xlm",
        "layers": size["layers"],
        "width": size["width"],
        "heads": size["heads"],
        "feed_forward_width": size["inner"],
        "dropout": 0.1,
        "attention_dropout": 0.1,
    }
    batches = {"block_length": size["length"], "blocks": size["blocks"]}
    return RunSettings.model_validate({"mixture": ["a"], "encoder": encoder, "batches": batches} | more)


def bert(size: dict[str, int]) -> transformers.PreTrainedModel:
    """BERT of that size, its attention fused."""
    config = transformers.BertConfig(
        vocab_size=size["vocabulary"],
        hidden_size=size["width"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        intermediate_size=size["inner"],
        max_position_embeddings=size["length"],
    )
    return transformers.BertForMaskedLM(config)


def xlm(size: dict[str, int]) -> transformers.PreTrainedModel:
    """XLM of that size."""
    config = transformers.XLMConfig(
        vocab_size=size["vocabulary"],
        emb_dim=size["width"],
        n_layers=size["layers"],
        n_heads=size["heads"],
        max_position_embeddings=size["length"],
        n_langs=1,
        use_lang_emb=False,
    )
    return transformers.XLMWithLMHeadModel(config)


def duel(preset: str, rounds: int) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of each program's step by round, and the operations per second of a large product; a first round is not counted."""
    names = list(Bench(preset).programs())
    lines = {name: started(preset, name) for name in names}
    order, seconds, peaks = random.Random(0), {name: [] for name in names}, []
    for number in range(rounds + 1):
        order.shuffle(names)
        for name in names:
            lines[name].send(number)
            taken = lines[name].recv()
            if number:
                seconds[name].append(taken)
        peaks.append(matrix_flops_per_second())
    for line in lines.values():
        line.send(None)
    return {name: seconds[name] for name in sorted(names, key=lambda name: name != "detente")}, peaks[1:]


def started(preset: str, name: str) -> Connection:
    """A fresh process that is ready for steps of one program."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=serve, args=(preset, name, there), daemon=True).start()
    here.recv()
    return here


def serve(preset: str, name: str, line: Connection) -> None:
    """Step by step, as it is asked; None ends it."""
    step = Bench(preset).programs()[name]()
    line.send("ready")
    while (number := line.recv()) is not None:
        begun = time.perf_counter()
        step(number)
        line.send(time.perf_counter() - begun)


def matrix_flops_per_second() -> float:
    """Of a 2048 x 2048 x 2048 product: the best of three."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = 0.0
    for _ in range(3):
        begun = time.perf_counter()
        a @ b
        best = max(best, 2 * 2048**3 / (time.perf_counter() - begun))
    return best


def memory_in_fresh_process(preset: str, name: str) -> int:
    """Bytes."""
    command = [sys.executable, __file__, "--preset", preset, "--memory-of", name]
    return int(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))


def memory(bench: Bench, name: str) -> int:
    """The largest resident set of this process over three steps of a program."""
    step = bench.programs()[name]()
    for number in range(3):
        step(number)
    return peak_memory(CPU)


def machine() -> dict[str, str]:
    """What was measured on."""
    return {
        "processor": platform.machine(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def table(preset: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    """Markdown."""
    lines = [f"{preset}", "| program | tokens/s | time | quartiles | peak MB |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, row in rows.items():
        low, high = row["time_quartiles"]
        lines.append(
            f"| {name} | {row['tokens_per_second']:,.0f} | {row['time']:.2f} | {low:.2f} to {high:.2f} "
            f"| {row['peak_bytes'] / 1e6:,.0f} |"
        )
    return [*lines, f"ours runs at {rows['detente']['share_of_peak']:.0%} of the matrix peak"]


if __name__ == "__main__":
    main()
