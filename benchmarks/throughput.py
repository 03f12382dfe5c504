"""The plain masked-LM step against Hugging Face's models of the same architecture: tokens per second, share of the machine's peak, memory.

    python benchmarks/throughput.py --preset mini --out benchmarks/results/throughput_mini.json

All in one process, one step of each per round in a freshly shuffled order; a ratio is the median over rounds of (their time / ours of the
same round). Every program has the same shape, the same tokens and targets, dropout 0.1 everywhere, gradient clipping and fused AdamW, in
float32; making and masking its batch is inside its step. BertForMaskedLM and XLMWithLMHeadModel run as their users run them: logits at
every position. The matrix peak is the median of large products timed in the same rounds. Memory: a fresh process for each program, its
largest resident set over three steps, imports included.
"""

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from detente.batches import SpecialTokens, TrainBatches
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
    seconds, peaks = duel(bench, options.rounds)
    peak, ours = statistics.median(peaks), seconds["detente"]
    rows = {}
    for name, taken in seconds.items():
        ratios = sorted(mine / base for mine, base in zip(taken, ours, strict=True))
        rows[name] = {
            "tokens_per_second": bench.tokens / statistics.median(taken),
            "time": statistics.median(ratios),
            "time_quartiles": [ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]],
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
            "BertForMaskedLM": lambda: self.hugging_face(bert(self.size)),
            "XLMWithLMHeadModel": lambda: self.hugging_face(xlm(self.size)),
        }

    def detente(self) -> Step:
        """Our plain step, as a run does it."""
        keep_freed_memory()
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


def run_settings(size: dict[str, int]) -> RunSettings:
    """A run of one language."""
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
    return RunSettings.model_validate({"mixture": ["a"], "encoder": encoder, "batches": batches})


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


def zipf_tokens(vocabulary: int) -> np.ndarray:
    """A stream in which the k-th token has a share of about 1 / k."""
    ranks = np.arange(1, vocabulary - 4)
    weights = 1 / ranks
    return np.random.default_rng(0).choice(ranks + 4, size=300_000, p=weights / weights.sum()).astype(np.uint16)


def duel(bench: Bench, rounds: int) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of each program's step by round, and the operations per second of a large product; a first round is not counted."""
    steps = {name: build() for name, build in bench.programs().items()}
    order, seconds, peaks = random.Random(0), {name: [] for name in steps}, []
    for number in range(rounds + 1):
        names = list(steps)
        order.shuffle(names)
        for name in names:
            begun = time.perf_counter()
            steps[name](number)
            if number:
                seconds[name].append(time.perf_counter() - begun)
        peaks.append(matrix_flops_per_second())
    return seconds, peaks[1:]


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
