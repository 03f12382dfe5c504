"""Which fine-tunings a run or a model is asked for, and what is refused before anything is loaded."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from detente.corpus.constructed.tasks import write_tasks
from detente.errors import ConfigError, DataError, RecordError
from detente.results import RunRecord, write_record
from detente.settings import study_from_mapping
from detente.settings.tasks import TaskFiles, TaskSettings
from detente.study import task_jobs
from detente.study.fine_tune import _files, _fingerprint, _forget_other, _read
from detente.study.task_jobs import Target, asked_jobs, jobs_of, of_checkpoint, of_run, sources_of, with_constructed
from detente.tasks.read import read_examples

MakeRun = Callable[..., Path]
TRAINED, TESTED = TaskFiles(train=("t",), test=("e",)), TaskFiles(test=("e",))
SETTINGS = TaskSettings(data={"en": TRAINED, "sw": TRAINED, "te": TESTED}, seeds=(1, 2))
OUTSIDE, JOINT, MONO = Target("xlm", "xlm", "x"), Target("r", "r", "x", ("en", "sw")), Target("m", "m", "x", ("te",))
LANGUAGES = {label: {"constructed": {"sentences": 100, "lexicon_seed": n}} for n, label in enumerate(("qaa", "qab"))}


def test_sources_are_languages_with_training_files_that_the_model_knows() -> None:
    assert sources_of(OUTSIDE, SETTINGS) == ["en", "sw"]
    assert sources_of(JOINT, SETTINGS) == ["en", "sw"]
    assert sources_of(MONO, SETTINGS) == []
    assert sources_of(OUTSIDE, SETTINGS.model_copy(update={"sources": ("sw",)})) == ["sw"]
    assert sources_of(OUTSIDE, SETTINGS.model_copy(update={"sources": ("sw",)}), ["en", "te"]) == ["en"]


def test_a_job_for_each_source_and_seed() -> None:
    jobs = jobs_of(JOINT, "wikiann", SETTINGS.model_copy(update={"task": "ner"}), Path("goal"), device="cpu")
    assert [(job.source, job.seed, str(job.folder)) for job in jobs] == [
        (source, seed, f"goal/wikiann/{source}_seed{seed}") for source in ("en", "sw") for seed in (1, 2)
    ]
    assert {(job.kind, job.task, job.device) for job in jobs} == {("ner", "wikiann", "cpu")}
    assert set(jobs[0].settings.data) == {"en", "sw"}, "languages that the model does not know are not tested"
    assert set(jobs_of(OUTSIDE, "ner", SETTINGS, Path("goal"))[0].settings.data) == {"en", "sw", "te"}
    assert jobs[1].name == "r wikiann en seed2"


def test_no_source_that_the_model_knows() -> None:
    with pytest.raises(
        ConfigError, match=r"^`tasks.ner`: there are training files of en, sw, but m was trained on te\.$"
    ):
        jobs_of(MONO, "ner", SETTINGS, Path("goal"))
    with pytest.raises(ConfigError, match=r"^`tasks.ner`: no language has `train` files\.$"):
        jobs_of(OUTSIDE, "ner", TaskSettings(data={"te": TESTED}), Path("goal"))


@pytest.fixture(name="finished_run", scope="module")
def _finished_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes up a run in the folder of a study whose labelled data has been written."""
    written = tmp_path_factory.mktemp("written")
    study = study_from_mapping({"preset": "tiny", "languages": LANGUAGES, "tasks": {"ner": {}}})
    with_constructed(study, written, "ner", study.tasks["ner"])

    def make(folder: Path, status: str = "success", **changes: Any) -> Path:
        shutil.copytree(written, folder, dirs_exist_ok=True)
        return make_up_run(folder, status, changes)

    return make


def make_up_run(study_folder: Path, status: str, changes: dict[str, Any]) -> Path:
    values = {"preset": "tiny", "languages": LANGUAGES, "tasks": {"ner": {}, "parts": {"task": "pos"}}, **changes}
    study = study_from_mapping(values)
    run = study_folder / "runs" / "qaa+qab_none_seed3-0123abcd"
    run.mkdir(parents=True)
    (study_folder / "study.yaml").write_text(yaml.safe_dump(study.model_dump(mode="json")), encoding="utf-8")
    (run / "settings.yaml").write_text("{}", encoding="utf-8")
    record: dict[str, Any] = {"name": "qaa+qab_none_seed3", "fingerprint": "f" * 64, "status": status, "steps": 5}
    record |= {
        "mixture": ("qaa", "qab"),
        "treatment": "none",
        "seed": 3,
        "settings": {},
        "vocabulary": "",
        "finished": "",
    }
    write_record(run, RunRecord.model_validate(record))
    return run


@pytest.mark.parametrize("changes", [{}, {"budget": "examples", "preset": "mini"}])
def test_a_runs_tasks_are_those_of_its_study(finished_run: MakeRun, tmp_path: Path, changes: dict[str, Any]) -> None:
    run = finished_run(tmp_path, **changes)
    jobs = asked_jobs(str(run), "parts")
    assert [(job.kind, job.source, job.folder) for job in jobs] == [
        ("pos", label, run / "tasks" / "parts" / f"{label}_seed1") for label in ("qaa", "qab")
    ]
    target = jobs[0].target
    assert (target.name, target.mixture, target.system, target.seed) == (
        "qaa+qab_none_seed3",
        ("qaa", "qab"),
        "none",
        3,
    )
    for files in jobs[0].settings.data.values():
        assert all(Path(path).is_file() for _, paths in files for path in paths)


@pytest.mark.parametrize("options", [{"overrides": ["tasks.ner.epochs=1"]}, {"test": ["qab"]}, {"file": True}])
def test_what_the_study_does_not_ask_for_so_stands_elsewhere(
    finished_run: MakeRun, tmp_path: Path, options: dict[str, Any]
) -> None:
    """Or it would take the place of the study's own, and the report would show it."""
    run = finished_run(tmp_path)
    if "file" in options:
        options = {"file": tmp_path / "study.yaml"}
        text = "tasks: {ner: {data: {qaa: {train: a, test: b}}}}"
        (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    (job,) = asked_jobs(str(run), "ner", train=["qaa"], **options)
    assert job.folder == run / "finetuned" / "ner" / "qaa_seed1"
    (job,) = asked_jobs(str(run), "ner", train=["qaa"], folder=tmp_path / "here", **options)
    assert job.folder == tmp_path / "here" / "ner" / "qaa_seed1"


def test_train_and_test_limit_the_languages(finished_run: MakeRun, tmp_path: Path) -> None:
    run = str(finished_run(tmp_path))
    (job,) = asked_jobs(run, "ner", train=["qaa"])
    assert (job.source, list(job.settings.data)) == ("qaa", ["qaa", "qab"])
    (job,) = asked_jobs(run, "ner", train=["qab"], test=["qab"])
    assert (job.source, list(job.settings.data)) == ("qab", ["qab"])


def test_a_task_or_a_language_that_there_is_not(finished_run: MakeRun, tmp_path: Path) -> None:
    run = str(finished_run(tmp_path))
    with pytest.raises(
        ConfigError, match=r"^--task nre: there is none of that name\. Did you mean `ner`\? Known: ner, parts\."
    ):
        asked_jobs(run, "nre")
    expected = r"^`tasks.ner.data` has no files of qac\. Did you mean `qab`\? It has qaa, qab\."
    with pytest.raises(ConfigError, match=expected):
        asked_jobs(run, "ner", train=["qac"])
    with pytest.raises(ConfigError, match=expected):
        asked_jobs(run, "ner", test=["qac"])


def test_a_run_that_has_not_finished(finished_run: MakeRun, tmp_path: Path) -> None:
    run = finished_run(tmp_path, "interrupted")
    with pytest.raises(RecordError, match=r"has not finished \(interrupted\)\. Run its study again first\."):
        asked_jobs(str(run), "ner")
    (run / "record.json").unlink()
    with pytest.raises(RecordError, match=r"the run has not ended yet, or this is no run"):
        of_run(run)


def test_another_model_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--data: give a YAML file with `tasks`"):
        asked_jobs("xlm-roberta-base", "ner")
    file = tmp_path / "tasks.yaml"
    file.write_text("tasks: {ner: {data: {en: {train: a, test: b}, sw: {test: c}}}}", encoding="utf-8")
    (job,) = asked_jobs("org/model", "ner", file=file)
    assert job.folder == Path("finetuned/org--model/ner/en_seed1")
    assert job.settings.data["sw"].test == (str(tmp_path / "c"),)


def test_a_checkpoint_is_told_by_its_content(tmp_path: Path) -> None:
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        (tmp_path / name / "README.md").write_text(name, encoding="utf-8")
    a, b, c = (of_checkpoint(str(tmp_path / name)) for name in "abc")
    assert a.mark == b.mark != c.mark
    assert (a.name, a.mixture, of_checkpoint("org/model").mark) == ("a", (), "org/model")


def test_constructed_languages_bring_their_own_files(finished_run: MakeRun, tmp_path: Path) -> None:
    finished_run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("data/tasks/**/*")}
    study = study_from_mapping({"preset": "tiny", "languages": LANGUAGES})
    given = TaskSettings(data={"qab": TRAINED})
    filled = with_constructed(study, tmp_path, "pos", given)
    assert filled.data["qab"] == TRAINED
    (path,) = filled.data["qaa"].train
    assert Path(path).relative_to(tmp_path / "data" / "tasks").parts[1:] == ("pos", "train-qaa.conllu")
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("data/tasks/**/*")}, "written once"
    reads = {split: len(read_examples("pos", paths).examples) for split, paths in filled.data["qaa"]}
    assert reads == {"train": 2000, "validation": 250, "test": 500}


def test_constructed_languages_of_other_settings_write_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_jobs, "write_tasks", partial(write_tasks, train=3, validation=1, test=1))
    found = []
    for seed in (0, 9):
        languages = {"qaa": {"constructed": {"sentences": 100, "lexicon_seed": seed}}}
        study = study_from_mapping({"preset": "tiny", "languages": languages, "mixtures": ["mono"]})
        found.append(with_constructed(study, tmp_path, "ner", TaskSettings()).data["qaa"].train[0])
    texts = [Path(path).read_text(encoding="utf-8") for path in found]
    assert texts[0] != texts[1]


def test_the_fingerprint_is_of_what_decides_the_result(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("x", encoding="utf-8")

    def mark(path: str = "a", source: str = "en", seed: int = 0, **settings: Any) -> str:
        data = {"en": TaskFiles(train=(str(tmp_path / path),)), "sw": TaskFiles(train=(str(tmp_path / "a"),))}
        task = TaskSettings(data=data, seeds=(1, 2), **settings)
        return _fingerprint(jobs_of(OUTSIDE, "ner", task, tmp_path, sources=[source])[seed])

    assert mark() == mark("b"), "files count by what is in them"
    assert mark() == mark(sources=("en",))
    assert len({mark(), mark(source="sw"), mark(seed=1), mark(epochs=3), mark(tags={"A": "B"})}) == 5
    before = mark()
    (tmp_path / "a").write_text("y", encoding="utf-8")
    assert mark() != before


def test_files_are_read_once_for_many_models_unless_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[str]()
    monkeypatch.setattr("detente.tasks.data.read_task", lambda kind, settings, *, source: read.append(source))
    _read.cache_clear()
    (tmp_path / "a").write_text("x", encoding="utf-8")
    for text in ("x", "y"):
        (tmp_path / "b").write_text(text, encoding="utf-8")
        data = {"en": TaskFiles(train=(str(tmp_path / "a"),), test=(str(tmp_path / "b"),))}
        for model in (OUTSIDE, JOINT):
            (job,) = jobs_of(model, "ner", TaskSettings(data=data), tmp_path)
            _read(job.kind, job.settings.model_dump_json(), job.source, str(_files(job)))
    _read.cache_clear()
    assert len(read) == 2


def test_only_folders_of_fine_tuning_are_emptied(tmp_path: Path) -> None:
    _forget_other(tmp_path / "new", "a")
    (tmp_path / "new" / "trials.jsonl").write_text("", encoding="utf-8")
    _forget_other(tmp_path / "new", "a")
    assert (tmp_path / "new" / "trials.jsonl").exists()
    _forget_other(tmp_path / "new", "b")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["fingerprint"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "error.txt").write_text("of an earlier try", encoding="utf-8")
    _forget_other(tmp_path / "mine", "a")
    (tmp_path / "mine" / "fingerprint").unlink()
    (tmp_path / "mine" / "thesis.tex").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"mine holds something else than a fine-tuning. Give another folder."):
        _forget_other(tmp_path / "mine", "a")
    assert (tmp_path / "mine" / "thesis.tex").exists()
