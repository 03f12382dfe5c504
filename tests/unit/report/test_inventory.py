"""Which runs count, and which are gaps."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.errors import RecordError
from detente.report.inventory import Study, System, read_study
from detente.report.study_languages import StudyLanguage, wholes
from detente.results import read_record, write_record
from detente.seal import SEAL

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


def write_task(run_folder: Path, **changed: object) -> Path:
    record = {
        **{"version": 1, "task": "ner", "kind": "ner", "source": "en", "seed": 1, "fingerprint": "cd", "model": "m"},
        **{
            "settings": {},
            "labels": [],
            "examples": {},
            "epochs": [],
            "scores": [],
            "seconds": 1.0,
            "finished": "2026",
        },
        **changed,
    }
    path = run_folder / "tasks" / "ner" / "en_seed1" / "task.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"version": 9}, "has version 9, this detente reads 1."),
        ({"kind": "poetry"}, "is damaged (1 validation error"),
        ({"task": "../../../evil"}, "is damaged (1 validation error"),
        ({"task": "pos"}, "is of the task pos. Move it to a folder of that name."),
        ({"source": "e\x00n"}, "has a name with a control character."),
    ],
)
def test_a_fine_tuning_that_cannot_be_read_is_a_gap(
    write_study: WriteStudy, changed: dict[str, object], reason: str
) -> None:
    """The run and its other numbers stay."""
    folder = write_study(treatments=("none",), seeds=(1,))
    write_task(folder / "runs" / "run000-0123abcd", **changed)
    study = read_study(folder)
    assert len(study.runs) == 3
    assert [(gap.name, gap.status, gap.is_expected) for gap in study.gaps] == [
        ("run000-0123abcd/tasks/ner/en_seed1", "damaged", False)
    ]
    assert study.gaps[0].reason.startswith(f"runs/run000-0123abcd/tasks/ner/en_seed1/task.json {reason}")


@pytest.mark.parametrize("label", ["s\nw", "s\x00w", "s\ud800w"])
def test_a_name_that_no_file_can_hold_is_damage(write_study: WriteStudy, label: str) -> None:
    folder = write_study(treatments=("none",), seeds=(1,), has_plan=False)
    path = folder / "runs" / "run001-0123abcd" / "record.json"
    values = json.loads(path.read_text(encoding="utf-8").replace('"sw"', json.dumps(label)))
    del values[SEAL]
    path.write_text(json.dumps(values), encoding="utf-8")
    study = read_study(folder)
    assert study.languages == ("en", "sw")
    assert [(gap.status, "control character" in gap.reason) for gap in study.gaps] == [("damaged", True)]


def test_what_labels_stand_for_is_in_the_studys_file(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none",), seeds=(1,))
    assert read_study(folder).known_languages == {}
    text = (
        "languages: {en: {code: null, subsample: null}, qaa: {code: fr}, less: {code: fr, subsample: 100}, bare: null}"
    )
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    known = read_study(folder).known_languages
    assert known == {
        "en": StudyLanguage("en"),
        "qaa": StudyLanguage("fr"),
        "less": StudyLanguage("fr", is_subsample=True),
        "bare": StudyLanguage("bare"),
    }
    assert wholes(known) == {"less": "qaa"}


@pytest.mark.parametrize("text", ["languages: [", "{}", "", "languages: {en: 5}"])
def test_a_damaged_study_file_is_named(write_study: WriteStudy, text: str) -> None:
    folder = write_study(treatments=("none",), seeds=(1,))
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=r"study\.yaml is damaged"):
        read_study(folder)
