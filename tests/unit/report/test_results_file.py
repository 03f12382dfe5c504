"""`results.json`: what stands in it, and that programs can read it."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.report import all_tables, matrix_of
from detente.report.comparisons import interference, recovered
from detente.report.inventory import Study, System
from detente.report.results_file import results_of, write_results
from detente.report.results_schema import StudyResults
from detente.report.verdict import cautions, findings

MakeStudy = Callable[..., Study]
JOINT = ("en", "sw")


def results(study: Study) -> StudyResults:
    return results_of(study, all_tables(study), matrix_of(study))


def test_scores_and_interference_are_those_of_the_tables(make_study: MakeStudy) -> None:
    study = make_study(treatments=("none", "ffn"))
    found = results(study)
    assert [(each.mixture, each.system, each.seeds) for each in found.systems] == [
        (("en",), "none", (1, 2, 3)),
        (("sw",), "none", (1, 2, 3)),
        (JOINT, "none", (1, 2, 3)),
        (JOINT, "ffn", (1, 2, 3)),
    ]
    assert len(found.scores) == 3 * 6
    run = study.by_system[System(JOINT, "ffn")][2]
    place = (JOINT, "ffn", "sw", "bits-per-character")
    score = next(each for each in found.scores if (each.mixture, each.system, each.language, each.measure) == place)
    assert score.by_seed[2] == run.record.languages["sw"].test.bits_per_character
    assert score.better == "lower"
    hurt = next(each for each in found.interference if (each.system, each.language) == ("ffn", "en"))
    compared = interference(study, System(JOINT, "ffn"), "en")
    share = recovered(study, System(JOINT, "ffn"), "en")
    assert compared and share
    assert (hurt.estimate.mean, hurt.estimate.high, hurt.word) == (
        compared.difference.mean,
        compared.difference.high,
        compared.word,
    )
    assert hurt.recovered is not None and hurt.recovered.mean == share.mean
    assert math.fsum(v for v in hurt.by_seed.values() if v) / 3 == pytest.approx(compared.difference.mean)


def test_it_holds_the_verdict_the_runs_and_every_table(make_study: MakeStudy) -> None:
    study = make_study(
        treatments=("none", "ffn"), absent={"en+sw_ffn_seed1", "sw_none_seed2"}, failed={"en+sw_none_seed3"}
    )
    found = results(study)
    assert [each.text for each in found.findings] == [each.text for each in findings(study, JOINT)]
    assert found.cautions == cautions(study)
    assert {(each.name, each.status) for each in found.missing_runs} == {
        ("en+sw_ffn_seed1", "missing"), ("sw_none_seed2", "missing"), ("en+sw_none_seed3", "failed"),
    }  # fmt: skip
    assert len(found.runs) == len(study.runs) == 9
    tables = {table.key: table for table in all_tables(study)}
    assert [each.key for each in found.tables] == list(tables)
    rows = next(each for each in found.tables if each.key == "bits-per-character").rows
    assert [cell.text for cell in rows[0].cells] == [cell.text for cell in tables["bits-per-character"].rows[0].cells]


def test_missing_cells_are_listed(make_study: MakeStudy) -> None:
    absent = {f"sw_none_seed{seed}" for seed in (1, 2, 3)}
    found = results(make_study(treatments=("none",), absent=absent))
    places = {(each.table, each.row, each.column) for each in found.missing_cells}
    assert {("bits-per-character", "mono", "sw"), ("interference", "en+sw untreated", "sw")} <= places


def test_it_is_strict_json_and_reads_back(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(treatments=("none",), seeds=(1,))
    write_results(study, all_tables(study), None, tmp_path)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    values = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)
    again = StudyResults.model_validate(values)
    assert again == results(study)
    assert values["version"] == 1


def test_the_matrix_is_in_it_and_a_pair_without_a_run_is_missing(make_study: MakeStudy) -> None:
    pairs = (("en", "sw"), ("en", "te"))
    study = make_study(
        languages=("en", "sw", "te"),
        mixtures=pairs,
        treatments=("none",),
        seeds=(1, 2),
        absent={"en+te_none_seed1", "en+te_none_seed2"},
    )
    found = results(study)
    assert found.matrix is not None
    assert found.matrix.cells[0][1] is not None
    assert found.matrix.cells[0][2] is None
    table = next(each for each in found.tables if each.key == "interference-matrix")
    texts = [[cell.text for cell in row.cells][:3] for row in table.rows[:3]]
    # sw with te is no pair of the study's.
    assert [texts[0][0], texts[0][2], texts[1][2], texts[2]] == ["", "missing", "", ["missing", "", ""]]


def test_the_snippet_of_the_page_on_the_report_runs(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(treatments=("none", "ffn"))
    (tmp_path / "studies" / "first").mkdir(parents=True)
    write_results(study, all_tables(study), matrix_of(study), tmp_path / "studies" / "first")
    page = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
    snippet = page.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "report.md", "exec"), {})
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["en", "none"],
        ["sw", "none"],
        ["en", "ffn"],
        ["sw", "ffn"],
    ]
