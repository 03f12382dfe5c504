"""Spikes of the loss against scipy's median absolute deviation."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from detente.pretrain.observers import MetricsLog
from detente.pretrain.spikes import DEVIATIONS, FEWEST, WINDOW, Spikes
from detente.pretrain.step import StepReport
from detente.results import METRICS_FILE


def test_a_spike_is_far_above_the_last_steps_of_its_language() -> None:
    random = np.random.default_rng(3)
    losses = {"te": 3 + 0.2 * random.standard_normal(400), "en": 5 + 0.5 * random.standard_normal(400)}
    losses["te"][[10, 100, 200, 201]] = 4.9, 4.9, 4.1, 2.0
    spikes, found = Spikes(), {"te": [], "en": []}
    for step in range(400):
        for language in spikes.of({name: float(values[step]) for name, values in losses.items()}):
            found[language].append(step)
    expected = {
        name: [
            step
            for step in range(FEWEST, 400)
            if (before := values[max(0, step - WINDOW) : step]) is not None
            and values[step] > np.median(before) + DEVIATIONS * median_abs_deviation(before, scale="normal")
        ]
        for name, values in losses.items()
    }
    assert found == expected
    assert {100, 200} <= set(found["te"])
    assert {10, 201}.isdisjoint(found["te"])


def report(loss: float, **terms: float) -> StepReport:
    norm = 1.0 if np.isfinite(loss) else float("nan")
    return StepReport({"te": loss}, tokens=1, gradient_norm=norm, learning_rate=0.1, terms=terms)


@pytest.mark.parametrize("again_from", [None, 30])
def test_a_run_that_goes_on_flags_the_same_steps(tmp_path: Path, again_from: int | None) -> None:
    random = np.random.default_rng(4)
    losses = [*(3 + 0.1 * random.standard_normal(35)).tolist(), 9.0, float("nan"), 3.0]
    log = MetricsLog(tmp_path, start=0)
    for done, loss in enumerate(losses, start=1):
        if done - 1 == again_from:
            log.close()
            log = MetricsLog(tmp_path, start=again_from)
        log(done, report(loss, **({} if np.isfinite(loss) else {"left_out": 1, "ratio": loss})))
    log.close()
    lines = [
        json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / METRICS_FILE).read_text().splitlines()
    ]
    for line in lines:
        del line["crc"]
    assert {line["step"]: line["spike"] for line in lines if "spike" in line} == {36: ["te"]}
    assert lines[36] == {"kind": "train", "step": 37, "loss": {}, "learning_rate": 0.1, "tokens": 1, "left_out": 1}
