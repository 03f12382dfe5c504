"""A study from text to report: everything once, nothing twice, and the same numbers however it is run."""

import csv
import os
import signal
from pathlib import Path

import pytest
import torch

from detente.corpus import SPLITS
from detente.errors import ConfigError, DataError, Interrupted, TrainingError
from detente.lock import locked
from detente.machine import num_cores
from detente.pretrain import pretrain
from detente.pretrain.checkpoint import WEIGHTS, newest_checkpoint
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.plain import PlainStep
from detente.report import write_report
from detente.results import RunRecord, read_metrics, read_record, read_records, write_record
from detente.settings import StudySettings, study_from_mapping
from detente.study import plan_runs, run_study
from detente.treatment import TREATMENTS


def weights(run: Path) -> bytes:
    return (newest_checkpoint(run / "checkpoints") / WEIGHTS).read_bytes()


def run_folder(study_folder: Path, name: str) -> Path:
    (folder,) = study_folder.glob(f"runs/{name}-*")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, study_values) -> Path:
    """A study with every treatment, run."""
    folder = tmp_path_factory.mktemp("study")
    run_study(study_from_mapping(study_values(treatments=list(TREATMENTS), seeds=[1, 2])), folder)
    return folder


def test_every_run_has_a_good_record(finished: Path) -> None:
    records = read_records(finished)
    assert len(records) == 2 * (2 + len(TREATMENTS))
    for record in records:
        assert record.status == "success"
        assert record.steps == 16
        assert record.tokens == 16 * 4 * 16
        assert set(record.languages) == set(record.mixture)
        for result in record.languages.values():
            assert 0 < result.test.bits_per_character < 10
            assert result.baseline.bigram < result.baseline.unigram


def test_metrics_have_a_line_a_step_and_the_curves(finished: Path) -> None:
    lines = list(read_metrics(run_folder(finished, "te+en_meta-adapter_seed1")))
    assert [line["step"] for line in lines if line["kind"] == "train"] == list(range(1, 17))
    assert [line["step"] for line in lines if line["kind"] == "validation"] == [5, 10, 15, 16]
    # `measure_every` is 50: the first step only.
    assert [line["step"] for line in lines if line.get("second_order_norm", 0) > 0] == [1]


def test_the_report_has_all_systems(finished: Path) -> None:
    page = write_report(finished).read_text(encoding="utf-8")
    for treatment in TREATMENTS:
        assert treatment in page
    with (finished / "tables" / "summary.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) > 2 * len(TREATMENTS)


def test_asking_again_does_nothing(study_values, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/record.json")}

    def must_not_train(*_: object, **__: object) -> None:
        raise AssertionError("a finished run was trained again")

    monkeypatch.setattr("detente.pretrain.run.train", must_not_train)
    outcomes = run_study(study_from_mapping(study_values(treatments=list(TREATMENTS), seeds=[1, 2])), finished)
    assert all(outcome.record and outcome.record.status == "success" for outcome in outcomes)
    assert before == {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/record.json")}


def test_another_seed_is_added_to_what_is_there(study_values, finished: Path) -> None:
    outcomes = run_study(
        study_from_mapping(study_values(mixtures=["mono"], treatments=["none"], seeds=[1, 3])), finished
    )
    assert [outcome.run.name for outcome in outcomes] == [
        f"{label}_none_seed{s}" for s in (1, 3) for label in ("te", "en")
    ]
    assert len(read_records(finished)) == 2 * (2 + len(TREATMENTS)) + 2


def test_processes_give_the_same_bits(finished: Path, study: StudySettings, tmp_path: Path) -> None:
    # As many workers as cores: each has one thread, as the reference had.
    outcomes = run_study(study, tmp_path, engine="processes", workers=num_cores())
    assert len(outcomes) == 4
    for outcome in outcomes:
        name = outcome.run.name
        assert weights(run_folder(tmp_path, name)) == weights(run_folder(finished, name))


def test_mono_and_joint_see_the_same_batches_of_a_language(finished: Path) -> None:
    """Before the first update, a language's first batch gives the same loss in every mixture and under every treatment."""
    first = {
        name: next(iter(read_metrics(run_folder(finished, name))))["loss"]
        for name in ("te_none_seed1", "en_none_seed1", "te+en_none_seed1", "te+en_adapter_seed1", "te+en_ffn_seed1")
    }
    (drawn,) = first["te+en_none_seed1"]
    alone = first[f"{drawn}_none_seed1"]
    assert all(first[name] == alone for name in first if name.startswith("te+en"))


def test_equal_examples_budget(study_values, tmp_path: Path) -> None:
    study = study_from_mapping(study_values(budget="examples", treatments=["none"]))
    run_study(study, tmp_path)
    blocks = {r.name: {label: x.blocks_seen for label, x in r.languages.items()} for r in read_records(tmp_path)}
    assert blocks == {
        "te_none_seed1": {"te": 64},
        "en_none_seed1": {"en": 64},
        "te+en_none_seed1": {"te": 64, "en": 64},
    }


def test_a_vocabulary_for_each_mixture(study_values, tmp_path: Path) -> None:
    study = study_from_mapping(study_values(vocabulary={"size": 400, "scope": "run"}, treatments=["none"]))
    run_study(study, tmp_path)
    assert len({record.vocabulary for record in read_records(tmp_path)}) == 3


def test_how_often_is_saved_may_change(study_values, finished: Path) -> None:
    training = {**study_values()["training"], "checkpoint_every": 3, "keep_checkpoints": 1}
    assert all(outcome.record for outcome in run_study(study_from_mapping(study_values(training=training)), finished))


def test_settings_may_change_while_there_are_no_runs(study_values, tmp_path: Path) -> None:
    """A study that could not be prepared says what to set; setting it must then be possible."""
    with pytest.raises(ConfigError, match=r"vocabulary\.size"):
        run_study(study_from_mapping(study_values(vocabulary={"size": 100_000})), tmp_path)
    outcomes = run_study(
        study_from_mapping(study_values(mixtures=["mono"], treatments=["none"])), tmp_path, only="te_none_seed1"
    )
    assert outcomes[0].record


def test_a_language_that_is_never_drawn_is_refused(study_values, tmp_path: Path) -> None:
    training = {**study_values()["training"], "steps": 1, "warmup_steps": 0}
    study = study_from_mapping(study_values(training=training, mixtures=["joint"], treatments=["none"]))
    (outcome,) = run_study(study, tmp_path)
    assert "is never drawn in the 1 steps of te+en_none_seed1. Raise `training.steps`" in (outcome.error or "")
    assert read_record(run_folder(tmp_path, "te+en_none_seed1")).status == "failed"


def test_a_run_in_use_says_by_whom(study: StudySettings, finished: Path, tmp_path: Path) -> None:
    run = plan_runs(study)[0]
    with locked(tmp_path), pytest.raises(DataError, match=r"is in use by process \d+ on .* since 20\d\d-"):
        pretrain(run.settings, finished / "data" / "shared", tmp_path)


def test_a_signal_in_the_last_step_ends_the_study_after_the_run(
    study: StudySettings, finished: Path, tmp_path: Path
) -> None:
    def ask(done: int, total: int, _: object) -> None:
        if done == total:
            os.kill(os.getpid(), signal.SIGTERM)

    run = plan_runs(study)[0]
    with pytest.raises(Interrupted):
        pretrain(run.settings, finished / "data" / "shared", tmp_path, progress=ask)
    assert read_record(tmp_path).status == "success"


def test_a_second_signal_does_not_end_a_run_before_its_record(
    study: StudySettings, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C reaches all processes of a study, and then the parent tells its workers to end."""

    def ask(done: int, total: int, _: object) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    def write_late(folder: Path, record: RunRecord) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        write_record(folder, record)

    monkeypatch.setattr("detente.pretrain.run.write_record", write_late)
    deadly = list[int]()
    before = signal.signal(signal.SIGTERM, lambda number, _: deadly.append(number))
    try:
        with pytest.raises(Interrupted):
            pretrain(plan_runs(study)[0].settings, finished / "data" / "shared", tmp_path, progress=ask)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert deadly == []
    assert read_record(tmp_path).status == "interrupted"


def test_other_settings_do_not_fit_a_studys_folder(study_values, finished: Path) -> None:
    other = study_from_mapping(study_values(encoder={**study_values()["encoder"], "width": 32}))
    with pytest.raises(ConfigError, match=r"holds runs of a study with other settings \(encoder\)\. Choose another"):
        run_study(other, finished)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TrainingError("step 7: the loss of te is not finite (nan)."),) * 2,
        (MemoryError("no memory"), "MemoryError: no memory"),
    ],
    ids=["expected", "unexpected"],
)
def test_a_failed_run_is_recorded_and_the_study_goes_on(
    error: Exception, text: object, study_values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, text = study_from_mapping(study_values(mixtures=[["en"], "joint"])), str(text)
    original = PlainStep.__call__

    def fail_one(step: PlainStep, number: int):
        if len(step.treated.languages) == 2 and number == 7:
            raise error
        return original(step, number)

    monkeypatch.setattr(PlainStep, "__call__", fail_one)
    monkeypatch.setattr("detente.report.figures.draw_all", lambda *_: [])
    outcomes = run_study(study, tmp_path)
    assert [outcome.record is None for outcome in outcomes] == [False, True, False]
    assert outcomes[1].error == text
    record = read_record(run_folder(tmp_path, "te+en_none_seed1"))
    assert (record.status, record.error, record.steps) == ("failed", text, 7)
    has_traceback = (run_folder(tmp_path, "te+en_none_seed1") / "error.txt").exists()
    assert has_traceback == isinstance(error, MemoryError)
    assert text in write_report(tmp_path).read_text(encoding="utf-8")
    monkeypatch.undo()
    assert all(outcome.record for outcome in run_study(study, tmp_path)), "a failed run is tried again"


def test_a_loss_that_explodes_names_step_and_language(study: StudySettings, tmp_path: Path, monkeypatch) -> None:
    def explode(*arguments: object, **more: object) -> torch.Tensor:
        return masked_lm_loss(*arguments, **more) * float("nan")

    monkeypatch.setattr("detente.pretrain.plain.masked_lm_loss", explode)
    outcomes = run_study(study, tmp_path, only="te_none_seed1")
    assert "step 0: the loss of te is not finite (nan). The last checkpoint is intact." in (outcomes[0].error or "")


def test_an_update_that_may_be_left_out_is_counted_when_the_run_goes_on(
    study_values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_from_mapping(study_values(training={**study_values()["training"], "skip_nonfinite": 1}))
    original = PlainStep.__call__
    broken = {"left out": 3, "dead": 12}

    def explode(*arguments: object, **more: object) -> torch.Tensor:
        return masked_lm_loss(*arguments, **more) * float("nan")

    def step(self: PlainStep, number: int):
        if number == broken["dead"]:
            raise MemoryError("no memory")
        with monkeypatch.context() as patched:
            if number == broken["left out"]:
                patched.setattr("detente.pretrain.plain.masked_lm_loss", explode)
            return original(self, number)

    monkeypatch.setattr(PlainStep, "__call__", step)
    with pytest.warns(UserWarning, match="step 3: the loss of te is not finite"):
        run_study(study, tmp_path, only="te_none_seed1")
    broken["dead"] = -1
    (outcome,) = run_study(study, tmp_path, only="te_none_seed1")
    assert outcome.record is not None
    assert (outcome.record.sittings, outcome.record.left_out, outcome.record.steps) == (2, 1, 16)
    lines = list(read_metrics(run_folder(tmp_path, "te_none_seed1")))
    assert [line["step"] for line in lines if "left_out" in line] == [4]


def test_splits_share_no_record(finished: Path) -> None:
    corpus = finished / "data" / "corpus" / "te"
    splits = [set((corpus / f"{name}.txt").read_text(encoding="utf-8").splitlines()) for name in SPLITS]
    assert all(splits)
    assert len(set().union(*splits)) == sum(map(len, splits))
