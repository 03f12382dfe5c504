"""The command as people meet it: what it prints, its exit codes, and one clear line for each thing they can mend."""

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


def text_file(folder: Path, content: bytes) -> Path:
    path = folder / "text.txt"
    path.write_bytes(content)
    return path


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
    for words in ("te_none_seed1", "te+en_meta-adapter_seed2", "per language", "estimate", f"{16 * 4 * 16:,}"):
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


BAD_STUDIES = [
    ({"preset": "huge"}, "`preset`: it should be 'tiny', 'mini' or 'paper', found 'huge'"),
    ({"trainings": {}}, "`trainings` is not a setting. Did you mean `training`?"),
    ({"training": {"stpes": 3}}, "`training.stpes` is not a setting. Did you mean `training.steps`?"),
    ({"steps": 3}, "`steps` is not a setting. Did you mean `training.steps`?"),
    ({"training": {"steps": 0}}, "`training.steps`: it should be greater than 0, found 0"),
    ({"training": {"learning_rate": float("nan")}}, "`training.learning_rate`: it should be a finite number"),
    ({"mixtures": ["monno"]}, "`mixtures`: `monno` is none of mono, pairs, joint. Did you mean `mono`?"),
    ({"mixtures": [["te", "enn"]]}, "`mixtures`: `enn` is not among `languages`. Did you mean `en`?"),
    ({"mixtures": [["te", "te"]]}, "must name one or more different languages"),
    ({"treatments": ["adaptor"]}, "`treatments.0`: it should be 'none', 'ffn'"),
    ({"languages": {"zz": {"paths": "x"}}}, "`languages.zz`: `zz` is not a language code we know"),
    ({"languages": {"te": {}}}, "`languages.te`: give either `paths` (text files) or `constructed`"),
    ({"languages": {"../te": {"code": "te", "paths": "x"}}}, "a label has ASCII letters"),
    ({"languages": {}}, "`languages`"),
    ({"encoder": {"width": 30, "heads": 4}}, "`encoder`: `width` 30 is not a multiple of `heads` 4"),
    ({"splits": {"test": 0.4, "validation": 0.4, "meta": 0.3}}, "leave at least a tenth for training"),
    ({"splits": {"meta": 0}}, "`splits.meta` is 0, but the `meta-adapter` treatment needs held-out text"),
    (
        {"budget": "examples", "batches": {"temperature": 2}},
        "`batches.temperature` has no effect with `budget: examples`",
    ),
    ({"name": "../x"}, "`name`"),
    ({"vocabulary": {"size": 100_000}}, "`vocabulary.size`"),
    ({"batches": {"block_length": 4000}}, "batches.block_length"),
    ({"seeds": [1, 1]}, "`seeds`: [1, 1] names one twice"),
    ({"treatments": ["none", "none"]}, "`treatments`: ['none', 'none'] names one twice"),
    ({"mixtures": []}, "`mixtures`"),
    ({"training": {"steps": 5, "warmup_steps": 5}}, "the rate would never leave its warm-up, found 5 of 5 steps"),
    (
        {"training": {"checkpoint_every": 5, "keep_every": 12}},
        "`keep_every` 12 is not a multiple of `checkpoint_every` 5",
    ),
    ({"training": {"betas": [1.5, 0.9]}}, "`training.betas.0`: it should be less than 1, found 1.5"),
    ({"vocabulary": {"size": 400, "path": "x"}}, "`vocabulary.size` has no effect with `vocabulary.path`"),
    (
        {"training": {"device": "cuda", "steps": 9, "warmup_steps": 0}},
        "`training.device` is cuda, but torch finds no GPU",
    ),
]


@pytest.mark.parametrize(("changes", "words"), BAD_STUDIES, ids=[words[:40] for _, words in BAD_STUDIES])
def test_bad_settings(changes: dict, words: str, detente: Run, study_file, tmp_path: Path) -> None:
    if changes.get("training", {}).get("device") == "cuda":
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
    code, output, errors = detente("study", study_file(**changes), "--folder", tmp_path / "out")
    assert words in errors + output
    assert code == (1 if "cuda" in words else 2)
    assert "Traceback" not in errors + output


def test_all_problems_are_told_at_once(detente: Run, study_file) -> None:
    code, _, errors = detente("study", study_file(trainings={}, seed=[1], preset="tiny", budget="time"))
    assert code == 2
    assert len(errors.strip().splitlines()) == 3


BAD_TEXTS = [
    (b"", "text.txt is empty"),
    (b"fine\n" + b"\xff\xfe broken \x80\n" * 50, "line 2"),
    (b"one line only\n", "te: "),
    (b"\n\n   \n", "text"),
]


@pytest.mark.parametrize(("content", "words"), BAD_TEXTS)
def test_bad_text(content: bytes, words: str, detente: Run, study_file, tmp_path: Path) -> None:
    languages = {"te": {"paths": str(text_file(tmp_path, content))}}
    code, _, errors = detente(
        "study", study_file(languages=languages, mixtures=["mono"], treatments=["none"]), "--folder", tmp_path / "out"
    )
    assert code == 2
    assert words in errors
    assert len(errors.strip().splitlines()) == 1


def test_missing_text_and_folder_for_a_file(detente: Run, study_file, tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.txt", "none.txt"), (tmp_path, "folder")):
        study = study_file(languages={"te": {"paths": str(path)}}, mixtures=["mono"], treatments=["none"])
        code, _, errors = detente("study", study, "--folder", tmp_path / "out")
        assert code == 2
        assert words in errors


def test_bad_study_files(detente: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("languages: [", encoding="utf-8")
    listed = tmp_path / "list.yaml"
    listed.write_text("- 1", encoding="utf-8")
    cases = [
        (tmp_path / "none.yaml", "there is no study file"),
        (tmp_path, "is a folder; give the study file in it"),
        (broken, "is not valid YAML"),
        (listed, "must hold settings as `name: value` lines, found list"),
    ]
    for path, words in cases:
        code, _, errors = detente("study", path)
        assert (code, words in errors) == (2, True), errors


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
