"""What all verbs share: the application, what they print on, and how Ctrl-C ends them."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from detente.errors import ConfigError, Interrupted

app = typer.Typer(
    help="Measure and treat negative interference between languages in multilingual language models.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
# Without a terminal, a file say, lines may be long: tables must not be cut.
console = Console(width=None if sys.stdout.isatty() else 120)

TOGETHER = ("pretrain", "study")
"""Verbs that several processes, started by torchrun, can do together."""


@app.callback()
def _refuse_torchrun(context: typer.Context) -> None:
    if "TORCHELASTIC_RUN_ID" in os.environ and context.invoked_subcommand not in TOGETHER:
        raise ConfigError(f"`detente {context.invoked_subcommand}` runs in one process. Call it without torchrun.")


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C outside training, while text is read say, ends with a line too."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(None, signal.SIGINT) from None


def rank() -> int:
    """Of this process among those that torchrun started; 0 alone."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0
