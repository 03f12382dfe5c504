"""What the command line shows while it works and at the end: progress with tokens per second, tables, plain log lines."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

LOG_EVERY_SECONDS = 60.0


class ProgressView:
    """A bar for the task in hand and one for the whole; without a terminal, a line a minute."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._whole: TaskID | None = None
        self._in_hand: TaskID | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start_whole(self, description: str, total: int) -> None:
        """A bar over all runs."""
        self._whole = self._bars.add_task(description, total=total, note="")

    def advance_whole(self, line: str) -> None:
        """One run has ended; `line` says how."""
        self._show_instead(None)
        if self._whole is not None:
            self._bars.advance(self._whole)
        self.console.print(line, highlight=False)

    def in_hand(self, shares: Mapping[str, float]) -> None:
        """How far the runs in hand are, where several are."""
        note = "  ".join(f"{name} {share:.0%}" for name, share in shares.items())
        if self._whole is not None:
            self._bars.update(self._whole, note=note)
        self._log(f"in hand: {note}")

    def counter(self, description: str, unit: str, total: int | None) -> Callable[[int], None]:
        """Follows a long stage (`detente.prepare.Counter`): told how much more is done, such as records read."""
        task = self._bars.add_task(description, total=total, note=unit)
        self._show_instead(task)
        if not self.console.is_terminal:
            self.console.print(description, highlight=False)

        def advance(more: int) -> None:
            self._bars.advance(task, more)

        return advance

    def steps(self, description: str) -> Callable[[int, int, Any], None]:
        """Follows the steps of a run (`detente.pretrain.observers.Progress`)."""
        task = self._bars.add_task(description, total=None, note="")
        self._show_instead(task)
        begun, tokens, steps = time.monotonic(), 0, 0

        def show(done: int, total: int, report: Any) -> None:
            nonlocal tokens, steps
            tokens, steps = tokens + report.tokens, steps + 1
            seconds = time.monotonic() - begun
            note = f"{tokens / seconds:,.0f} tokens/s  loss {_losses(report.loss)}"
            self._bars.update(task, total=total, completed=done, note=note)
            left = (total - done) * seconds / steps
            self._log(f"{description}: step {done}/{total}, {note}, {left:.0f} s left")

        return show

    def _log(self, line: str) -> None:
        """Without a terminal, a line a minute."""
        if not self.console.is_terminal and time.monotonic() - self._last_line > LOG_EVERY_SECONDS:
            self._last_line = time.monotonic()
            self.console.print(line, highlight=False)

    def _show_instead(self, task: TaskID | None) -> None:
        """One thing is in hand at a time: the bar of the one before goes."""
        if self._in_hand is not None:
            self._bars.remove_task(self._in_hand)
        self._in_hand = task


def _losses(loss: Mapping[str, float]) -> str:
    return " ".join(f"{language} {value:.2f}" for language, value in loss.items())


def print_table(
    console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()
) -> None:
    """A table, numbers to the right; a column without an entry is left out, a group is named once."""
    filled = [i for i, _ in enumerate(header) if any(row[i] for row in rows)]
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for i in filled:
        is_name = not any(character.isdigit() for row in rows for character in row[i][-3:]) or i == 0
        table.add_column(escape(header[i]), justify="left" if is_name else "right", no_wrap=True)
    before = ""
    for row in rows:
        table.add_row(*(escape("" if i == 0 and row[i] == before else row[i]) for i in filled))
        before = row[0]
    console.print(table)
    for note in notes:
        console.print(escape(note), style="dim", highlight=False)


def duration(seconds: float) -> str:
    """For people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
