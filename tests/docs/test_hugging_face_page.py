"""The page about Hugging Face runs from top to bottom, on models exported from a study of a few steps."""

import re
from pathlib import Path

import pytest
from transformers.utils import logging

from detente.export import export_run
from detente.settings import study_from_mapping
from detente.study import run_study

ROOT = Path(__file__).parents[2]
STUDY = {
    "preset": "tiny",
    "languages": {
        "en": {"constructed": {"sentences": 700}},
        "sw": {"constructed": {"sentences": 700, "lexicon_seed": 2, "word_order": "sov"}},
    },
    "mixtures": ["joint"],
    "splits": {"meta": 0.1, "validation": 0.1, "test": 0.1},
    "vocabulary": {"size": 420},
    "batches": {"blocks": 4},
    "training": {"steps": 8, "warmup_steps": 2},
}
XLM = {"variant": "xlm", "layers": 1, "width": 16, "heads": 2, "feed_forward_width": 64, "language_embedding": True}


def export(folder: Path, goal: Path, **settings: object) -> None:
    (outcome,) = run_study(study_from_mapping({**STUDY, **settings}), folder)
    assert outcome.record
    export_run(next(folder.glob("runs/*/record.json")).parent, goal)


@pytest.mark.slow
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    export(tmp_path / "treated", tmp_path / "model", treatments=["adapter"])
    export(tmp_path / "plain", tmp_path / "xlm-model", treatments=["none"], encoder=XLM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    logging.disable_progress_bar()
    page = (ROOT / "docs" / "hugging-face.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5
    capsys.readouterr()
    exec(compile("\n".join(blocks), "hugging-face.md", "exec"), {"__name__": "page"})
    printed = capsys.readouterr().out
    assert "adapter ['en', 'sw']" in printed
    assert len(re.findall(r"^'.+' 0\.\d+$", printed, re.MULTILINE)) == 3
    assert printed.count("torch.Size([") == 2
    assert (tmp_path / "tuned" / "model" / "model.safetensors").is_file()
