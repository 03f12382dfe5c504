"""The commands that only look: `check` on a study, `check-meta` on a run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.results import write_json
from detente.settings import study_from_mapping
from detente.study import run_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, study_values: Callable) -> Path:
    """A finished study: mono, adapter and meta-adapter."""
    folder = tmp_path_factory.mktemp("checked")
    values = study_values(treatments=["none", "adapter", "meta-adapter"], adapter={"activation": "gelu"})
    outcomes = run_study(study_from_mapping(values), folder)
    assert all(outcome.record for outcome in outcomes)
    return folder


def run_of(folder: Path, system: str) -> Path:
    return next(folder.glob(f"runs/te+en_{system}_seed1-*"))


@pytest.mark.parametrize("system", ["adapter", "meta-adapter"])
def test_check_meta_compares_every_variant(system: str, folder: Path, detente: Callable) -> None:
    run = run_of(folder, system)
    code, output, errors = detente("check-meta", run, "--batches", "1")
    assert (code, errors) == (0, "")
    found = json.loads((run / "check-meta.json").read_text(encoding="utf-8"))
    by_kind = {
        (v["inner_rule"], v["meta_languages"], v["fraction"], v["second_order"], v["precision"]): v
        for v in found["variants"]
    }
    assert len(by_kind) == len(found["variants"]) == 2 * (4 + 4 + 1 + 3 + 3 + 1)
    exact, central = (by_kind["sgd", "all", 1.0, kind, "float32"] for kind in ("exact", "central"))
    assert exact["error"] < 1e-5
    assert exact["second_order_error"] < central["second_order_error"] < 0.05
    assert by_kind["sgd", "all", 1.0, "none", "float32"]["second_order_error"] is None
    assert set(found["terms"]) == {"sgd", "adam"}
    assert "one-sided" in output
    assert "drawing another held-out batch changes that by" in output


def test_check_meta_takes_another_beta(folder: Path, detente: Callable) -> None:
    run, ratios = run_of(folder, "meta-adapter"), []
    for beta in ("0.001", "0.01"):
        assert detente("check-meta", run, "--batches", "1", "--beta", beta)[0] == 0
        found = json.loads((run / "check-meta.json").read_text(encoding="utf-8"))
        assert found["beta"] == float(beta)
        ratios.append(found["terms"]["sgd"]["ratio"])
    assert ratios[1] / ratios[0] == pytest.approx(10, rel=0.2)


def test_check_meta_says_what_is_wrong(folder: Path, detente: Callable, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(folder, study)
    broken = run_of(study, "meta-adapter")
    for file in broken.glob("checkpoints/*/weights.safetensors"):
        file.write_bytes(b"")
    moved = tmp_path / "alone" / "runs" / "run"
    shutil.copytree(run_of(folder, "adapter"), moved)
    cases = [
        (tmp_path / "nothing", "there is no folder"),
        (folder, "is no run"),
        (run_of(folder, "none"), "without adapters of each language"),
        (next(folder.glob("runs/te_none_*")), "is a run of one language, te"),
        (broken, "no undamaged checkpoint"),
        (moved, "the data of the run is missing"),
    ]
    for path, words in cases:
        code, _, errors = detente("check-meta", path)
        assert code == 2
        assert words in errors
        assert len(errors.strip().splitlines()) == 1


def test_check_meta_refuses_a_run_of_other_data(folder: Path, detente: Callable, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(folder, study)
    run = run_of(study, "meta-adapter")
    for state in run.glob("checkpoints/*/state.json"):
        values = json.loads(state.read_text(encoding="utf-8")) | {"fingerprint": "of another run"}
        write_json(state, values)
        sums = state.with_name("checksums.json")
        from detente.pretrain.checkpoint import _checksum

        write_json(sums, json.loads(sums.read_text(encoding="utf-8")) | {"state.json": _checksum(state.read_bytes())})
    code, _, errors = detente("check-meta", run)
    assert code == 2
    assert "is not what the run was trained on" in errors


def test_check_shows_plan_and_outlook_before_and_after_preparing(
    folder: Path, detente: Callable, study_file: Callable, tmp_path: Path
) -> None:
    file = study_file(variants={"first-order": {"treatment": "meta-adapter", "meta": {"second_order": "none"}}})
    for where, words in ((tmp_path / "new", "on random tokens"), (folder, "on its data")):
        code, output, errors = detente("check", file, "--folder", where)
        assert (code, errors) == (0, "")
        assert "te: constructed" in output
        assert "te+en_meta-adapter_seed1" in output
        assert words in output
        assert "Below noise: meta-adapter." in " ".join(output.split())
        assert "ReLU adapters with differences: meta-adapter." in " ".join(output.split())
    assert not (tmp_path / "new").exists(), "nothing is written"


def test_check_names_a_missing_file(detente: Callable, study_file: Callable, tmp_path: Path) -> None:
    file = study_file(languages={"te": {"paths": str(tmp_path / "te.txt")}}, mixtures=["mono"], treatments=["none"])
    code, _, errors = detente("check", file)
    assert code == 2
    assert "te.txt" in errors
