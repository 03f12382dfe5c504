"""Which runs count, and which are gaps."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.errors import RecordError
from detente.report.inventory import Study, System, read_study
from detente.results import read_record, write_record

MakeStudy = Callable[..., Study]
WriteStudy = Callable[..., Path]


def test_order_of_languages_and_systems(make_study: MakeStudy) -> None:
    study = make_study(languages=("sw", "en"), treatments=("meta-adapter", "none", "ffn"), seeds=(2, 1))
    assert study.languages == ("sw", "en")
    assert study.systems == (
        System(("sw",), "none"),
        System(("en",), "none"),
        System(("sw", "en"), "none"),
        System(("sw", "en"), "ffn"),
        System(("sw", "en"), "meta-adapter"),
    )
    assert list(study.by_system[System(("en",), "none")]) == [1, 2]


def test_planned_runs_that_are_not_there_are_gaps(make_study: MakeStudy) -> None:
    study = make_study(absent={"en+sw_ffn_seed2"}, failed={"en+sw_none_seed1"})
    found = [(gap.name, gap.status, gap.reason, gap.seed) for gap in study.gaps]
    assert found == [
        ("en+sw_none_seed1", "failed", "loss is not finite at step 12", 1),
        ("en+sw_ffn_seed2", "missing", "has not been started", 2),
    ]
    assert study.num_expected(System(("en", "sw"), "ffn")) == 3
    assert len(study.results(System(("en", "sw"), "ffn"), "en")) == 2


def test_without_a_plan_a_missing_run_is_unknown_but_a_failed_one_is_not(make_study: MakeStudy) -> None:
    study = make_study(has_plan=False, absent={"en+sw_ffn_seed2"}, failed={"en+sw_none_seed1"})
    assert [gap.name for gap in study.gaps] == ["en+sw_none_seed1"]
    assert study.num_expected(System(("en", "sw"), "ffn")) == 2


def test_runs_outside_the_plan_are_left_out(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none",), seeds=(1,))
    plan = json.loads((folder / "plan.json").read_text())
    dropped = plan["runs"].pop()
    (folder / "plan.json").write_text(json.dumps(plan))
    study = read_study(folder)
    assert [(gap.name, gap.status, gap.is_expected) for gap in study.gaps] == [(dropped["folder"], "left out", False)]
    assert System(("en", "sw"), "none") not in study.by_system


def test_of_two_runs_of_one_name_the_later_counts(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none",), seeds=(1,), has_plan=False)
    older = sorted((folder / "runs").iterdir())[0]
    newer = older.with_name("a-later-one")
    record = read_record(older)
    write_record(newer, record.model_copy(update={"finished": "2027-01-01T00:00:00+00:00", "steps": 601}))
    study = read_study(folder)
    assert [run.record.steps for run in study.by_system[System(record.mixture, "none")].values()] == [601]
    assert [(gap.name, gap.is_expected) for gap in study.gaps] == [(older.name, False)]


def test_a_failed_run_that_succeeded_elsewhere_is_not_expected_again(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none",), seeds=(1,), has_plan=False, failed={"en_none_seed1"})
    failed = next(path for path in (folder / "runs").iterdir() if read_record(path).status == "failed")
    other = next(path for path in (folder / "runs").iterdir() if read_record(path).mixture == ("sw",))
    record = read_record(failed)
    results = {"en": read_record(other).languages["sw"]}
    write_record(failed.with_name("again"), record.model_copy(update={"status": "success", "languages": results}))
    assert read_study(folder).expected_gaps == ()


def test_damaged_and_unfinished_runs_are_listed_without_the_place_they_lie_in(write_study: WriteStudy) -> None:
    folder = write_study(has_plan=False)
    first, second, *_ = sorted((folder / "runs").iterdir())
    (first / "record.json").write_text("{")
    (second / "record.json").unlink()
    damaged, unfinished = read_study(folder).gaps
    assert (damaged.status, unfinished.status) == ("damaged", "not finished")
    assert str(folder) not in damaged.reason + unfinished.reason


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"there are no runs in .*runs\. Run `detente study` first"):
        read_study(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": [{"name": "x"}]}', '{"runs": 3}'])
def test_damaged_plan(write_study: WriteStudy, text: str) -> None:
    folder = write_study(seeds=(1,))
    (folder / "plan.json").write_text(text)
    with pytest.raises(RecordError, match=r"plan\.json is damaged .* run the study again"):
        read_study(folder)
