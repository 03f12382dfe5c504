"""How well finite differences give the mixed derivative h on a GPU: by arithmetic (float32, TF32, bf16) and epsilon.

    python benchmarks/gpu_differences.py --out benchmarks/results

A model of the `paper` preset with adapters, trained some steps; h is taken along a held-out gradient, dropout off. The reference is
double backward in float64 on the same weights and batch. Columns: relative error of central and of one-sided differences.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu import GPU, Bench, machine
from torch import Tensor

from detente.batches import HeldOutBatches, MaskedBatch
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.second_order import Probe, central, exact, one_sided
from detente.results import now, write_json
from detente.settings import MetaSettings

EPSILONS = (0.0005, 0.003, 0.01, 0.03, 0.1, 0.3)
ARITHMETIC = ("float32", "tf32", "bf16")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    bench = Bench(options.blocks)
    step = bench.plain(compiled=False)
    for number in range(options.steps):
        step(number)
    bench.treated.encoder.eval()
    rows = measure(bench, options.steps)
    print("\n".join(table(rows)), flush=True)
    record = {"date": now(), "machine": machine(), "blocks": options.blocks, "steps": options.steps, "rows": rows}
    write_json(options.out / f"gpu_differences_{torch.cuda.get_device_name().replace(' ', '-').lower()}.json", record)


def measure(bench: Bench, number: int) -> list[dict[str, Any]]:
    """A row for each arithmetic and epsilon."""
    (batch,) = bench.batches.train(number)
    batch, direction = batch.to(GPU), held_out_gradient(bench, number)
    norm = torch.nn.utils.get_total_norm(direction.values())
    scratch = {name: torch.empty_like(part) for name, part in direction.items()}
    wanted = reference(bench, batch, direction)
    rows = []
    for precision in ARITHMETIC:
        for epsilon in EPSILONS:
            probe = Probe(bench.treated, batch, direction, epsilon / norm, None, scratch, precision)
            errors = {kind: distance(find(probe), wanted) for kind, find in KINDS.items()}
            rows.append({"arithmetic": precision, "epsilon": epsilon, **errors})
    return rows


KINDS = {"central": central, "one-sided": one_sided}


def held_out_gradient(bench: Bench, number: int) -> dict[str, Tensor]:
    """Of the mean held-out loss, by theta."""
    held_out = HeldOutBatches(bench.tokens, MetaSettings(), bench.settings.batches, bench.special, seed=2)
    theta = bench.treated.shared
    losses = [masked_lm_loss(bench.treated, held_out.of(number, label).to(GPU)) for label in bench.tokens]
    return dict(zip(theta, torch.autograd.grad(sum(losses) / len(losses), list(theta.values())), strict=True))


def reference(bench: Bench, batch: MaskedBatch, direction: dict[str, Tensor]) -> dict[str, Tensor]:
    """By double backward in float64."""
    treated = bench.treated
    double = replace(
        treated,
        shared={name: torch.nn.Parameter(p.detach().double()) for name, p in treated.shared.items()},
        specific={
            label: {name: torch.nn.Parameter(p.detach().double()) for name, p in phi.items()}
            for label, phi in treated.specific.items()
        },
    )
    doubled = {name: part.double() for name, part in direction.items()}
    return exact(Probe(double, batch, doubled, torch.tensor(math.nan), None, {}))


def distance(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    """Relative, over all of phi."""
    difference = torch.cat([(found[name].double() - wanted[name]).flatten() for name in wanted])
    return float(difference.norm() / torch.cat([part.flatten() for part in wanted.values()]).norm())


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown."""
    lines = ["| arithmetic | epsilon | central | one-sided |", "| --- | ---: | ---: | ---: |"]
    return lines + [
        f"| {row['arithmetic']} | {row['epsilon']} | {row['central']:.2g} | {row['one-sided']:.2g} |" for row in rows
    ]


if __name__ == "__main__":
    main()
