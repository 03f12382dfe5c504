"""Settings of the tasks, in a study and alone: defaults by task and preset, and what is wrong is named, with what to do."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from detente.errors import ConfigError, DataError
from detente.settings import StudySettings, load_study, study_from_mapping
from detente.settings.load_tasks import load_resolved, load_tasks
from detente.settings.task_checks import kind_of
from detente.settings.tasks import SMALL_TASK_DEFAULTS, TASK_DEFAULTS, TaskSettings

LANGUAGES = {
    label: {"constructed": {"sentences": 100, "lexicon_seed": seed}} for seed, label in enumerate(("te", "da"))
}
FILES = {"train": "train.tsv", "test": "test.tsv"}
KINDS = ("ner", "pos", "qa", "nli")
# Settings of `tasks`, and what is said of them.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ner": {"epocs": 3}}, "`tasks.ner.epocs` is not a setting. Did you mean `tasks.ner.epochs`?"),
    (
        {"ner": {"data": {"te": {"trian": "x"}}}},
        "`tasks.ner.data.te.trian` is not a setting. Did you mean `tasks.ner.data.te.train`?",
    ),
    (
        {"ner": {"data": {"te": {"dev": "x"}}}},
        "`tasks.ner.data.te.dev` is not a setting.",
    ),
    (
        {"ner": {"train": {"te": "x"}}},
        "`tasks.ner.train` is not a setting. Did you mean `tasks.LABEL.data.LABEL.train`?",
    ),
    ({"ner": {"epochs": 0}}, "`tasks.ner.epochs`: it should be greater than 0, found 0."),
    (
        {"ner": {"learning_rates": []}},
        "`tasks.ner.learning_rates`: tuple should have at least 1 item after validation, not 0, found [].",
    ),
    ({"ner": {"max_length": 15}}, "`tasks.ner.max_length`: it should be greater than or equal to 16, found 15."),
    ({"ner": {"warmup": 1}}, "`tasks.ner.warmup`: it should be less than 1, found 1."),
    ({"ner": {"specific": "fozen"}}, "`tasks.ner.specific`: it should be 'trainable' or 'frozen', found 'fozen'."),
    ({"ner": {"task": "nre"}}, "`tasks.ner.task`: it should be 'ner', 'pos', 'qa' or 'nli', found 'nre'."),
    ({"ner": 3}, "`tasks.ner`: it should be a valid dictionary or instance of TaskSettings, found 3."),
    ({"wikiann": {}}, "`tasks.wikiann`: say what it asks, `task:` one of ner, pos, qa, nli."),
    ({"nre": {}}, "`tasks.nre`: say what it asks, `task:` one of ner, pos, qa, nli. Did you mean `ner`?"),
    (
        {"a/b": {"task": "ner"}},
        "`tasks.a/b`: a task's name has ASCII letters, digits, `.`, `+` and `-` (it names folders).",
    ),
    (
        {"ner": {"data": {"dan": FILES}}},
        "`tasks.ner.data.dan`: `dan` is not among `languages`. Did you mean `da`?",
    ),
    ({"ner": {"data": {"te": {"test": "x"}}, "sources": ["te"]}}, "`tasks.ner.sources`: `te` has no `train` files."),
    ({"ner": {"sources": ["tee"]}}, "`tasks.ner.sources`: there is no data of `tee`. Did you mean `te`?"),
    ({"ner": {"batch_sizes": 16}}, "`tasks.ner.batch_sizes`: it should be a valid tuple, found 16."),
]


def load(tasks: object, **values: Any) -> StudySettings:
    return study_from_mapping({"preset": "tiny", "languages": LANGUAGES, "tasks": tasks, **values})


def problems(tasks: object, **values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tasks, **values)
    return list(caught.value.problems)


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Any:
    """Writes values to `folder/tasks.yaml`."""

    def write(values: object, name: str = "tasks.yaml") -> Path:
        path = tmp_path / "folder" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(("tasks", "expected"), WRONG, ids=[str(tasks) for tasks, _ in WRONG])
def test_a_wrong_setting_is_named(tasks: dict[str, Any], expected: str) -> None:
    assert problems(tasks) == [expected]


def test_every_problem_is_told_at_once() -> None:
    tasks = {"nre": {}, "ner": {"data": {"xx": FILES}, "sources": ["yy"]}, "b c": {}}
    assert [problem.split(":")[0] for problem in problems(tasks)] == [
        "`tasks.nre`",
        "`tasks.ner.data.xx`",
        "`tasks.ner.sources`",
        "`tasks.b c`",
        "`tasks.b c`",
    ]
    assert len(problems({"ner": {"epocs": 1, "sed": 1}})) == 2


def test_suggestions_elsewhere_do_not_go_astray() -> None:
    """Tasks have names of their own by the dozen, and settings of a study are not meant to be those."""
    assert problems({}, treatment="adapter") == ["`treatment` is not a setting. Did you mean `treatments`?"]
    assert problems({}, seed=1) == ["`seed` is not a setting. Did you mean `seeds`?"]
    (said,) = problems({}, languages={"te": {"constructed": {}, "path": "x"}})
    assert said == "`languages.te.path` is not a setting. Did you mean `languages.te.paths`?"
    (said,) = problems({}, training={"stepz": 3})
    assert said == "`training.stepz` is not a setting. Did you mean `training.steps`?"


@pytest.mark.parametrize("kind", KINDS)
def test_the_papers_preset_has_the_sources_grids(kind: str) -> None:
    """Batches, rates and epochs as method 8 has them."""
    task = load({kind: {}}, preset="paper").tasks[kind]
    if kind == "nli":
        assert (task.epochs, task.examples_per_epoch, task.batch_sizes) == (200, 20_000, (4, 8))
        assert (task.learning_rates, task.head_learning_rates) == ((1e-6, 5e-6, 2e-5), (5e-6, 2e-5, 5e-5))
    else:
        assert (task.epochs, task.examples_per_epoch, task.batch_sizes) == (2 if kind == "qa" else 10, None, (16, 32))
        assert (task.learning_rates, task.head_learning_rates) == ((2e-5, 3e-5, 5e-5), ())


@pytest.mark.parametrize("preset", ["tiny", "mini"])
@pytest.mark.parametrize("kind", KINDS)
def test_small_presets_have_a_grid_for_two_cores(preset: str, kind: str) -> None:
    task = load({kind: {}}, preset=preset).tasks[kind]
    assert task == TaskSettings(**SMALL_TASK_DEFAULTS[kind])
    assert len(task.batch_sizes) * len(task.learning_rates) == 2
    assert min(task.learning_rates) > 5e-5
    without = {"languages": LANGUAGES, "tasks": {kind: {}}}
    assert study_from_mapping(without).tasks[kind] == load({kind: {}}, preset="mini").tasks[kind]


def test_every_task_has_its_defaults() -> None:
    assert set(TASK_DEFAULTS) == set(SMALL_TASK_DEFAULTS) == set(KINDS)
    for values in (*TASK_DEFAULTS.values(), *SMALL_TASK_DEFAULTS.values()):
        TaskSettings(**values)


def test_what_is_given_goes_over_the_defaults() -> None:
    tasks = load({"qa": {"epochs": 7}, "pos": None}, preset="paper").tasks
    assert tasks["qa"] == TaskSettings(epochs=7)
    assert tasks["pos"] == TaskSettings()


@pytest.mark.parametrize("given", [{"task": "qa"}, {"task": "qa", "epochs": None}])
def test_a_task_with_another_name_has_the_defaults_of_what_it_asks(given: dict[str, Any]) -> None:
    if given.pop("epochs", 1) is None:
        given["stride"] = 32
    task = load({"tydi-1.1": given}, preset="paper").tasks["tydi-1.1"]
    assert (task.epochs, kind_of("tydi-1.1", task)) == (2, "qa")


def test_what_a_task_asks_can_contradict_its_name() -> None:
    task = load({"ner": {"task": "pos"}}).tasks["ner"]
    assert kind_of("ner", task) == "pos"
    assert kind_of("pos", TaskSettings()) == "pos"
    assert kind_of("wikiann", TaskSettings()) is None


def test_a_task_of_null_is_that_of_its_name() -> None:
    """As a study's resolved settings have it."""
    assert load({"qa": {"task": None}}, preset="paper").tasks["qa"].epochs == 2


def test_settings_on_the_command_line() -> None:
    study = study_from_mapping(
        {"languages": LANGUAGES, "tasks": {"ner": {"epochs": 3}}},
        ["tasks.ner.epochs=5", "tasks.ner.seeds=[1,2]", "tasks.pos={}", "tasks.ner.data.te.train=x.tsv"],
    )
    assert (study.tasks["ner"].epochs, study.tasks["ner"].seeds) == (5, (1, 2))
    assert study.tasks["ner"].data["te"].train == (str(Path("x.tsv").resolve()),)
    assert study.tasks["pos"] == TaskSettings(**SMALL_TASK_DEFAULTS["pos"])


def test_constructed_languages_need_no_files() -> None:
    assert load({"ner": {"sources": ["te"]}}).tasks["ner"].sources == ("te",)


def test_paths_start_at_the_file(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    files = {"train": ["a.tsv", "../b*.tsv"], "validation": "~/c.tsv", "test": "/d.tsv"}
    data = {"te": files, "da": {"test": "hf://owner/data/da:test"}}
    expected = {
        "train": (str(tmp_path / "folder/a.tsv"), str(tmp_path / "b*.tsv")),
        "validation": (str(tmp_path / "home/c.tsv"),),
        "test": ("/d.tsv",),
    }
    path = write({"preset": "tiny", "languages": LANGUAGES, "tasks": {"ner": {"data": data}}})
    for tasks in (load_study(path).tasks, load_tasks(path)):
        assert dict(tasks["ner"].data["te"]) == expected
        assert dict(tasks["ner"].data["da"]) == {"train": (), "validation": (), "test": ("hf://owner/data/da:test",)}


def test_resolved_settings_are_read_as_they_were_written(write: Any) -> None:
    study = load({"tydi": {"task": "qa", "data": {"te": {**FILES, "validation": ["a", "b"]}}}, "nli": {}})
    path = write(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False), "study.yaml")
    assert load_study(path) == study


@pytest.mark.parametrize("values", [{"budget": "examples"}, {"vocabulary": {"path": "/some/tokenizer.json"}}])
def test_what_a_folder_keeps_is_not_refused_for_settings_without_effect(values: dict[str, Any], write: Any) -> None:
    """Defaults are written out there too: nobody asked for both a temperature and a budget of examples."""
    study = load({"ner": {}}, preset="mini", **values)
    path = write(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False), "study.yaml")
    with pytest.raises(ConfigError, match=r"has no effect with"):
        load_study(path)
    assert load_resolved(path) == study
    changed = load_resolved(path, ["tasks.ner.epochs=9", "tasks.qa.stride=8"])
    assert changed.tasks["ner"] == study.tasks["ner"].model_copy(update={"epochs": 9})
    assert changed.tasks["qa"] == TaskSettings(**SMALL_TASK_DEFAULTS["qa"], stride=8)
    with pytest.raises(ConfigError, match=r"`tasks.nre`: say what it asks"):
        load_resolved(path, ["tasks.nre={}"])


class TestAlone:
    """`load_tasks`, for models that no study has trained."""

    def test_a_file_with_nothing_else(self, write: Any) -> None:
        tasks = load_tasks(write({"tasks": {"ner": {"data": {"xx": FILES}}, "qa": {"epochs": 4}}}))
        assert list(tasks) == ["ner", "qa"]
        assert tasks["ner"].data["xx"].train == (str(write("").parent / "train.tsv"),)
        assert (tasks["qa"].epochs, tasks["qa"].learning_rates) == (4, (2e-5, 3e-5, 5e-5))

    def test_a_study_file_of_whatever_preset(self, write: Any) -> None:
        """Its models may be small; the model that is fine-tuned here is another."""
        path = write({"preset": "tiny", "languages": {"te": {"paths": "nowhere"}}, "tasks": {"pos": {}}, "unknown": 1})
        assert load_tasks(path) == {"pos": TaskSettings()}

    def test_settings_on_the_command_line(self, write: Any) -> None:
        path = write({"tasks": {"ner": {"epochs": 3}}})
        assert load_tasks(path, ["tasks.ner.epochs=1", "tasks.ner.learning_rates=[0.1]"])["ner"] == TaskSettings(
            epochs=1, learning_rates=(0.1,)
        )

    @pytest.mark.parametrize("content", ["tasks: {}", "languages: {}", "tasks: [ner]", "tasks: ner", "{}"])
    def test_without_tasks(self, write: Any, content: str) -> None:
        with pytest.raises(
            ConfigError, match=r"tasks\.yaml has no `tasks`\. Write for example `tasks: \{ner: \{data: "
        ):
            load_tasks(write(content))

    def test_its_own_example_is_right(self, write: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            load_tasks(write("{}"))
        example = str(caught.value).split("`")[-2]
        assert load_tasks(write(example))["ner"].data["en"].test == (str(write("").parent / "..."),)

    def test_wrong_settings(self, write: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            load_tasks(write({"tasks": {"ner": {"data": {"en": {"tset": "x"}}, "epocs": 1}}}))
        assert list(caught.value.problems) == [
            "`tasks.ner.data.en.tset` is not a setting. Did you mean `tasks.ner.data.en.test`?",
            "`tasks.ner.epocs` is not a setting. Did you mean `tasks.ner.epochs`?",
        ]
        with pytest.raises(ConfigError, match=r"`tasks.ner.sources`: there is no data of `sw`"):
            load_tasks(write({"tasks": {"ner": {"data": {"en": FILES}, "sources": ["sw"]}}}))
        with pytest.raises(ConfigError, match=r"`tasks.wikiann`: say what it asks"):
            load_tasks(write({"tasks": {"wikiann": {"data": {"en": FILES}}}}))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"there is no study file"):
            load_tasks(tmp_path / "nothing.yaml")
