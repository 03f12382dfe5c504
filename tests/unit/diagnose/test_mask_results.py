"""What is made of masks: cosines, extremes, shares, and the file."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from detente.diagnosis_results.masks import GatedPart, MaskRun, ParameterMasks, Removal, Shares
from detente.errors import DataError

PARTS = (
    GatedPart("0.attn.value.weight", 0, "attention", 3),
    GatedPart("0.mlp.fc1.weight", 0, "ffn", 4),
    GatedPart("0.mlp.fc2.weight", 0, "ffn", 3),
    GatedPart("1.attn.value.weight", 1, "attention", 2),
)
A = [1.0, -2.0, 0.5, 3.0, -1.0, 0.0, 2.5, -3.0, 4.0, -0.5, 2.0, 2.0]
B = [2.0, 1.0, -0.5, 3.5, -2.0, -1.0, 2.0, 1.5, 3.0, -4.0, 1.0, -1.0]
C = [0.5, 2.0, -3.0, 1.0, -2.0, -1.0, -2.0, 1.0, 3.0, 5.0, -1.0, -2.0]


def run(logits: list[float], seed: int = 0) -> MaskRun:
    return MaskRun(seed=seed, logits=tuple(logits), sparsity_weight=3.0, expected_open=0.7, loss=1.5)


def make_masks(**logits: list[float]) -> ParameterMasks:
    """Second runs have every other pi turned around."""
    flipped = {label: [-x if n % 2 else x for n, x in enumerate(values)] for label, values in logits.items()}
    return ParameterMasks(
        languages=tuple(logits),
        groups="rows",
        steps=200,
        target_open=None,
        parts=PARTS,
        runs={label: (run(values), run(flipped[label], 1)) for label, values in logits.items()},
        full_loss=dict.fromkeys(logits, 1.4),
        swaps={label: dict.fromkeys(logits, 1.6) for label in logits},
        removals={label: Removal(2, dict.fromkeys(logits, 1.7), dict.fromkeys(logits, (1.8, 1.9))) for label in logits},
    )


def test_cosines_by_layer_and_kind() -> None:
    """Against scipy; both matrices of a feed-forward block count as one."""
    masks = make_masks(a=A, b=B)
    found = masks.similarity("a", "b")
    assert [(each.layer, each.kind) for each in found] == [(0, "attention"), (0, "ffn"), (1, "attention")]
    mine, theirs = np.array(A[3:10]), np.array(B[3:10])
    assert found[1].cosine == pytest.approx(mine @ theirs / np.sqrt((mine**2).sum() * (theirs**2).sum()))
    assert found[1].centred == pytest.approx(stats.pearsonr(mine, theirs).statistic)
    # pi of a is the same for both rows of the last part.
    assert found[2].centred is None
    assert masks.control("b")[1].centred == pytest.approx(
        stats.pearsonr(theirs, theirs * [-1, 1, -1, 1, -1, 1, -1]).statistic
    )


def test_a_common_offset_makes_any_masks_look_alike() -> None:
    random = np.random.default_rng(0)
    first, second = (list(5 + 0.5 * random.standard_normal(12)) for _ in range(2))
    found = make_masks(a=first, b=second).similarity("a", "b")[1]
    assert found.cosine > 0.98
    assert found.centred < 0.7


def test_extremes_stand_beside_the_other_language() -> None:
    found = make_masks(a=A, b=B).extremes("a", "b", count=2)
    assert found == [
        ("0.mlp.fc2.weight", 0, -3.0, 1.5),
        ("0.attn.value.weight", 1, -2.0, 1.0),
        ("0.mlp.fc1.weight", 0, 3.0, 3.5),
        ("0.mlp.fc2.weight", 1, 4.0, 3.0),
    ]


def test_no_group_is_at_both_ends() -> None:
    found = make_masks(a=A, b=B).extremes("a", "b", count=10)
    assert len({(extreme.part, extreme.number) for extreme in found}) == len(found) == 12
    assert [extreme.value for extreme in found] == sorted(A)


def test_shares_of_two_languages() -> None:
    """pi = 0 is closed."""
    everything, *places = make_masks(a=A, b=B).shares()
    assert everything == Shares(None, None, 5 / 12, 4 / 12, 3 / 12)
    assert places == [
        Shares(0, "attention", 1 / 3, 2 / 3, 0.0),
        Shares(0, "ffn", 3 / 7, 1 / 7, 3 / 7),
        Shares(1, "attention", 1 / 2, 1 / 2, 0.0),
    ]


def test_shares_and_owners_of_three_languages() -> None:
    masks = make_masks(a=A, b=B, c=C)
    assert masks.shares()[0] == Shares(None, None, 3 / 12, 7 / 12, 2 / 12)
    assert np.flatnonzero(masks.owned("a")).tolist() == [2, 11]
    assert np.flatnonzero(masks.owned("b")).tolist() == []
    assert np.flatnonzero(masks.owned("c")).tolist() == [9]


def test_control_shares_compare_two_runs_of_one_language() -> None:
    """Every other sign is turned, but for the zero, which has none."""
    assert make_masks(a=A).control_shares("a")[0] == Shares(None, None, 5 / 12, 5 / 12, 2 / 12)
    assert make_masks(a=A).open_share("a") == 7 / 12


def test_file(tmp_path: Path) -> None:
    masks = make_masks(b=B, a=A)
    assert masks.write(tmp_path) == tmp_path / "masks.json"
    assert ParameterMasks.read(tmp_path) == masks


def test_too_many_logits_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detente.diagnosis_results.masks.LARGEST", 47)
    make_masks(a=A).write(tmp_path)
    with pytest.raises(DataError, match=r"masks over rows have 48 logits, and masks\.json holds 47 at most"):
        make_masks(a=A, b=B).write(tmp_path)
