"""The state of the user's own git repository, for records."""

import subprocess
from pathlib import Path

from detente.results import Revision

# Takes no lock that the user's own git would meet, and starts no watcher that the repository names.
GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false")
STATUS = (*GIT, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
PATIENCE = 10.0
"""Seconds. On a slow disk a large repository takes longer than it is worth."""


def find_revision(folder: Path | None = None) -> Revision | None:
    """Of the repository that `folder` is in, the working directory when not given.

    None outside of one, before its first commit, without git, or when git does not answer in time.
    """
    try:
        done = subprocess.run(STATUS, cwd=folder, capture_output=True, check=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.decode(errors="replace").splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    commit = heads.get("branch.oid", "(initial)")
    return None if commit == "(initial)" else Revision(commit=commit, is_changed=len(lines) > len(heads))
