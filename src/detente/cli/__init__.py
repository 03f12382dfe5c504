"""The command line: a verb calls one public function. Exit codes: 0 done, 2 the user's input is wrong, 130 interrupted, 1 else.

Slow libraries are imported where a verb needs them, so that `--help` answers at once.
"""

import os
import sys
import warnings
from pathlib import Path

# The verbs register themselves.
from detente.cli import models, studies  # noqa: F401
from detente.cli.application import app, console, rank
from detente.errors import DetenteError, Interrupted, ProcessLost

__all__ = ["app", "console", "main"]


def main() -> None:
    """Entry point: one clear line instead of a traceback for what the user can mend, and for warnings."""
    warnings.showwarning = lambda message, *_: _complain(f"warning: {message}")
    if rank() > 0:
        _silence()
    try:
        app()
    except Interrupted as interruption:
        _end(str(interruption), 128 + interruption.signal_number)
    except ProcessLost as error:
        _end(str(error), 1)
    except DetenteError as error:
        _end(str(error), 2)
    except OSError as error:
        _end(
            f"{error.filename or 'a file'}: {error.strerror}. Check the path, its rights and the space on its disk.", 2
        )


def _silence() -> None:
    """What the first of several processes prints is not said again."""
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    warnings.showwarning = lambda *_: None


def _end(text: str, code: int) -> None:
    """Say why and exit; of several processes that end, one says it."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        from detente.pretrain.parallel import is_first_to_speak

        if not is_first_to_speak():
            sys.exit(code)
    _complain(text)
    sys.exit(code)


def _complain(text: str) -> None:
    for line in text.splitlines():
        sys.stderr.write(f"detente: {line}\n")
