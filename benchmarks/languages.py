"""What many languages cost: a step with 64 languages over one with 2, the same tokens, and the memory that they add.

    python benchmarks/languages.py --preset mini --out benchmarks/results/languages_mini.json

Time: both models in one process, four steps of each a round in a shuffled order, for the plain step with adapters and the meta step with
`meta_languages: 2` (the preset's other settings; with `meta.every` both kinds of steps take turns). The ratio is the median over rounds of (many /
few of the same round). Every language has been seen before the first round that counts, so that all moments are there. `update` is the same
for the optimizer's update alone. Memory: how much a fresh process grows, at the peak, until one step is done (`after one step`) and until every
language has been seen; beside it what phi and its two moments take by their count. All languages read one text; the shuffled order of its
blocks, eight bytes a block of each language and split, is in what grows.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

from meta_cost import BLOCKS, CPU, machine, run_settings
from rounds import interleaved, over
from zipf import zipf_tokens

from detente.batches import HeldOutBatches, SpecialTokens, TrainBatches
from detente.machine import keep_freed_memory, peak_memory, reset_peak_memory, resident_memory
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.run import build_model, make_step
from detente.results import now, write_json
from detente.settings.presets import PRESETS

FEW = 2
TREATMENTS = ("adapter", "meta-adapter")
FLOAT = 4
"""Bytes."""


def main() -> None:
    """Measure, print and write; as a child, the memory of one model."""
    options = _options()
    if options.memory_of:
        print(json.dumps(grown(options, options.memory_of, options.languages)))
        return
    record: dict[str, Any] = {"preset": options.preset, "languages": [FEW, options.languages], "date": now()}
    record |= {"machine": machine(), "rounds": options.rounds, "seed": 1, "treatments": {}}
    for treatment in TREATMENTS:
        record["treatments"][treatment] = {**time_of(options, treatment), "memory": memory(options, treatment)}
        print(json.dumps({treatment: record["treatments"][treatment]}, indent=1))
    if options.out:
        write_json(options.out, record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="mini")
    parser.add_argument("--languages", type=int, default=64)
    parser.add_argument("--blocks", type=int, help="in a batch; by default what two cores can time many rounds of")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory-of", choices=TREATMENTS, help=argparse.SUPPRESS)
    return parser.parse_args()


class Model:
    """Of so many languages, and its step. With `meta.every` a step that updates phi and one that does not take turns."""

    def __init__(self, options: argparse.Namespace, treatment: str, languages: int, text: Any) -> None:
        chosen = PRESETS[options.preset]
        size = chosen["vocabulary"]["size"]
        self.settings = run_settings(
            options.preset,
            languages,
            options.blocks or BLOCKS[options.preset],
            treatment=treatment,
            adapter=chosen.get("adapter", {}),
            # Two validate. Measurements now and then would fall on one model and not on the other.
            meta={**chosen.get("meta", {}), "meta_languages": 2, "measure_every": 10**9},
        )
        special = SpecialTokens(size, 4, frozenset(range(5)))
        streams = dict.fromkeys(self.settings.mixture, text)
        self.batches = TrainBatches(streams, self.settings.batches, special, seed=1, drawn_evenly=True)
        self.treated = build_model(self.settings, size)
        self.treated.encoder.train()
        self.optimizer = build_optimizer(self.treated, self.settings.training)
        updater = Updater(self.optimizer, self.settings.training, 10**6)
        meta, batches = self.settings.meta, self.settings.batches
        held_out = HeldOutBatches(streams, meta, batches, special, seed=2)
        self._step = make_step(self.settings, self.treated, updater, self.batches, lambda: held_out, device=CPU)
        self._updater, self._numbers = updater, self._by_turns(meta.every)

    def _by_turns(self, every: int) -> Iterator[int]:
        """Numbers of steps: those whose batch updates phi, and between them others where there are any."""
        draws = self.batches.draws
        due = (number for number in count() if draws[number][1] % every == 0)
        idle = (number for number in count() if draws[number][1] % every)
        return due if every == 1 else chain.from_iterable(zip(due, idle, strict=True))

    def step(self) -> None:
        """The next."""
        self._step(next(self._numbers))

    def update(self) -> None:
        """Of theta and the next language's phi, by gradients as large as the parameters."""
        number = next(self._numbers)
        moved = [*self.treated.shared.values(), *self.treated.specific[self.batches.draws[number][0]].values()]
        self._updater.apply(number, moved, [parameter.detach().clone() for parameter in moved])

    def see_all(self) -> None:
        """Languages are drawn in rounds, each once."""
        for _ in range(len(self.settings.mixture) * self.settings.meta.every):
            self.step()


def time_of(options: argparse.Namespace, treatment: str) -> dict[str, Any]:
    """Ratios of a step and of an update."""
    keep_freed_memory()
    text = zipf_tokens(PRESETS[options.preset]["vocabulary"]["size"])
    few, many = (Model(options, treatment, number, text) for number in (FEW, options.languages))
    few.see_all()
    many.see_all()
    found = {}
    for name, do in {"step": Model.step, "update": Model.update}.items():
        # Both kinds of steps in a round.
        programs = {"few": repeated(do, few), "many": repeated(do, many)}
        seconds = interleaved(programs, options.rounds)
        found[name] = over(seconds["many"], seconds["few"])
    return found


def repeated(do: Callable[[Model], None], model: Model, times: int = 4) -> Callable[[], None]:
    """So many in a row."""

    def program() -> None:
        for _ in range(times):
            do(model)

    return program


def memory(options: argparse.Namespace, treatment: str) -> dict[str, Any]:
    """Bytes, of few, of many, and the difference over what it should be."""
    few, many = (in_fresh_process(options, treatment, number) for number in (FEW, options.languages))
    more, phi = options.languages - FEW, many["phi_bytes"]
    return {
        "few": few,
        "many": many,
        "grown over phi and its moments": (many["all seen"] - few["all seen"]) / (3 * phi * more),
        "grown after one step over phi": (many["after one step"] - few["after one step"]) / (phi * more),
    }


def in_fresh_process(options: argparse.Namespace, treatment: str, languages: int) -> dict[str, int]:
    """What `grown` finds."""
    command = [sys.executable, __file__, "--preset", options.preset, "--memory-of", treatment]
    command += ["--languages", str(languages), *(("--blocks", str(options.blocks)) if options.blocks else ())]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def grown(options: argparse.Namespace, treatment: str, languages: int) -> dict[str, int]:
    """Peak bytes over what was there before the model, after its first step and when all languages were seen; and bytes of one phi."""
    text = zipf_tokens(PRESETS[options.preset]["vocabulary"]["size"])
    reset_peak_memory(CPU)
    before = resident_memory()
    model = Model(options, treatment, languages, text)
    model.step()
    first = peak_memory(CPU) - before
    seen = sum(len(model.optimizer.state[p]) > 0 for p in model.optimizer.state)
    model.see_all()
    phi = FLOAT * model.treated.count()[1]
    allocated = sum(value.numel() for state in model.optimizer.state.values() for value in state.values())
    return {
        "after one step": first,
        "all seen": peak_memory(CPU) - before,
        "phi_bytes": phi,
        "parameters with moments after one step": seen,
        "moment_bytes when all are seen": FLOAT * allocated,
    }


if __name__ == "__main__":
    main()
