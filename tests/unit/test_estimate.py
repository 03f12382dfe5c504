"""What a step costs, in forward passes, counted by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from detente.settings import MetaSettings, RunSettings, TrainingSettings, study_from_mapping
from detente.settings.presets import CHEAP_META
from detente.study.cost import H100, TF32, h100_hours, passes
from detente.study.plan import plan_runs

MIXTURE = ("te", "da", "li", "ig")


def cost(*, precision: str = "float32", treatment: str = "meta-adapter", **meta: object) -> float:
    training = TrainingSettings(precision=precision)
    return passes(RunSettings(mixture=MIXTURE, treatment=treatment, meta=MetaSettings(**meta), training=training))


@pytest.mark.parametrize("treatment", ["none", "ffn", "adapter", "shared-adapter"])
def test_a_plain_step_is_a_forward_and_a_backward_pass(treatment: str) -> None:
    assert cost(treatment=treatment) == 3


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        # g, four languages, two differences, theta.
        ({}, 3 + 4 * 3 + 2 * 2 + 3),
        ({"second_order": "one-sided"}, 3 + 4 * 3 + 2 + 3),
        ({"second_order": "exact"}, 3 + 4 * 3 + 9 + 3),
        # Its own held-out text, for phi alone.
        ({"second_order": "none"}, 3 + 2 + 3),
        # g is part of theta's pass.
        ({"order": "fused"}, 4 * 3 + 2 * 2 + 3),
        ({"order": "fused", "second_order": "one-sided"}, 4 * 3 + 2 + 3),
        ({"order": "fused", "second_order": "none"}, 2 + 3),
        ({"meta_languages": "others"}, 3 + 3 * 3 + 2 * 2 + 3),
        ({"meta_languages": 2}, 3 + 2 * 3 + 2 * 2 + 3),
        # Theta follows every row, whatever the rest does.
        ({"inner_fraction": 0.25}, 3 / 4 + 4 * 3 + 2 * 2 / 4 + 3),
        ({"order": "fused", "inner_fraction": 0.25}, 4 * 3 + 2 * 2 / 4 + 3),
        ({"meta_fraction": 0.5}, 3 + 4 * 3 / 2 + 2 * 2 + 3),
        ({"meta_fraction": 0.5, "second_order": "none"}, 3 + 2 / 2 + 3),
        ({"every": 4}, (3 + 4 * 3 + 2 * 2) / 4 + 3),
        ({"inner_rule": "adam", "measure_every": 1, "beta": 0.1}, 3 + 4 * 3 + 2 * 2 + 3),
        (
            {
                "order": "fused",
                "second_order": "one-sided",
                "inner_fraction": 0.5,
                "meta_fraction": 0.25,
                "meta_languages": 2,
                "every": 2,
            },
            (2 * 3 / 4 + 2 / 2) / 2 + 3,
        ),
    ],
)
def test_a_meta_step_by_hand(meta: dict[str, object], expected: float) -> None:
    assert cost(**meta) == expected


def test_in_bf16_the_base_of_one_sided_differences_takes_a_pass_of_its_own() -> None:
    """And differences are in TF32."""
    assert cost(precision="bf16", second_order="one-sided") == pytest.approx(3 + 4 * 3 + 2 * 2 * TF32 + 3)
    assert cost(precision="bf16") == pytest.approx(3 + 4 * 3 + 2 * 2 * TF32 + 3)


def gpu_record(kind: str) -> dict[str, Any]:
    path = Path(__file__).parents[2] / "benchmarks" / "results" / f"gpu_{kind}_nvidia-h100-80gb-hbm3_512.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "meta", "tolerance"), [("source", {}, 0.02), ("cheap", CHEAP_META["meta"], 0.1)])
def test_a_meta_step_on_a_gpu_costs_what_the_benchmark_took(
    name: str, meta: dict[str, object], tolerance: float
) -> None:
    languages = {label: {"paths": f"{label}.txt"} for label in ("en", "sw")}
    study = study_from_mapping(
        {"preset": "paper", "languages": languages, "treatments": ["meta-adapter"], "meta": meta}
    )
    ratio = gpu_record("meta")["steps"][f"meta {name}, compiled"]["ratio"]
    assert passes(plan_runs(study)[-1].settings) / 3 == pytest.approx(ratio, rel=tolerance)


def test_hours_of_a_gpu_are_those_that_the_benchmark_took() -> None:
    measured = gpu_record("plain")
    speed = measured["steps"]["plain, compiled"]["tokens_per_second"]
    assert speed * measured["flops_per_token"] == pytest.approx(H100, rel=0.02)

    languages = {label: {"paths": f"{label}.txt"} for label in ("en", "sw")}
    study = study_from_mapping({"preset": "paper", "languages": languages, "treatments": ["adapter"]})
    run = plan_runs(study)[-1].settings
    assert h100_hours(run, 32_000) == pytest.approx(run.tokens(run.training.steps) / speed / 3600, rel=0.02)
