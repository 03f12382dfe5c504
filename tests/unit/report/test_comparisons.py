"""Paired comparisons, recovered shares, and runs that do not compare like with like."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.report.comparisons import inconsistencies, interference, interference_by_seed, recovered
from detente.report.inventory import Study, System, mono, read_study
from detente.results import RunRecord, read_record, write_record

MakeStudy = Callable[..., Study]
WriteStudy = Callable[..., Path]
JOINT = System(("en", "sw"), "none")


def edit(folder: Path, is_chosen: Callable[[RunRecord], bool], **changes: Any) -> None:
    """Rewrite the records of some runs."""
    for run_folder in (folder / "runs").iterdir():
        record = read_record(run_folder)
        if is_chosen(record):
            write_record(run_folder, record.model_copy(update=changes))


def test_sign_and_pairing(make_study: MakeStudy) -> None:
    study = make_study(noise=0.0, interference={"en": 0.09, "sw": -0.06})
    assert interference_by_seed(study, JOINT, "en") == pytest.approx({1: 0.09, 2: 0.09, 3: 0.09})
    english, swahili = interference(study, JOINT, "en"), interference(study, JOINT, "sw")
    assert english is not None
    assert swahili is not None
    assert (english.word, swahili.word) == ("hurt", "helped")
    assert english.exposure == 0.5


def test_mono_has_no_interference(make_study: MakeStudy) -> None:
    assert interference(make_study(), mono("en"), "en") is None


def test_recovered_share(make_study: MakeStudy) -> None:
    study = make_study(noise=1e-6)
    share = recovered(study, System(("en", "sw"), "ffn"), "en")
    assert share is not None
    assert share.mean == pytest.approx(0.75, abs=1e-3)
    assert recovered(study, JOINT, "en") is None
    assert recovered(study, System(("en", "sw"), "ffn"), "sw") is None  # nothing was lost


@pytest.mark.parametrize("options", [{"seeds": (1,)}, {"stuck": {"en+sw_ffn_seed1"}}, {"noise": 0.5}])
def test_no_recovered_share_where_it_would_be_noise(make_study: MakeStudy, options: dict[str, Any]) -> None:
    assert recovered(make_study(**options), System(("en", "sw"), "ffn"), "en") is None


def test_differing_settings_are_told(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none", "adapter"), seeds=(1, 2))
    settings = read_record(next((folder / "runs").iterdir())).settings
    edit(folder, lambda record: record.treatment == "adapter", settings={**settings, "adapter": {"width": 8}})
    assert inconsistencies(read_study(folder)) == ()
    edit(folder, lambda record: record.seed == 2, settings={**settings, "training": {"learning_rate": 0.1}})
    assert inconsistencies(read_study(folder)) == (
        "The runs differ in the setting training.learning_rate: 0.004 and 0.1.",
    )


def test_differing_steps_are_told_among_mixtures_of_one_size(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none", "ffn"))
    edit(folder, lambda record: len(record.mixture) == 2, steps=1200)
    assert inconsistencies(read_study(folder)) == ()
    edit(folder, lambda record: record.treatment == "ffn", steps=900)
    assert inconsistencies(read_study(folder)) == ("Runs of 2 languages differ in steps: 900 and 1200.",)


def test_differing_text_is_told(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none",), seeds=(1,))
    record = read_record(next((folder / "runs").iterdir()))
    label = record.mixture[0]
    other = {label: record.languages[label].model_copy(update={"data": "other"})}
    edit(folder, lambda candidate: candidate.name == record.name, languages=other)
    assert inconsistencies(read_study(folder)) == (
        f"The runs were not all trained and tested on the same text of {label}.",
    )
