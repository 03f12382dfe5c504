"""A study from text to report: everything once, nothing twice, and the same numbers however it is run."""

import csv
import json
from pathlib import Path

import pytest
import torch

from detente.errors import ConfigError, TrainingError
from detente.pretrain.checkpoint import WEIGHTS, newest_checkpoint
from detente.report import write_report
from detente.results import read_metrics, read_record, read_records
from detente.settings import StudySettings, study_from_mapping
from detente.study import execute, run_study
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
    assert all(line["second_order_norm"] > 0 for line in lines if line["kind"] == "train")


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
    outcomes = run_study(study_from_mapping(study_values(mixtures=["mono"], seeds=[1, 3])), finished)
    assert [outcome.run.name for outcome in outcomes] == [
        f"{label}_none_seed{s}" for s in (1, 3) for label in ("te", "en")
    ]
    assert len(read_records(finished)) == 2 * (2 + len(TREATMENTS)) + 2


def test_processes_give_the_same_bits(finished: Path, study: StudySettings, tmp_path: Path) -> None:
    outcomes = run_study(study, tmp_path, engine="processes", workers=2)
    assert len(outcomes) == 4
    for outcome in outcomes:
        name = outcome.run.name
        assert weights(run_folder(tmp_path, name)) == weights(run_folder(finished, name))


def test_mono_and_joint_see_the_same_batches_of_a_language(finished: Path) -> None:
    """Before the first update, the k-th batch of a language gives the same loss under every treatment of a seed."""
    first = {
        name: next(iter(read_metrics(run_folder(finished, name))))
        for name in ("te+en_none_seed1", "te+en_adapter_seed1", "te+en_ffn_seed1")
    }
    assert len({json.dumps(line["loss"]) for line in first.values()}) == 1


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


def test_other_settings_do_not_fit_a_studys_folder(study_values, finished: Path) -> None:
    other = study_from_mapping(study_values(encoder={**study_values()["encoder"], "width": 32}))
    with pytest.raises(ConfigError, match=r"holds a study with other settings \(encoder\)\. Choose another `folder`"):
        run_study(other, finished)


def test_a_failed_run_is_recorded_and_the_study_goes_on(
    study: StudySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = execute.pretrain

    def fail_one(settings, *rest, **named):
        if settings.treatment == "none" and len(settings.mixture) == 2:
            raise TrainingError("step 3: the loss of te is not finite (nan).")
        return original(settings, *rest, **named)

    monkeypatch.setattr(execute, "pretrain", fail_one)
    outcomes = run_study(study, tmp_path)
    assert [outcome.record is None for outcome in outcomes] == [False, False, True, False]
    record = read_record(run_folder(tmp_path, "te+en_none_seed1"))
    assert (record.status, record.error) == ("failed", "step 3: the loss of te is not finite (nan).")
    assert "not finite" in write_report(tmp_path).read_text(encoding="utf-8")
    monkeypatch.undo()
    assert all(outcome.record for outcome in run_study(study, tmp_path)), "a failed run is tried again"


def test_a_loss_that_explodes_names_step_and_language(study: StudySettings, tmp_path: Path, monkeypatch) -> None:
    def explode(*_: object, **__: object) -> torch.Tensor:
        return torch.tensor(float("nan"), requires_grad=True)

    monkeypatch.setattr("detente.pretrain.plain.masked_lm_loss", explode)
    outcomes = run_study(study, tmp_path, only="te_none_seed1")
    assert "step 0: the loss of te is not finite (nan). The last checkpoint is intact." in (outcomes[0].error or "")


def test_pretraining_does_not_learn_the_test_split(finished: Path) -> None:
    """The splits of a language share no record."""
    corpus = finished / "data" / "corpus" / "te"
    splits = [
        set((corpus / f"{name}.txt").read_text(encoding="utf-8").splitlines()) for name in ("train", "meta", "test")
    ]
    assert all(splits)
    assert splits[0].isdisjoint(splits[1] | splits[2])
    assert splits[1].isdisjoint(splits[2])
