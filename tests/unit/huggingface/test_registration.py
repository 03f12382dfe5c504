"""The wait for transformers' Auto classes, on packages made up for it. The real ones: tests/pipeline/test_export.py."""

import importlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from detente.huggingface import registration

AUTO = """
import calls
calls.made.append("auto")
if calls.fails:
    raise ImportError("broken on purpose")
"""
OURS = """
import calls
def register():
    calls.made.append("registered")
    if calls.fails_to_register:
        raise RuntimeError("no such class")
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """What happened, in order; `theirs.auto` is awaited, `ours` registers."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").touch()
    (tmp_path / "theirs" / "auto.py").write_text(AUTO)
    (tmp_path / "ours.py").write_text(OURS)
    (tmp_path / "calls.py").write_text("made, fails, fails_to_register = [], False, False\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(registration, "REGISTRARS", {"theirs.auto": "ours"})
    others = [finder for finder in sys.meta_path if not isinstance(finder, registration._AfterImport)]
    monkeypatch.setattr(sys, "meta_path", others)
    yield importlib.import_module("calls")
    for name in ("calls", "ours", "theirs", "theirs.auto"):
        sys.modules.pop(name, None)


def test_registers_after_the_import(calls) -> None:
    registration.install()
    assert calls.made == []
    importlib.import_module("theirs.auto")
    assert calls.made == ["auto", "registered"]


def test_registers_at_once_where_it_is_imported_already(calls) -> None:
    importlib.import_module("theirs.auto")
    registration.install()
    assert calls.made == ["auto", "registered"]


def test_registers_again_on_reload(calls) -> None:
    registration.install()
    importlib.reload(importlib.import_module("theirs.auto"))
    assert calls.made == ["auto", "registered"] * 2


def test_waits_once_however_often_it_is_asked(calls) -> None:
    registration.install()
    registration.install()
    importlib.import_module("theirs.auto")
    assert calls.made == ["auto", "registered"]


def test_an_import_that_fails_can_be_tried_again(calls) -> None:
    registration.install()
    calls.fails = True
    with pytest.raises(ImportError, match="broken on purpose"):
        importlib.import_module("theirs.auto")
    calls.fails = False
    importlib.import_module("theirs.auto")
    assert calls.made == ["auto", "auto", "registered"]


def test_a_failure_of_ours_is_a_warning(calls) -> None:
    registration.install()
    calls.fails_to_register = True
    with pytest.warns(UserWarning, match=r"not known to transformers' Auto classes \(RuntimeError: no such class\)"):
        importlib.import_module("theirs.auto")
    assert "theirs.auto" in sys.modules


def test_threads_that_import_at_the_same_time(calls) -> None:
    registration.install()
    threads = [threading.Thread(target=importlib.import_module, args=("theirs.auto",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls.made == ["auto", "registered"]


def test_a_package_that_is_not_there(calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "REGISTRARS", {"nowhere.auto": "ours", "theirs.missing": "ours"})
    registration.install()
    for name in ("nowhere.auto", "theirs.missing"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


def test_the_package_itself_loads_neither() -> None:
    code = "import sys, detente, detente.huggingface; sys.exit(bool({'torch', 'transformers', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_are_found_when_asked_for() -> None:
    huggingface = importlib.import_module("detente.huggingface")
    for name in huggingface.__all__:
        assert getattr(huggingface, name).__name__ == name
    with pytest.raises(AttributeError, match="DetenteForCausalLM"):
        _ = huggingface.DetenteForCausalLM
