"""Tasks from a study's file to its report, and of one model alone: everything once, nothing twice, one line for what is wrong."""

import csv
import gc
import io
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from detente import cli, watched_study
from detente.export import export_run
from detente.machine import num_cores
from detente.results import read_record, read_records, write_record
from detente.settings import study_from_mapping
from detente.study import run_study
from detente.study.task_jobs import with_constructed
from detente.task_results import TaskRecord, read_task_record, read_task_records
from detente.tasks.trainer import FineTuner

Run = Callable[..., tuple[int, str, str]]
WriteStudy = Callable[..., Path]
LANGUAGES = {
    "qaa": {"constructed": {"sentences": 700}},
    "qab": {"constructed": {"sentences": 700, "lexicon_seed": 2, "word_order": "sov"}},
}
FAST: dict[str, Any] = {"epochs": 2, "examples_per_epoch": 128, "batch_sizes": [32], "learning_rates": [1e-2]}
TASKS = {"ner": {**FAST, "sources": ["qaa"]}, "parts": {**FAST, "task": "pos", "sources": ["qaa"]}}
CHANGES: dict[str, Any] = {"languages": LANGUAGES, "treatments": ["none", "adapter"], "tasks": TASKS}
KNOWING = ("qaa_none_seed1", "qaa+qab_none_seed1", "qaa+qab_adapter_seed1")
"""Runs that know the source."""


@pytest.fixture(scope="module")
def write_study(tmp_path_factory: pytest.TempPathFactory, study_values: Callable[..., dict[str, Any]]) -> WriteStudy:
    """Writes the study, with changes, to a file."""

    def write(**changes: object) -> Path:
        path = tmp_path_factory.mktemp("file") / "study.yaml"
        path.write_text(yaml.safe_dump(study_values(**{**CHANGES, **changes}), sort_keys=False), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def study_yaml(write_study: WriteStudy) -> Path:
    return write_study()


@pytest.fixture(scope="module")
def joint_yaml(write_study: WriteStudy) -> Path:
    """Two runs, one task."""
    return write_study(mixtures=["joint"], tasks={"ner": TASKS["ner"]})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, study_values: Callable[..., dict[str, Any]]) -> Path:
    """The study's runs and its labelled data, without fine-tunings."""
    folder = tmp_path_factory.mktemp("trained")
    study = study_from_mapping(study_values(**CHANGES))
    assert all(outcome.record for outcome in run_study(study, folder))
    with_constructed(study, folder, "ner", study.tasks["ner"])
    return folder


@pytest.fixture(scope="module")
def finished(trained: Path, study_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's folder after `detente study`."""
    folder = tmp_path_factory.mktemp("finished") / "study"
    shutil.copytree(trained, folder)
    code, _, errors = command("study", study_yaml, "--folder", folder)
    assert (code, errors) == (0, "")
    return folder


def command(*arguments: str | Path) -> tuple[int, str, str]:
    """As the fixture `detente`, for a whole module, and without the figures of reports."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.setattr(sys, "argv", ["detente", *map(str, arguments)])
        patch.setattr("detente.report.figures.draw_all", lambda *_: [])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
    return int(leaving.value.code or 0), output.getvalue(), errors.getvalue()


def run_of(folder: Path, name: str) -> Path:
    return next(folder.glob(f"runs/{name}-*"))


def task_records(folder: Path) -> dict[str, TaskRecord]:
    """By run and task."""
    found = [record for run in sorted(folder.glob("runs/*")) for record in read_task_records(run)]
    return {f"{record.model} {record.task}": record for record in found}


def marks(folder: Path) -> dict[Path, int]:
    """When each file of the folder was written, but for the report and what says what was asked for."""
    own = {"tables", "figures", "report.html", "results.json", "study.yaml", "plan.json"}
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: path.stat().st_mtime_ns for path in files if path.relative_to(folder).parts[0] not in own}


def must_not_train(*_: object, **__: object) -> None:
    raise AssertionError("what was done is done again")


@pytest.mark.slow
def test_every_run_that_knows_the_source_is_fine_tuned(finished: Path) -> None:
    records = task_records(finished)
    assert set(records) == {f"{run} {task}" for run in KNOWING for task in TASKS}
    runs = {record.name: record for record in read_records(finished)}
    for name, record in records.items():
        run = runs[record.model]
        languages = run.mixture
        assert (record.mixture, record.system, record.run_seed) == (languages, run.system, run.seed)
        assert (record.kind, record.source, record.seed) == ("pos" if "parts" in name else "ner", "qaa", 1)
        assert {(score.language, score.setting) for score in record.scores} == {
            ("qaa", "within"),
            *(("qab", setting) for setting in ("zero-shot", "oracle") if "qab" in languages),
        }
        assert [(epoch.trial, epoch.epoch) for epoch in record.epochs] == [(1, 1), (1, 2)]
        assert record.examples["qaa"] == {"train": 2000, "validation": 250, "test": 500}
        assert record.examples.get("qab", {}).get("train", 0) == 0
        assert ({"O", "B-PER", "I-LOC"} if record.kind == "ner" else {"NOUN", "VERB", "PUNCT"}) < set(record.labels)
        assert (record.settings["examples_per_epoch"], record.settings["sources"]) == (128, ["qaa"])
        assert "data" not in record.settings, "folders do not matter"
        assert set(record.versions) >= {"torch", "transformers", "accelerate"}
        assert record.seconds > 0
        assert str(finished) not in record.model_dump_json()
    best = records["qaa_none_seed1 parts"]
    assert best.scores[0].value > 30, "something is learnt"


@pytest.mark.slow
def test_each_fine_tuning_keeps_predictions_and_the_chosen_checkpoints(finished: Path) -> None:
    folder = run_of(finished, "qaa+qab_adapter_seed1") / "tasks" / "ner" / "qaa_seed1"
    record = read_task_record(folder / "task.json")
    assert {score.predictions for score in record.scores} == {path.name for path in folder.glob("predictions-*")}
    chosen = {f"trial{score.trial}-epoch{score.epoch}" for score in record.scores}
    assert {path.name for path in (folder / "checkpoints").iterdir()} == chosen
    assert not (folder / "error.txt").exists()


@pytest.mark.slow
def test_the_report_has_a_table_for_each_task(finished: Path) -> None:
    records = task_records(finished)
    page = (finished / "report.html").read_text(encoding="utf-8")
    for task, title in (("ner", "Task ner"), ("parts", "Task parts (pos)")):
        assert f'<h3 id="task-{task}">{title}</h3>' in page
        with (finished / "tables" / f"task-{task}.csv").open(encoding="utf-8", newline="") as file:
            cells = {(row["mixture"], row["system"], row["column"]): row for row in csv.DictReader(file)}
        (within,) = (s for s in records[f"qaa+qab_adapter_seed1 {task}"].scores if s.setting == "within")
        assert float(cells["qaa+qab", "adapter", "within qaa"]["value"]) == within.value
        assert {column for mixture, system, column in cells if mixture == ""} == {"within qaa", "seeds"}
        assert ("qaa+qab", "untreated", "zero-shot from qaa qab") in cells
        for suffix in ("md", "tex"):
            assert (finished / "tables" / f"task-{task}.{suffix}").is_file()


@pytest.mark.slow
def test_asking_again_does_nothing(finished: Path, study_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, page = marks(finished), (finished / "report.html").read_bytes()
    monkeypatch.setattr("detente.tasks.finetune.FineTuning.run", must_not_train)
    monkeypatch.setattr("detente.study.fine_tune.write_task_record", must_not_train)
    code, output, errors = command("study", study_yaml, "--folder", finished)
    assert (code, errors) == (0, "")
    assert output.count("done") == 4 + 6
    assert marks(finished) == before
    assert (finished / "report.html").read_bytes() == page


@pytest.mark.slow
def test_a_new_seed_is_added_to_what_is_there(
    finished: Path, study_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, tmp_path / "study")
    for run in ("qaa_none_seed1", "qab_none_seed1", "qaa+qab_none_seed1"):
        shutil.rmtree(run_of(tmp_path / "study", run) / "tasks", ignore_errors=True)
    before = task_records(tmp_path / "study")
    small = ["--set", "mixtures=[mono]", "--set", "treatments=[none]", "--set", "tasks.ner.seeds=[1,2]"]
    code, output, _ = command("study", study_yaml, "--folder", tmp_path / "study", *small)
    assert code == 0
    records = [record for run in (tmp_path / "study").glob("runs/qaa_none*") for record in read_task_records(run)]
    assert sorted((record.task, record.seed) for record in records) == [("ner", 1), ("ner", 2), ("parts", 1)]
    assert task_records(tmp_path / "study") | before == task_records(tmp_path / "study")
    assert "qab_none" not in "".join(line for line in output.splitlines() if "ner" in line)


def scores_of(folder: Path, task: str) -> dict[str, Any]:
    """Of the runs of the joint mixture."""
    found = task_records(folder).items()
    return {name: r.scores for name, r in found if r.task == task and len(r.mixture) == 2}


@pytest.mark.slow
def test_processes_give_the_same_scores(finished: Path, trained: Path, joint_yaml: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "study")
    # As many workers as cores: each has one thread, as the reference had.
    engine = ("--engine", "processes", "--workers", str(num_cores()))
    arguments = ("study", joint_yaml, "--folder", tmp_path / "study", *engine)
    code, output, errors = command(*arguments)
    assert (code, errors) == (0, "")
    assert output.count(" ner qaa seed1") == 2
    assert scores_of(tmp_path / "study", "ner") == scores_of(finished, "ner")
    assert len(task_records(tmp_path / "study")) == 2


@pytest.mark.slow
def test_no_trainer_of_a_finished_job_stays_in_memory(trained: Path, joint_yaml: Path, tmp_path: Path) -> None:
    """A trainer and its model hold each other: without a collection workers grew by gigabytes."""
    shutil.copytree(trained, tmp_path / "study")
    gc.collect()
    gc.disable()
    try:
        assert command("study", joint_yaml, "--folder", tmp_path / "study")[0] == 0
        left = [each for each in gc.get_objects() if type(each) is FineTuner]
    finally:
        gc.enable()
    assert len(task_records(tmp_path / "study")) == 2
    assert left == []


@pytest.mark.slow
def test_one_that_fails_does_not_stop_the_rest(trained: Path, write_study: WriteStudy, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "study")
    tasks = {
        "ner": {**TASKS["ner"], "learning_rates": [1e30]},
        "parts": {**TASKS["parts"], "max_length": 99},
        "third": {**FAST, "task": "nli", "sources": ["qaa"], "epochs": 1},
    }
    file = write_study(mixtures=["joint"], tasks=tasks)
    code, output, errors = command("study", file, "--folder", tmp_path / "study")
    assert (code, errors) == (1, "")
    plain = " ".join(output.split())
    assert plain.count("So it was for the whole grid. Try lower `learning_rates`.") == 2
    assert plain.count("`max_length` is 99, but the model takes 16 tokens. Ask for less, or leave it out.") == 2
    assert {record.task for record in task_records(tmp_path / "study").values()} == {"third"}
    assert 'id="task-third"' in (tmp_path / "study" / "report.html").read_text(encoding="utf-8")
    assert list((tmp_path / "study").rglob("error.txt")) == [], "nobody's mistake but the user's"


@pytest.mark.slow
def test_finetune_of_a_run_is_the_studys_own(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Done already: the same languages, settings and files."""
    run = run_of(finished, "qaa+qab_adapter_seed1")
    monkeypatch.setattr("detente.tasks.finetune.FineTuning.run", must_not_train)
    code, output, errors = command("finetune", run, "--task", "ner", "--train", "qaa")
    assert (code, errors) == (0, "")
    assert "qaa+qab_adapter_seed1: ner, percent" in output
    for words in ("within", "zero-shot", "oracle", "rate 0.01, batches of 32, epoch"):
        assert words in output


@pytest.mark.slow
def test_finetune_with_other_wishes_leaves_the_studys_alone(finished: Path) -> None:
    run, before = run_of(finished, "qaa+qab_adapter_seed1"), marks(finished)
    arguments = ["finetune", run, "--task", "ner", "--train", "qaa", "--test", "qab", "--set", "tasks.ner.epochs=1"]
    code, output, errors = command(*arguments)
    assert (code, errors) == (0, "")
    after = marks(finished)
    new = {path.relative_to(run).parts[:3] for path in after if path not in before}
    assert new == {("finetuned", "ner", "qaa_seed1")}
    assert all(after[path] == before[path] for path in before)
    record = read_task_record(run / "finetuned" / "ner" / "qaa_seed1" / "task.json")
    assert [epoch.epoch for epoch in record.epochs] == [1]
    assert {score.language for score in record.scores} == {"qaa", "qab"}
    assert "qaa+qab_adapter_seed1, ner, qaa: 1 of 1" in output


@pytest.mark.slow
def test_finetune_of_an_exported_model(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone's model, by a file of tasks; the same model as a run gives the same scores."""
    monkeypatch.chdir(tmp_path)
    run = run_of(finished, "qaa+qab_adapter_seed1")
    export_run(run, tmp_path / "exported")
    (files,) = (finished / "data" / "tasks").glob("qaa-*")
    (other,) = (finished / "data" / "tasks").glob("qab-*")
    data = {
        label: {split: str(folder / "ner" / f"{split}-{label}.tsv") for split in splits}
        for label, folder, splits in (
            ("qaa", files, ("train", "validation", "test")),
            ("qab", other, ("validation", "test")),
        )
    }
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump({"tasks": {"ner": {**FAST, "data": data}}}), encoding="utf-8")
    code, _, errors = command("finetune", tmp_path / "exported", "--task", "ner", "--data", "tasks.yaml")
    assert (code, errors) == (0, "")
    record = read_task_record(tmp_path / "finetuned" / "exported" / "ner" / "qaa_seed1" / "task.json")
    assert (record.model, record.mixture, record.run_seed) == ("exported", (), None)
    expected = task_records(finished)["qaa+qab_adapter_seed1 ner"].scores
    assert [(s.language, s.setting, s.value) for s in record.scores] == [
        (s.language, s.setting, s.value) for s in expected
    ]


@pytest.mark.slow
def test_an_interrupted_study_goes_on_with_its_tasks(
    finished: Path, trained: Path, joint_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained, tmp_path / "study")
    step, steps, updates = FineTuner.training_step, 0, 2 * 4

    def stop_in_the_second(*values: Any, **named: Any) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == updates + 3:
            raise KeyboardInterrupt
        return step(*values, **named)

    monkeypatch.setattr(FineTuner, "training_step", stop_in_the_second)
    code, _, errors = command("study", joint_yaml, "--folder", tmp_path / "study")
    assert (code, len(errors.splitlines())) == (130, 1)
    assert "the same command goes on from there" in errors
    assert len(task_records(tmp_path / "study")) == 1
    assert command("study", joint_yaml, "--folder", tmp_path / "study")[0] == 0
    assert steps == updates + 3 + updates
    assert scores_of(tmp_path / "study", "ner") == scores_of(finished, "ner")


def test_under_torchrun_tasks_wait(
    study_values: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The Trainer would take each process for a part of one fine-tuning."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setattr(watched_study, "fine_tune_study", must_not_train)
    study = study_from_mapping(study_values(**CHANGES))
    assert watched_study._do_tasks(cli.console, study, tmp_path, "local", None) == []
    assert "call `detente study` again without torchrun" in capsys.readouterr().out


class TestMistakes:
    """Exit code 2, and one line that says what to do."""

    def refused(self, detente: Run, *arguments: str | Path) -> str:
        code, _, errors = detente(*arguments)
        assert code == 2
        (line,) = errors.splitlines()
        assert line.startswith("detente: ")
        return line

    def test_no_such_task(self, detente: Run, trained: Path) -> None:
        run = run_of(trained, "qaa_none_seed1")
        line = self.refused(detente, "finetune", run, "--task", "nre")
        assert "--task nre: there is none of that name. Did you mean `ner`? Known: ner, parts." in line

    def test_a_language_without_files(self, detente: Run, trained: Path) -> None:
        run = run_of(trained, "qaa_none_seed1")
        line = self.refused(detente, "finetune", run, "--task", "ner", "--train", "sw")
        assert "`tasks.ner.data` has no files of sw. It has qaa, qab." in line

    def test_a_run_that_does_not_know_the_language(self, detente: Run, trained: Path) -> None:
        run = run_of(trained, "qab_none_seed1")
        line = self.refused(detente, "finetune", run, "--task", "ner", "--train", "qaa")
        assert "there are training files of qaa, qab, but qab_none_seed1 was trained on qab." in line

    def test_a_run_that_is_not_finished(self, detente: Run, trained: Path, tmp_path: Path) -> None:
        run = Path(shutil.copytree(run_of(trained, "qaa_none_seed1"), tmp_path / "runs" / "run"))
        write_record(run, read_record(run).model_copy(update={"status": "interrupted"}))
        line = self.refused(detente, "finetune", run, "--task", "ner")
        assert "has not finished (interrupted). Run its study again first." in line

    def tasks_file(self, folder: Path, content: str = "fox\tO\n\ndog\tO\n\n", **task: Any) -> Path:
        (folder / "train.tsv").write_text("The\tO\nfox\tB-PER\n\nOver\tO\n\nA\tO\ndog\tB-PER\n\n", encoding="utf-8")
        (folder / "test.tsv").write_text(content, encoding="utf-8")
        values = {"ner": {**FAST, "data": {"qaa": {"train": "train.tsv", "test": "test.tsv"}}, **task}}
        (folder / "tasks.yaml").write_text(yaml.safe_dump({"tasks": values}), encoding="utf-8")
        return folder / "tasks.yaml"

    def test_a_model_without_a_file_of_tasks(self, detente: Run, tmp_path: Path) -> None:
        line = self.refused(detente, "finetune", tmp_path, "--task", "ner")
        assert "--data: give a YAML file with `tasks`, which names the labelled files." in line

    def test_a_model_folder_that_does_not_load(
        self, detente: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        file = self.tasks_file(tmp_path)
        (tmp_path / "model").mkdir()
        line = self.refused(detente, "finetune", tmp_path / "model", "--task", "ner", "--data", file)
        assert f"{tmp_path / 'model'} could not be loaded: " in line
        line = self.refused(detente, "finetune", tmp_path / "nothing", "--task", "ner", "--data", file)
        assert "there is no such folder here, so it was looked for on the hub" in line

    def test_an_unlabelled_file(self, detente: Run, trained: Path, tmp_path: Path) -> None:
        file = self.tasks_file(tmp_path, "fox\ndog\n\n")
        run = run_of(trained, "qaa_none_seed1")
        arguments = ("finetune", run, "--task", "ner", "--data", file, "--folder", tmp_path / "out")
        assert "test.tsv" in self.refused(detente, *arguments)

    def test_a_file_that_is_not_there(self, detente: Run, trained: Path, tmp_path: Path) -> None:
        file = self.tasks_file(tmp_path)
        (tmp_path / "test.tsv").unlink()
        run = run_of(trained, "qaa_none_seed1")
        arguments = ("finetune", run, "--task", "ner", "--data", file, "--folder", tmp_path / "out")
        assert "test.tsv" in self.refused(detente, *arguments)

    def test_a_folder_of_something_else(self, detente: Run, trained: Path, tmp_path: Path) -> None:
        file = self.tasks_file(tmp_path)
        mine = tmp_path / "out" / "ner" / "qaa_seed1"
        mine.mkdir(parents=True)
        (mine / "thesis.tex").write_text("", encoding="utf-8")
        run = run_of(trained, "qaa_none_seed1")
        arguments = ("finetune", run, "--task", "ner", "--data", file, "--folder", tmp_path / "out")
        assert "holds something else than a fine-tuning" in self.refused(detente, *arguments)
        assert (mine / "thesis.tex").exists()

    def test_settings_of_the_study_file(self, detente: Run, study_file: Callable[..., Path]) -> None:
        file = study_file(**{**CHANGES, "tasks": {"ner": {"data": {"qac": {"test": "x"}}}}})
        assert "`qac` is not among `languages`. Did you mean `qab`?" in self.refused(detente, "study", file)

    def test_a_missing_option(self, detente: Run) -> None:
        code, _, errors = detente("finetune", "model")
        assert code == 2
        assert "--task" in errors
