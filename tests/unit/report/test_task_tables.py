"""Tables of the tasks: systems by languages within, zero-shot and with an oracle's choice; averages only where every cell is."""

import contextlib
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from detente.cli import app
from detente.report import all_tables, write_report
from detente.report.formats import to_csv, to_latex, to_markdown
from detente.report.inventory import Study, read_study
from detente.report.statistics import estimate
from detente.report.tables import Table
from detente.report.task_tables import CAPTION, task_table, task_tables
from detente.results import RunRecord, read_record
from detente.task_results import LanguageScore, Setting, TaskRecord, read_task_record, write_task_record

WriteStudy = Callable[..., Path]


class Asked(NamedTuple):
    """What a score is of."""

    system: str
    mixture: tuple[str, ...]
    run_seed: int
    setting: Setting
    source: str
    language: str
    seed: int

    @property
    def is_mono(self) -> bool:
        return len(self.mixture) == 1


Score = Callable[[Asked], float | None]


def flat(asked: Asked) -> float:
    """Mono 80, untreated 70, others 75; 10 less zero-shot and 4 less with an oracle; the second language 20 less."""
    base = 80.0 if asked.is_mono else {"none": 70.0}.get(asked.system, 75.0)
    less = {"within": 0.0, "zero-shot": 10.0, "oracle": 4.0}[asked.setting]
    return base - less - (20.0 if asked.language == "sw" else 0.0)


@dataclass(frozen=True)
class FakeTask:
    """How to make up a task's records, beside the runs of a fake study."""

    name: str = "ner"
    kind: str = "ner"
    sources: tuple[str, ...] = ("en", "sw")
    seeds: tuple[int, ...] = (1,)
    score: Score = flat
    """None where a score is absent."""
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


def add_task(study_folder: Path, task: FakeTask) -> Path:
    """Fine-tunings of every run on every source that it knows."""
    for run_folder in sorted((study_folder / "runs").iterdir()):
        run = read_record(run_folder)
        for source in (label for label in task.sources if label in run.mixture):
            for seed in task.seeds:
                scores = tuple(scores_of(task, run, source, seed))
                record = record_of(task, run_folder.name, source, seed, scores)
                if scores:
                    write_task_record(run_folder / "tasks" / task.name / f"{source}_seed{seed}", record)
    return study_folder


def scores_of(task: FakeTask, run: RunRecord, source: str, seed: int) -> Iterator[LanguageScore]:
    settings: Iterable[Setting]
    for language in run.mixture:
        settings = ("within",) if language == source else ("zero-shot", "oracle")
        for setting in settings:
            value = task.score(Asked(run.system, run.mixture, run.seed, setting, source, language, seed))
            if value is not None:
                yield LanguageScore(
                    language=language,
                    setting=setting,
                    metric="f1",
                    value=value,
                    low=None,
                    high=None,
                    examples=100,
                    trial=1,
                    epoch=1,
                    predictions="p.jsonl.gz",
                )


def record_of(task: FakeTask, model: str, source: str, seed: int, scores: tuple[LanguageScore, ...]) -> TaskRecord:
    return TaskRecord(
        task=task.name,
        kind=task.kind,
        source=source,
        seed=seed,
        fingerprint="cd" * 32,
        model=model,
        settings=task.settings,
        labels=("O",),
        examples={},
        epochs=(),
        scores=scores,
        notes=task.notes,
        seconds=1.0,
        finished=f"2026-02-0{seed}T12:00:00+00:00",
    )


@pytest.fixture(name="with_tasks")
def _with_tasks(write_study: WriteStudy) -> Callable[..., Study]:
    """A fake study of mono, untreated and ffn, with tasks."""

    def make(*tasks: FakeTask, **options: Any) -> Study:
        folder = write_study(**{"treatments": ("none", "ffn"), "seeds": (1, 2), **options})
        for task in tasks:
            add_task(folder, task)
        return read_study(folder)

    return make


def texts(table: Table) -> list[list[str]]:
    return [[text.replace("\N{PLUS-MINUS SIGN}", "+-") for text in row] for row in table.as_rows()]


def test_layout(with_tasks: Callable[..., Study]) -> None:
    """Within each language, then what goes from each source to the others, then the same with an oracle's choice."""
    table = task_table(with_tasks(FakeTask(), seeds=(1,)), "ner")
    assert (table.key, table.title, table.group_title) == ("task-ner", "Task ner", "mixture")
    assert table.caption == f"Entity F1. {CAPTION}"
    assert texts(table) == [
        ["mixture", "system", "within en", "within sw", "within average", "zero-shot from en sw", "zero-shot from sw en",
         "oracle from en sw", "oracle from sw en", "seeds"],
        ["", "mono", "80.0", "60.0", "70.0", "", "", "", "", "1"],
        ["en+sw", "untreated", "70.0", "50.0", "60.0", "40.0", "60.0", "46.0", "66.0", "1"],
        ["en+sw", "+ ffn", "75.0", "55.0", "65.0", "45.0", "65.0", "51.0", "71.0", "1"],
    ]  # fmt: skip


def test_one_source_and_three_languages(with_tasks: Callable[..., Study]) -> None:
    task = FakeTask(sources=("en",))
    study = with_tasks(task, languages=("en", "sw", "te"), treatments=("none",), seeds=(1,))
    table = task_table(study, "ner")
    assert [(column.group, column.title) for column in table.columns] == [
        ("within", "en"),
        ("zero-shot from en", "sw"),
        ("zero-shot from en", "te"),
        ("zero-shot from en", "average"),
        ("oracle from en", "sw"),
        ("oracle from en", "te"),
        ("oracle from en", "average"),
        ("", "seeds"),
    ]
    assert texts(table)[-1][2:] == ["70.0", "40.0", "60.0", "50.0", "46.0", "66.0", "56.0", "1"]
    # Mono runs of the languages that nothing is fine-tuned on have no score, and none is missing.
    assert texts(table)[1][2:] == ["80.0", *[""] * 6, "1"]


def test_a_task_with_another_name_says_what_it_asks(with_tasks: Callable[..., Study]) -> None:
    tables = list(task_tables(with_tasks(FakeTask("wikiann"), FakeTask("parts", "pos"), FakeTask("nli", "nli"))))
    assert [(table.key, table.title, table.caption.split(".")[0]) for table in tables] == [
        ("task-nli", "Task nli", "Accuracy"),
        ("task-parts", "Task parts (pos)", "F1, which is accuracy"),
        ("task-wikiann", "Task wikiann (ner)", "Entity F1"),
    ]


def test_seeds_of_fine_tuning_are_averaged_before_those_of_pretraining(with_tasks: Callable[..., Study]) -> None:
    """A run fine-tuned once counts as much as one fine-tuned twice, and the interval is over runs."""
    values = {(1, 1): 50.0, (1, 2): 60.0, (2, 1): 70.0, (3, 1): 90.0, (3, 2): 70.0}

    def score(asked: Asked) -> float | None:
        return values.get((asked.run_seed, asked.seed)) if asked.setting == "within" else None

    table = task_table(with_tasks(FakeTask(seeds=(1, 2), score=score), seeds=(1, 2, 3)), "ner")
    cell = table.rows[1].cells[0]
    by_run = [fmean((50, 60)), 70, fmean((90, 70))]
    assert cell.estimate == estimate(by_run)
    assert cell.estimate.mean == pytest.approx(68.333, abs=1e-3)
    assert cell.text.replace("\N{PLUS-MINUS SIGN}", "+-") == "68.3 +- 31.3"
    assert table.rows[1].cells[-1].text == "3"


def test_an_average_is_over_languages_seed_by_seed(with_tasks: Callable[..., Study]) -> None:
    def score(asked: Asked) -> float:
        return 60.0 + asked.run_seed if asked.language == "en" else 40.0 - asked.run_seed

    table = task_table(with_tasks(FakeTask(score=score), seeds=(1, 2, 3)), "ner")
    english, swahili, average = table.rows[1].cells[:3]
    assert english.estimate.half_width == pytest.approx(swahili.estimate.half_width)
    assert english.estimate.half_width > 2
    assert (average.estimate.mean, average.estimate.half_width) == (50.0, 0.0), "the seeds cancel out"


def without(*absent: tuple[str, int, str, str]) -> Score:
    """Scores but those of (system, pretraining seed, setting, language)."""

    def score(asked: Asked) -> float | None:
        place = (asked.system, asked.run_seed, asked.setting, asked.language)
        return None if place in absent and not asked.is_mono else flat(asked)

    return score


def test_an_average_stands_only_where_every_cell_does(with_tasks: Callable[..., Study]) -> None:
    study = with_tasks(
        FakeTask(score=without(("none", 1, "within", "sw"), *(("ffn", seed, "within", "en") for seed in (1, 2))))
    )
    rows = texts(task_table(study, "ner"))
    assert rows[2][2:5] == ["70.0 +- 0.0", "50.0", ""]
    assert rows[3][2:5] == ["missing", "55.0 +- 0.0", ""]
    assert (rows[1][-1], rows[2][-1], rows[3][-1]) == ("2", "1-2 of 2", "0-2 of 2")


def test_a_run_that_is_missing_is_counted(with_tasks: Callable[..., Study]) -> None:
    study = with_tasks(FakeTask(), absent={"en+sw_ffn_seed2", "sw_none_seed1"})
    rows = texts(task_table(study, "ner"))
    assert rows[1][2:5] == ["80.0 +- 0.0", "60.0", ""]
    assert [row[-1] for row in rows[1:]] == ["1-2 of 2", "2", "1 of 2"]
    none = {f"en+sw_ffn_seed{seed}" for seed in (1, 2)}
    rows = texts(task_table(with_tasks(FakeTask(), absent=none, name="second"), "ner"))
    assert rows[3][2:] == ["missing", "missing", "", *["missing"] * 4, "0 of 2"]


def test_mixtures_without_the_language_are_left_blank(with_tasks: Callable[..., Study]) -> None:
    study = with_tasks(
        FakeTask(),
        languages=("en", "sw", "te"),
        mixtures=(("en", "te"), ("en", "sw", "te")),
        treatments=("none",),
        seeds=(1,),
    )
    table = task_table(study, "ner")
    (row,) = (row for row in table.rows if row.group == "en+te")
    found = {
        f"{column.group} {column.title}".strip(): cell for column, cell in zip(table.columns, row.cells, strict=True)
    }
    assert {name for name, cell in found.items() if cell.text} == {
        "within en",
        "zero-shot from en te",
        "oracle from en te",
        "seeds",
    }
    assert not any(cell.is_missing for cell in row.cells)


def test_of_two_records_the_newer_counts(with_tasks: Callable[..., Study], write_study: WriteStudy) -> None:
    """Of one task, source and seed, in folders of different names."""
    folder = add_task(write_study(treatments=("none",), seeds=(1,)), FakeTask(seeds=(3,)))
    for run_folder in (folder / "runs").iterdir():
        for record_folder in sorted((run_folder / "tasks" / "ner").iterdir()):
            record = read_task_record(record_folder / "task.json")
            scores = tuple(score.model_copy(update={"value": 1.0}) for score in record.scores)
            newer = {"finished": "2026-03-01T00:00:00+00:00", "scores": scores}
            write_task_record(record_folder.with_name(f"other-{record_folder.name}"), record.model_copy(update=newer))
    assert texts(task_table(read_study(folder), "ner"))[1][2:5] == ["1.0", "1.0", "1.0"]


def test_notes_say_the_seeds_and_each_thing_once(with_tasks: Callable[..., Study]) -> None:
    study = with_tasks(FakeTask(seeds=(2, 1), notes=("en: 3 left out.",)), FakeTask("pos", "pos", seeds=(1,)))
    assert task_table(study, "ner").notes == ("Fine-tuned with the seeds 1, 2.", "en: 3 left out.")
    assert task_table(study, "pos").notes == ("Fine-tuned with the seed 1.",)


def test_a_study_without_tasks_has_no_table(with_tasks: Callable[..., Study]) -> None:
    study = with_tasks()
    assert list(task_tables(study)) == []
    assert not any(table.key.startswith("task-") for table in all_tables(study))


@pytest.mark.usefixtures("without_figures")
def test_files_and_page(write_study: WriteStudy) -> None:
    notes = ("en: <b>3</b> of a_b & c left out.",)
    folder = add_task(write_study(treatments=("none",), seeds=(1,)), FakeTask("a.b+c", notes=notes))
    assert CliRunner().invoke(app, ["report", str(folder), "--published"]).exit_code == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert '<h3 id="task-a.b+c">Task a.b+c (ner)</h3>' in page
    assert '<li><a href="#tasks">Tasks</a></li>' in page
    assert "en: &lt;b&gt;3&lt;/b&gt; of a_b &amp; c left out." in page
    assert "<b>3</b>" not in page
    table = task_table(read_study(folder), "a.b+c")
    for suffix, render in (("csv", to_csv), ("md", to_markdown), ("tex", to_latex)):
        assert (folder / "tables" / f"task-a.b+c.{suffix}").read_text(encoding="utf-8") == render(table)
    assert r"of a\_b \& c left out." in to_latex(table)
    assert "en+sw,untreated,zero-shot from en sw,40.0,40.0,,,1,,true,false\n" in to_csv(table)
    assert '<h3 id="paper-table-2">Table 2 of the paper: NER and POS</h3>' in page
    assert {path.name for path in folder.glob("tables/paper-table-*.md")} == {
        "paper-table-2.md",
        "paper-table-2-differences.md",
    }
    # A table that the records no longer support goes.
    for record in folder.glob("runs/*/tasks/*/*/task.json"):
        record.unlink()
    assert 'id="tasks"' not in write_report(folder).read_text(encoding="utf-8")
    assert [*folder.glob("tables/task-*"), *folder.glob("tables/paper-table-*")] == []
    shown_code(folder)


def shown_code(folder: Path) -> None:
    """The example on the page about the report reads what was written."""
    page = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace("studies/first", str(folder)), {})
    assert printed.getvalue().startswith("en none 0.0") and len(printed.getvalue().splitlines()) == 2


def test_a_language_that_the_source_is_not_known_of_has_no_column(with_tasks: Callable[..., Study]) -> None:
    """Swahili is only a target: no column says that nothing was fine-tuned on it."""
    table = task_table(with_tasks(FakeTask(sources=("en",)), seeds=(1,)), "ner")
    assert [f"{column.group} {column.title}".strip() for column in table.columns] == [
        "within en",
        "zero-shot from en sw",
        "oracle from en sw",
        "seeds",
    ]
