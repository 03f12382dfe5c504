"""The Python of the page about tasks runs."""

import re
from pathlib import Path

import pytest

from detente.tasks.predictions import Header, collect_predictions, write_predictions

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"


def test_predictions_are_scored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    header = Header(task="ner", language="qaa", model="m", source="qaa", setting="within", seed=1)
    row = {"words": ["Ana", "laughs"], "gold": ["B-PER", "O"], "predicted": ["B-PER", "O"]}
    write_predictions(tmp_path / "predictions-within-qaa.jsonl.gz", collect_predictions(header, [row, row]))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {"__name__": "page"})
    assert "f1: 100.0 [100.0, 100.0]" in capsys.readouterr().out
