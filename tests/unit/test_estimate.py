"""What a step costs, in forward passes, counted by hand."""

import pytest

from detente.settings import MetaSettings, RunSettings, TrainingSettings
from detente.study.cost import passes

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
    assert cost(precision="bf16", second_order="one-sided") == cost(second_order="one-sided") + 2
    assert cost(precision="bf16") == cost()
