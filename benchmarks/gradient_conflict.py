"""What measuring gradient conflict costs: its time over that of the forward and backward passes it cannot do without.

    python benchmarks/gradient_conflict.py --preset mini --out benchmarks/results/gradient_conflict_mini.json

Both in one process on one model and the same microbatches, once a round in a freshly shuffled order; the ratio is the median over
rounds. A whole measurement: passes, sums, projections, inner products, and intervals of every layer and kind. The plain passes
add their gradients up in the parameters, as training does. Batches are made before.

Tokens are Zipf-distributed and random. A block stands for a sentence: the source's batch has 4,096.
"""

import argparse
import statistics
from pathlib import Path

from meta_cost import machine, run_settings
from rounds import interleaved
from zipf import zipf_tokens

from detente.batches import MaskedBatch, SpecialTokens, TrainBatches
from detente.diagnose.gradient_cost import conflict_cost
from detente.diagnose.gradients import gradient_conflict
from detente.pretrain import build_model
from detente.pretrain.objective import masked_lm_loss
from detente.results import now, write_json
from detente.settings import RunSettings
from detente.settings.presets import PRESETS

MICROBATCH = {"tiny": 128, "mini": 64, "paper": 16}
"""Blocks."""


def main() -> None:
    """Measure, print and write."""
    options = _options()
    bench = Bench(options)
    print(f"{options.preset}, {options.languages} languages, {options.blocks} blocks each: {bench.cost}")
    seconds = interleaved({"plain": bench.plain, "conflict": bench.conflict}, options.rounds)
    ratios = sorted(mine / base for mine, base in zip(seconds["conflict"], seconds["plain"], strict=True))
    record = {
        "preset": options.preset,
        "date": now(),
        "machine": machine(),
        "rounds": options.rounds,
        "languages": options.languages,
        "blocks": options.blocks,
        "microbatch": bench.rows,
        "parts": options.parts,
        "is_exact": bench.cost.is_exact,
        "passes": bench.cost.passes,
        "time": statistics.median(ratios),
        "time_range": [ratios[0], ratios[-1]],
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
    }
    print(f"{record['time']:.3f} times the plain passes ({ratios[0]:.3f} to {ratios[-1]:.3f}, {options.rounds} rounds)")
    if options.out:
        write_json(options.out, record)


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--blocks", type=int, default=4096, help="of each language")
    parser.add_argument("--microbatch", type=int, help="blocks; by default what fits the preset")
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--exact-up-to", type=int, default=4, help="languages")
    return parser.parse_args()


def parser_of(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """With the options that every benchmark of a diagnosis has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="mini")
    parser.add_argument("--languages", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--out", type=Path)
    return parser


class Bench:
    """One model, and the microbatches of every language."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options, self.rows = options, options.microbatch or MICROBATCH[options.preset]
        settings = run_settings(options.preset, options.languages, self.rows)
        size = PRESETS[options.preset]["vocabulary"]["size"]
        self._treated = build_model(settings, size)
        self._treated.encoder.train()
        self._batches = draw(settings, size, max(2, options.blocks // self.rows))
        self.cost = conflict_cost(
            self._treated.shared,
            languages=options.languages,
            microbatches=len(next(iter(self._batches.values()))),
            parts=options.parts,
            exact_up_to=options.exact_up_to,
        )

    def plain(self) -> None:
        """The passes alone."""
        for batches in self._batches.values():
            for batch in batches:
                masked_lm_loss(self._treated, batch).backward()
        self._treated.encoder.zero_grad()

    def conflict(self) -> None:
        """The whole measurement."""
        gradient_conflict(
            lambda theta, batch: masked_lm_loss(self._treated, batch, shared=theta),
            self._treated.shared,
            self._batches,
            parts=self._options.parts,
            exact_up_to=self._options.exact_up_to,
        )


def draw(settings: RunSettings, size: int, count: int) -> dict[str, list[MaskedBatch]]:
    """So many microbatches of each language."""
    special = SpecialTokens(size, 4, frozenset(range(5)))
    found: dict[str, list[MaskedBatch]] = {}
    for seed, label in enumerate(settings.mixture):
        stream = {label: zipf_tokens(size, seed)}
        batches = TrainBatches(stream, settings.batches, special, seed=1)
        found[label] = [batch for number in range(count) for batch in batches.train(number)]
    return found


if __name__ == "__main__":
    main()
