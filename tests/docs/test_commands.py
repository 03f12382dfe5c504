"""The commands that pages show exist, with the options that they are shown with."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from detente.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.yaml")])
COMMANDS = typer.main.get_command(app).commands


def shown() -> list[str]:
    """Every `detente VERB ...`: indented, in backticks, or at the end of a comment."""
    pattern = r"(?:^    |`|^# .*\d\. )(detente [a-z][^`\n]*)"
    return sorted(
        {hit for page in PAGES for hit in re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE)}
    )


def test_pages_show_commands() -> None:
    assert {"detente demo", "detente study first.yaml", "detente study wikipedia-pair.yaml --dry-run"} <= set(shown())


@pytest.mark.parametrize("line", shown())
def test_command_exists(line: str) -> None:
    _, verb, *rest = shlex.split(line, comments=True)
    assert verb in COMMANDS

    known = {option for parameter in COMMANDS[verb].params for option in parameter.opts}
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known
