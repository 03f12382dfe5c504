"""The page about Python runs from top to bottom."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 8
    exec(compile("\n".join(blocks), "python-api.md", "exec"), {"__name__": "page"})
    printed = capsys.readouterr().out
    assert "torch.Size([2, 32, 500])" in printed
    assert "3 runs, " in printed
    assert any(f") {verdict}\n" in printed for verdict in ("conflict", "agreement", "cannot tell"))
    assert (tmp_path / "study" / "report.html").is_file()
