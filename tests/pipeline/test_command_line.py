"""The command as people meet it: what it prints, its exit codes, and one clear line for each thing they can mend."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.corpus.constructed import DEMO_LANGUAGES
from detente.results import read_records
from detente.study import demo
from detente.treatment import TREATMENTS

Run = Callable[..., tuple[int, str, str]]


def test_study_prints_the_table_and_writes_the_page(detente: Run, study_file, tmp_path: Path) -> None:
    code, output, _ = detente("study", study_file(treatments=["none", "adapter"]), "--folder", tmp_path / "out")
    assert code == 0
    for words in ("bits per character", "unigram", "+ adapter", "report:"):
        assert words in output
    assert (tmp_path / "out" / "report.html").is_file()
    assert len(list((tmp_path / "out").glob("runs/*/record.json"))) == 4


@pytest.mark.slow
def test_the_demo_shows_all_seven_systems(detente: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer steps and less text than people see; `make demo` runs the same command."""
    languages = {label: text.model_copy(update={"sentences": 2000}) for label, text in DEMO_LANGUAGES.items()}
    monkeypatch.setattr(demo, "DEMO_LANGUAGES", languages)
    study = demo.demo_study(1)
    short = study.model_copy(update={"training": study.training.model_copy(update={"steps": 10, "warmup_steps": 2})})
    monkeypatch.setattr(demo, "demo_study", lambda seeds: short if seeds == 1 else None)
    code, output, _ = detente("demo", "--folder", tmp_path / "demo", "--seeds", "1", "--workers", "2")
    assert code == 0
    table = output[output.index("Summary") :]
    for system in ("mono", "untreated", *(f"+ {name}" for name in TREATMENTS if name != "none"), "unigram", "bigram"):
        assert table.count(f" {system} ") >= 2, system
    assert (tmp_path / "demo" / "report.html").is_file()


def test_dry_run_lists_runs_with_their_cost_and_writes_nothing(detente: Run, study_file, tmp_path: Path) -> None:
    code, output, _ = detente("study", study_file(seeds=[1, 2]), "--folder", tmp_path / "out", "--dry-run")
    assert code == 0
    assert "small: 8 runs" in output
    for words in (
        "te_none_seed1",
        "te+en_meta-adapter_seed2",
        "per language",
        "estimate",
        "GPU-hours",
        f"{16 * 4 * 16:,}",
    ):
        assert words in output
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_figures")
def test_one_run_by_name_or_by_mixture_and_treatment(detente: Run, study_file, tmp_path: Path) -> None:
    for wanted in ("te_none_seed1", "joint/none", "en/none"):
        assert detente("pretrain", study_file(), "--run", wanted, "--folder", tmp_path / "out")[0] == 0
    assert {record.name for record in read_records(tmp_path / "out")} == {
        "te_none_seed1",
        "te+en_none_seed1",
        "en_none_seed1",
    }


def test_prepare_then_settings_on_the_command_line(detente: Run, study_file, tmp_path: Path) -> None:
    code, output, _ = detente("prepare", study_file(), "--folder", tmp_path / "out", "--set", "vocabulary.size=400")
    assert code == 0
    for words in ("reading te", "tokens a word", "te: the training text is very small"):
        assert words in output
    assert (tmp_path / "out" / "data" / "shared" / "store" / "en" / "manifest.json").is_file()


def test_verify_finds_a_flipped_bit(detente: Run, study_file, tmp_path: Path) -> None:
    arguments = ("prepare", study_file(), "--folder", tmp_path / "out", "--verify")
    code, output, _ = detente(*arguments)
    assert (code, "every checksum holds" in output) == (0, True)
    tokens = tmp_path / "out" / "data" / "shared" / "store" / "en" / "train.bin"
    content = bytearray(tokens.read_bytes())
    content[len(content) // 2] ^= 1
    tokens.write_bytes(content)
    code, _, errors = detente(*arguments)
    assert (code, "train.bin" in errors) == (2, True), errors


@pytest.mark.usefixtures("without_figures")
def test_a_failed_run_gives_exit_code_1(detente: Run, study_file, tmp_path: Path, monkeypatch) -> None:
    from detente.errors import TrainingError

    def fail(*_: object, **__: object) -> None:
        raise TrainingError("step 1: the loss of te is not finite (nan).")

    monkeypatch.setattr("detente.study.execute.pretrain", fail)
    code, output, _ = detente("pretrain", study_file(), "--run", "te_none_seed1", "--folder", tmp_path / "out")
    assert code == 1
    assert "failed  te_none_seed1: step 1: the loss of te is not finite (nan)." in output


def test_bad_arguments(detente: Run, study_file, tmp_path: Path) -> None:
    study = study_file()
    cases = [
        (("study", study, "--set", "training.steps"), "--set training.steps: write it as name=value"),
        (
            ("study", study, "--engine", "cloud", "--folder", tmp_path / "out"),
            "--engine cloud: choose `local`, `processes` or `ray`",
        ),
        (("pretrain", study, "--run", "te+en/adaptor"), "--run te+en/adaptor: there is no such run."),
        (("report", tmp_path / "nothing"), "nothing"),
        (("study", study, "--set", "training.steps=["), "--set training.steps=[: the value is not valid YAML"),
        (("study", study, "--workers", "2", "--folder", tmp_path / "out"), "--workers has no effect"),
        (("study", study, "--workers", "0"), "Invalid value for '--workers'"),
        (("study", study, "--folder", study), "study.yaml"),
    ]
    for arguments, words in cases:
        code, _, errors = detente(*arguments)
        assert (code, words in errors) == (2, True), errors


def test_help_does_not_load_slow_libraries() -> None:
    program = "import sys; from detente.cli import app; import typer.main; typer.main.get_command(app); print({'torch', 'numpy', 'pydantic', 'matplotlib', 'tokenizers'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"


def test_a_profile_names_the_parts_of_a_step_and_keeps_no_run(detente: Run, study_file, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, output, _ = detente("pretrain", study_file(), "-r", "joint/meta-adapter", "--folder", out, "--profile")
    assert code == 0
    parts = {cells[0]: cells for cells in (re.split(r"\s{2,}", line.strip()) for line in output.splitlines())}
    for name in ("batches", "inner pass", "held-out passes", "mixed derivative", "update of theta", "all"):
        assert float(parts[name][1].replace(",", "")) > 0
    (trace,) = (out / "profile").glob("*.json")
    assert json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    assert not (out / "runs").exists()
