"""What masks cost: the seconds of all of them, and a learning step over the forward and backward pass it cannot do without.

    python benchmarks/masks.py --preset mini --out benchmarks/results/masks_mini.json

Two masks of each language, of as many steps as `detente diagnose` takes, and their trial on held-out text. Then, in the same process and
on the same batches, plain passes that sum gradients up in theta, interleaved with rounds of learning steps; the ratio is the median over
rounds. Tokens are Zipf-distributed and random, the model is untrained: gates cost almost nothing here, so that none closes everything.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

from gradient_conflict import draw, parser_of
from meta_cost import machine, run_settings
from torch import Tensor

from detente.batches import MaskedBatch
from detente.diagnose.mask_effects import try_masks
from detente.diagnose.masks import learn_masks
from detente.examine.text import SMALL
from detente.pretrain import build_model
from detente.pretrain.objective import masked_lm_loss
from detente.results import now, write_json
from detente.settings.presets import PRESETS

PRICE = 1e-3
"""Nats."""
AT_ONCE = 20
"""Steps of a round."""


def main() -> None:
    """Measure, print and write."""
    options = _options()
    bench = Bench(options)
    ratios = sorted(bench.round() for _ in range(options.rounds))
    begun = time.perf_counter()
    bench.all(options.steps)
    seconds = time.perf_counter() - begun
    record = {
        "preset": options.preset,
        "date": now(),
        "machine": machine(),
        "languages": options.languages,
        "steps": options.steps,
        "tokens_a_step": bench.tokens,
        "rounds": options.rounds,
        "seconds": seconds,
        "step_time": statistics.median(ratios),
        "step_time_range": [ratios[0], ratios[-1]],
    }
    print(f"{seconds:.0f} s; a step is {record['step_time']:.2f} plain passes ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    if options.out:
        write_json(options.out, record)


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__, rounds=7)
    parser.add_argument("--steps", type=int, default=200, help="of each mask")
    return parser.parse_args()


class Bench:
    """One model, and small batches of every language."""

    def __init__(self, options: argparse.Namespace) -> None:
        block = PRESETS[options.preset]["batches"]["block_length"]
        rows = max(1, SMALL // block)
        settings = run_settings(options.preset, options.languages, rows)
        size = PRESETS[options.preset]["vocabulary"]["size"]
        self.tokens = rows * block
        self._treated = build_model(settings, size)
        self._treated.encoder.eval()
        self._batches = draw(settings, size, AT_ONCE)

    def round(self) -> float:
        """Seconds of some learning steps over those of as many plain passes."""
        (language, batches), *_ = self._batches.items()
        begun = time.perf_counter()
        for batch in batches:
            masked_lm_loss(self._treated, batch).backward()
        between = time.perf_counter()
        learn_masks(
            self._loss, self._treated.shared, {language: batches.__getitem__}, steps=AT_ONCE // 2, sparsity_weight=PRICE
        )
        ended = time.perf_counter()
        self._treated.encoder.zero_grad()
        return (ended - between) / (between - begun)

    def all(self, steps: int) -> None:
        """Masks of every language, learned and tried."""
        streams = {language: self._stream(language) for language in self._batches}
        learned = learn_masks(self._loss, self._treated.shared, streams, steps=steps, sparsity_weight=PRICE)
        held_out = {language: batches[:4] for language, batches in self._batches.items()}
        try_masks(self._loss, self._treated.shared, learned, held_out)

    def _loss(self, parameters: Mapping[str, Tensor], batch: MaskedBatch) -> Tensor:
        return masked_lm_loss(self._treated, batch, shared=parameters)

    def _stream(self, language: str) -> Callable[[int], MaskedBatch]:
        batches = self._batches[language]
        return lambda number: batches[number % len(batches)]


if __name__ == "__main__":
    main()
