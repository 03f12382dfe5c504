"""The loop calls step, observers and saver in order, and stops saved when asked."""

import os
import signal
from pathlib import Path

import pytest

from detente.errors import Interrupted
from detente.pretrain.loop import train
from detente.pretrain.observers import Checkpoints, MetricsLog
from detente.pretrain.parallel import Ranks
from detente.pretrain.scoring import early_losses
from detente.pretrain.signals import StopRequest
from detente.pretrain.step import StepReport
from detente.results import METRICS_FILE, read_metrics

REPORT = StepReport({"te": 2.5}, tokens=10, gradient_norm=1.0, learning_rate=0.1)


class Saver:
    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def __call__(self, done: int, report: StepReport) -> None:
        self.calls.append(f"saver {done}")

    def save(self, done: int) -> None:
        self.calls.append(f"save {done}")


def run(calls: list[str], stop: StopRequest, step=lambda number: REPORT) -> None:
    def record_step(number: int) -> StepReport:
        calls.append(f"step {number}")
        return step(number)

    observers = [lambda done, report: calls.append(f"seen {done}")]
    train(record_step, start=3, stop=5, observers=observers, saver=Saver(calls), stop_request=stop)


def test_observers_come_after_the_step_and_the_saver_last() -> None:
    calls: list[str] = []
    run(calls, StopRequest())
    assert calls == ["step 3", "seen 4", "saver 4", "step 4", "seen 5", "saver 5"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_end_and_saves(number: signal.Signals) -> None:
    calls: list[str] = []

    def step(_: int) -> StepReport:
        os.kill(os.getpid(), number)
        return REPORT

    before = signal.getsignal(number)
    with (
        pytest.raises(Interrupted, match="interrupted after step 4; what was begun is saved") as caught,
        StopRequest() as stop,
    ):
        run(calls, stop, step)
    assert calls == ["step 3", "seen 4", "saver 4", "save 4"]
    assert caught.value.signal_number == number
    assert signal.getsignal(number) is before


def test_without_a_signal_nothing_is_asked() -> None:
    with StopRequest() as stop:
        assert stop.asked() == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked() == signal.SIGTERM
        assert stop.asked() == signal.SIGTERM, "until the run has ended"


def test_a_signal_to_another_process_stops_this_one_too() -> None:
    class Others(Ranks):
        def agree(self, number: int) -> int:
            return max(number, signal.SIGTERM)

    calls: list[str] = []
    with pytest.raises(Interrupted) as caught, StopRequest(Others()) as stop:
        run(calls, stop)
    assert calls == ["step 3", "seen 4", "saver 4", "save 4"]
    assert caught.value.signal_number == signal.SIGTERM


def test_a_second_ctrl_c_stops_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_no_step_is_saved_twice() -> None:
    saved: list[int] = []
    checkpoints = Checkpoints(saved.append, every=2, last=5)
    for done in (1, 2, 3):
        checkpoints(done, REPORT)
    checkpoints.save(3)
    checkpoints.save(3)
    for done in (4, 5):
        checkpoints(done, REPORT)
    assert saved == [2, 3, 4, 5]


def test_metrics_of_steps_that_are_done_again_are_cut_off(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, start=0)
    for done in (1, 2, 3):
        log(done, REPORT)
    log.close()
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"kind": "train", "st')
    MetricsLog(tmp_path, start=2).close()
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]


def test_early_loss_is_the_mean_over_the_first_fifth(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, start=0)
    for done in range(1, 11):
        language = "te" if done != 7 else "en"
        log(done, StepReport({language: float(done)}, tokens=1, gradient_norm=1.0, learning_rate=0.1))
    log.close()
    # `en` is first seen later than that: all of its steps count.
    assert early_losses(tmp_path, 10) == {"te": 1.5, "en": 7.0}
