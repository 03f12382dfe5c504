"""Progress without a terminal is a line a minute; tables keep what they are given."""

import io

import pytest
from rich.console import Console

from detente.pretrain.step import StepReport
from detente.terminal import ProgressView, print_table

REPORT = StepReport({"te": 2.5}, tokens=100, gradient_norm=1.0, learning_rate=0.1)


def make_console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=120), text


def test_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("detente.terminal.time.monotonic", lambda: now[0])
    console, text = make_console()
    with ProgressView(console) as view:
        show = view.steps("te_none_seed1")
        for done in range(101, 111):
            now[0] += 10.0
            show(done, 200, REPORT)
    lines = text.getvalue().splitlines()
    # 700 tokens in 70 s; 93 of the 200 steps are left, of which only 7 were done in this sitting.
    assert lines == ["te_none_seed1: step 107/200, 10 tokens/s  loss te 2.50, 930 s left"]


def test_runs_in_hand_are_told_a_minute_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("detente.terminal.time.monotonic", lambda: now[0])
    console, text = make_console()
    with ProgressView(console) as view:
        view.start_whole("runs", 2)
        for _ in range(121):
            now[0] += 1.0
            view.in_hand({"te_none_seed1": 0.25, "en_none_seed1": 0.5})
    assert text.getvalue().splitlines() == ["in hand: te_none_seed1 25%  en_none_seed1 50%"]


def test_a_table_without_its_empty_columns_and_with_brackets_as_they_are() -> None:
    console, text = make_console()
    print_table(console, "A [b]", ["language", "x", "nothing"], [["te[/x]", "1", ""], ["te[/x]", "22", ""]], ["[note]"])
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert lines == ["A [b]", "language   x", "te[/x]     1", "          22", "[note]"]
