"""The user's own repository in a record: which commit, and whether it was changed since. Never an error."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from detente.results import Revision
from detente.revision import find_revision

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(folder: Path, *arguments: str) -> str:
    own = ("-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *own, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a study's file in its one commit; a user's own settings of git do not matter."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "mine"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "study.yaml").write_text("name: mine\n", encoding="utf-8")
    git(folder, "add", "study.yaml")
    git(folder, "commit", "-q", "-m", "A study")
    return folder


def test_the_commit_and_whether_its_files_were_changed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    inside = repository / "studies"
    inside.mkdir()
    (inside / "record.json").touch()
    assert find_revision(inside) == Revision(commit=commit, is_changed=False), "what a study wrote is no change"
    (repository / "study.yaml").write_text("name: other\n", encoding="utf-8")
    monkeypatch.chdir(repository)
    assert find_revision() == Revision(commit=commit, is_changed=True)
    git(repository, "add", "study.yaml")
    assert find_revision() == Revision(commit=commit, is_changed=True)
    git(repository, "checkout", "-q", "--detach")
    git(repository, "commit", "-q", "-m", "Another")
    assert find_revision() == Revision(commit=git(repository, "rev-parse", "HEAD"), is_changed=False)


def test_none_where_there_is_none(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_revision(tmp_path) is None, "no repository"
    assert find_revision(tmp_path / "nothing") is None
    git(tmp_path, "init", "-q", "new")
    assert find_revision(tmp_path / "new") is None, "no commit"
    assert find_revision(repository) is not None
    monkeypatch.setattr("detente.revision.PATIENCE", 0)
    assert find_revision(repository) is None, "too late"
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_revision(repository) is None, "no git"


def test_nothing_that_a_repository_names_is_run(repository: Path, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'was-run'}\n", encoding="utf-8")
    hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(hook))
    git(repository, "status")
    assert (tmp_path / "was-run").exists(), "git itself runs it"
    (tmp_path / "was-run").unlink()
    assert find_revision(repository) is not None
    assert not (tmp_path / "was-run").exists()
