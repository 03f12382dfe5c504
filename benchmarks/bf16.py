"""bf16 against float32: the same runs end with the same bits per character, within 1 %.

    python benchmarks/bf16.py --seeds 1 --steps 500 --learning-rate 1e-3 --out benchmarks/results/bf16.json
    python benchmarks/bf16.py --seeds 6 --steps 2000 --out benchmarks/results/bf16_own_rate.json

The demo's two constructed languages together at the preset `tiny`, without treatment and with meta-adapters, each in both precisions; same
seeds, so same batches and masks. On a CPU autocast rounds as on a GPU: what is tried is the rounding, not the speed. At the preset's own rate
any rounding moves a run as much as another seed does: with several seeds the mean difference of each treatment and language is told, with its
95 % interval over seeds (Student's t), beside the spread of float32 over seeds. The exit code says whether the largest difference of a run is
below 1 %.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from meta_cost import machine

from detente.prepare import prepare
from detente.pretrain import pretrain
from detente.report.statistics import estimate
from detente.results import RunRecord, now, write_json
from detente.study.demo import demo_study
from detente.study.plan import PlannedRun, plan_runs

PRECISIONS = ("float32", "bf16")
ALLOWED = 0.01


def main() -> None:
    """Train, compare, print and write."""
    options = _options()
    study = demo_study(options.seeds)
    joint = [
        run for run in plan_runs(study) if len(run.settings.mixture) > 1 and run.settings.system in options.treatments
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(study, folder, mixtures=[run.settings.mixture for run in joint])
        results = [_compared(run, folder, options.steps, options.learning_rate) for run in joint]
    worst = max(abs(difference) for result in results for difference in result["difference"].values())
    print(f"largest difference {100 * worst:.2f} %")
    seeds = over_seeds(results) if options.seeds > 1 else {}
    for name, found in seeds.items():
        print(f"{name}: {found['mean']:+.2%} ± {found['interval']:.2%}")
    if options.out:
        record = {
            "date": now(),
            "machine": machine(),
            "steps": options.steps,
            "learning_rate": options.learning_rate,
            "largest_difference": worst,
        }
        write_json(options.out, {**record, "over_seeds": seeds, "runs": results})
    raise SystemExit(0 if worst < ALLOWED else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--treatments", nargs="+", default=["none", "meta-adapter"])
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def over_seeds(results: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Of each treatment and language; of `all`, where a seed's differences are averaged first: they are not independent."""
    differences: dict[str, dict[str, list[float]]] = {}
    bits: dict[str, list[float]] = {}
    for result in results:
        system, seed = result["run"].rsplit("_", 2)[1:]
        for label, difference in result["difference"].items():
            bits.setdefault(f"{system}, {label}", []).append(result["bits_per_character"]["float32"][label])
            for name in (f"{system}, {label}", "all"):
                differences.setdefault(name, {}).setdefault(seed, []).append(difference)
    found = {name: _interval([mean(of_seed) for of_seed in by_seed.values()]) for name, by_seed in differences.items()}
    for name, values in bits.items():
        found[name]["float32_deviation"] = stdev(values) / mean(values)
    return found


def _interval(values: list[float]) -> dict[str, float | None]:
    found = estimate(values)
    return {"mean": found.mean, "interval": found.half_width}


def _compared(run: PlannedRun, folder: Path, steps: int, rate: float) -> dict[str, Any]:
    found = {precision: _bits(_trained(run, folder, precision, steps, rate)) for precision in PRECISIONS}
    one, other = (found[precision] for precision in PRECISIONS)
    difference = {label: other[label] / one[label] - 1 for label in one}
    print(
        f"{run.name}: " + ", ".join(f"{label} {one[label]:.4f} {share:+.2%}" for label, share in difference.items()),
        flush=True,
    )
    return {"run": run.name, "bits_per_character": found, "difference": difference}


def _trained(run: PlannedRun, folder: Path, precision: str, steps: int, rate: float) -> RunRecord:
    changes = {
        "precision": precision,
        "steps": steps,
        "learning_rate": rate,
        "validate_every": steps,
        "checkpoint_every": steps,
    }
    training = run.settings.training.model_copy(update=changes)
    settings = run.settings.model_copy(update={"training": training})
    return pretrain(settings, folder / "data" / settings.vocabulary, folder / "runs" / f"{run.name}-{precision}")


def _bits(record: RunRecord) -> dict[str, float]:
    return {label: result.test.bits_per_character for label, result in record.languages.items()}


if __name__ == "__main__":
    main()
