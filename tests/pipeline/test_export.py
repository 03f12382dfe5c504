"""`detente export` as people meet it: a run becomes a folder that transformers loads in a process of its own."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from transformers import PreTrainedModel

from detente.errors import DataError
from detente.export import write_model
from detente.pretrain.opened_run import open_run
from detente.settings import study_from_mapping
from detente.study import run_study

Run = Callable[..., tuple[int, str, str]]

# Of a model of each kind: loads it as its card says, and compares it with the run's logits.
LOAD = """
import sys
{imports}
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer
folder, expected = sys.argv[1], load_file(sys.argv[2])
config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
model = AutoModelForMaskedLM.from_pretrained(folder).eval()
tokens = expected.pop("tokens")
for language, logits in expected.items():
    {call}
    assert (found.logits - logits).abs().max() < 1e-6, language
assert len(expected) == 2
assert tokenizer.is_fast and tokenizer.model_max_length == 16
assert tokenizer("a", "b").input_ids[::2] == [tokenizer.sep_token_id] * 3
print("the same", type(model).__name__, type(config).__name__)
"""
OURS = "found = model(tokens, language_ids=tokens.new_full(tokens.shape[:1], config.languages.index(language)))"
XLM = "found = model(tokens, langs=tokens.new_full(tokens.shape, config.lang2id[language]))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, study_values: Callable) -> Path:
    """A finished study of the `xlm` variant with a language embedding: joint and under adapters."""
    folder = tmp_path_factory.mktemp("exported")
    encoder = {**study_values()["encoder"], "variant": "xlm", "feed_forward_width": 64, "language_embedding": True}
    values = study_values(treatments=["none", "adapter"], mixtures=["joint"], encoder=encoder)
    assert all(outcome.record for outcome in run_study(study_from_mapping(values), folder))
    return folder


def run_of(folder: Path, system: str) -> Path:
    return next(folder.glob(f"runs/te+en_{system}_seed1-*"))


def logits_file(run: Path, path: Path) -> Path:
    """The run's logits of random tokens in each language, and the tokens."""
    opened = open_run(run)
    opened.treated.encoder.eval()
    tokens = torch.randint(5, opened.data.vocabulary.size, (3, 16), generator=torch.Generator().manual_seed(2))
    logits = {language: opened.treated.logits(language, tokens).detach() for language in opened.settings.mixture}
    save_file({"tokens": tokens, **logits}, path)
    return path


def loads(folder: Path, expected: Path, imports: str, call: str) -> str:
    code = LOAD.format(imports=imports, call=call)
    command = [sys.executable, "-W", "error", "-c", code, str(folder), str(expected)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_treated_run_is_loaded_in_either_order_of_imports(folder: Path, detente: Run, tmp_path: Path) -> None:
    run = run_of(folder, "adapter")
    code, output, errors = detente("export", run, tmp_path / "model")
    assert (code, errors) == (0, "")
    assert output == f"exported to {tmp_path / 'model'}, to be loaded by transformers and detente\n"
    expected = logits_file(run, tmp_path / "logits.safetensors")
    for imports in ("import detente, transformers", "from transformers import AutoModelForMaskedLM; import detente"):
        assert loads(tmp_path / "model", expected, imports, OURS) == "the same DetenteForMaskedLM DetenteConfig"


@pytest.mark.slow
def test_plain_xlm_is_loaded_without_detente(folder: Path, detente: Run, tmp_path: Path) -> None:
    run = run_of(folder, "none")
    code, output, errors = detente("export", run, tmp_path / "model")
    assert (code, errors) == (0, "")
    assert output == f"exported to {tmp_path / 'model'}, to be loaded by transformers alone\n"
    expected = logits_file(run, tmp_path / "logits.safetensors")
    imports = "sys.modules['detente'] = None  # an ImportError for who tries"
    assert loads(tmp_path / "model", expected, imports, XLM) == "the same XLMWithLMHeadModel XLMConfig"


def test_the_folder_holds_a_card_and_what_it_says(
    folder: Path, detente: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(folder, "adapter")
    assert detente("export", run, tmp_path / "model")[0] == 0
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["language"] == ["en", "te"]
    assert (front["license"], front["library_name"], front["pipeline_tag"]) == ("unknown", "detente", "fill-mask")
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    for language in ("te", "en"):
        assert f"{record['languages'][language]['test']['bits_per_character']:.3f}" in card
    for words in ("16 of 16 steps, 1,024 tokens", "treatment `adapter`", 'from_pretrained("model")', "(0 te, 1 en)"):
        assert words in card
    assert "not finished" not in card
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    shown: dict = {}
    exec(compile(code, "README.md", "exec"), shown)
    assert shown["model"].config.default_language is None, "a guess would be silent"


def test_no_token_is_read(folder: Path, tmp_path: Path) -> None:
    """A fine-tuning takes a run's model so: what it costs must not grow with the run's text."""
    shutil.copytree(folder, tmp_path / "study")
    for path in (tmp_path / "study" / "data").rglob("*.bin"):
        path.unlink()
    run = run_of(tmp_path / "study", "adapter")
    with pytest.raises(DataError, match=r"\.bin is damaged: it has 0 bytes"):
        open_run(run)
    weights = []
    for where in (run, run_of(folder, "adapter")):
        goal = tmp_path / f"model{len(weights)}"
        goal.mkdir()
        write_model(where, goal)
        weights.append((goal / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_again_replaces_and_other_folders_are_refused(folder: Path, detente: Run, tmp_path: Path) -> None:
    goal = tmp_path / "model"
    assert detente("export", run_of(folder, "none"), goal)[0] == 0
    assert detente("export", run_of(folder, "adapter"), goal)[0] == 0
    assert not (goal / "generation_config.json").exists(), "nothing of the earlier one is left"
    (goal / "model.safetensors").write_bytes(b"trained on")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    for where, words in (
        (goal, "not as `detente export` wrote it"),
        (tmp_path / "mine", "holds other files (notes.txt)"),
        (tmp_path / "mine" / "notes.txt", "is a file"),
    ):
        code, _, errors = detente("export", run_of(folder, "none"), where)
        assert (code, words in errors, len(errors.splitlines())) == (2, True, 1), errors


def test_a_run_that_is_not_finished(folder: Path, detente: Run, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "study")
    run = run_of(tmp_path / "study", "adapter")
    shutil.rmtree(run / "checkpoints" / "step-16")
    code, output, errors = detente("export", run, tmp_path / "model")
    assert (code, errors) == (0, "")
    assert "the run is not finished: this is step 15 of 16" in output
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "**The run is not finished.**" in card
    assert "There are no test scores" in card


@pytest.mark.filterwarnings("always:checkpoint")
def test_a_damaged_checkpoint_is_passed_over(folder: Path, detente: Run, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "study")
    run = run_of(tmp_path / "study", "adapter")
    (run / "checkpoints" / "step-16" / "weights.safetensors").write_bytes(b"")
    code, output, errors = detente("export", run, tmp_path / "model")
    assert (code, "step 15 of 16" in output, "step-16 is damaged" in errors) == (0, True, True)


def test_what_cannot_be_exported_is_said_in_a_line(
    folder: Path, detente: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "study")
    broken = run_of(tmp_path / "study", "adapter")
    for file in broken.glob("checkpoints/*/weights.safetensors"):
        file.write_bytes(b"")
    alone = tmp_path / "alone" / "runs" / "run"
    shutil.copytree(run_of(folder, "adapter"), alone)
    for path, words in (
        (tmp_path / "nothing", "there is no folder"),
        (folder, "is no run"),
        (broken, "no undamaged checkpoint"),
        (alone, "the data of the run is missing"),
    ):
        code, _, errors = detente("export", path, tmp_path / "model")
        assert (code, words in errors, len(errors.splitlines())) == (2, True, 1), errors
    monkeypatch.setitem(sys.modules, "transformers", None)
    code, _, errors = detente("export", run_of(folder, "adapter"), tmp_path / "model")
    assert (code, errors.splitlines()) == (
        2,
        ["detente: a model folder is written by transformers: pip install 'detente[tasks]'"],
    )
    assert not (tmp_path / "model").exists()


def test_a_full_disk_is_said_in_a_line(
    folder: Path, detente: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", fail)
    code, _, errors = detente("export", run_of(folder, "adapter"), tmp_path / "model")
    assert (code, "(No space left on device)" in errors, len(errors.splitlines())) == (2, True, 1), errors
    assert list(tmp_path.iterdir()) == []
