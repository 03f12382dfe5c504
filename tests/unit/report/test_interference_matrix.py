"""The matrix of who is hurt by whom, from the records of a study whose losses are known."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from detente.diagnosis_results.agreement import rank_agreement
from detente.report.comparisons import interference
from detente.report.interference_matrix import InterferenceMatrix, has_number, interference_matrix, points_lost
from detente.report.inventory import System, read_study
from detente.report.statistics import Estimate, estimate
from detente.results import RunRecord, read_record, write_record
from detente.task_results import LanguageScore, TaskRecord, write_task_record

WriteStudy = Callable[..., Path]
LANGUAGES = ("en", "sw", "te")
PAIRS = (("en", "sw"), ("en", "te"), ("sw", "te"))
# Who loses how much, in bits per character, when trained with whom.
LOST = {
    ("en", "sw"): 0.09,
    ("sw", "en"): -0.06,
    ("en", "te"): 0.02,
    ("te", "en"): 0.02,
    ("sw", "te"): -0.01,
    ("te", "sw"): 0.05,
}
# What a seed adds to the losses of a language.
OF_A_SEED = {1: -0.005, 2: 0.0, 3: 0.005}
Lost = Mapping[tuple[str, str], float]


def with_losses(folder: Path, lost: Lost = LOST, of_a_seed: Mapping[int, float] = OF_A_SEED) -> Path:
    """Rewrites the untreated pairs of a fake study, whose mono runs have 2 bits."""
    for run_folder in sorted((folder / "runs").iterdir()):
        record = read_record(run_folder)
        if len(record.mixture) == 2 and record.treatment == "none":
            write_record(run_folder, record.model_copy(update={"languages": results_of(record, lost, of_a_seed)}))
    return folder


def results_of(record: RunRecord, lost: Lost, of_a_seed: Mapping[int, float]) -> dict[str, object]:
    found = {}
    for language, result in record.languages.items():
        (other,) = set(record.mixture) - {language}
        bits = 2.0 + lost[language, other] + of_a_seed[record.seed]
        found[language] = result.model_copy(
            update={"test": result.test.model_copy(update={"bits_per_character": bits})}
        )
    return found


@pytest.fixture
def folder(write_study: WriteStudy) -> Path:
    return with_losses(write_study(languages=LANGUAGES, mixtures=PAIRS, treatments=("none",), noise=0.0))


@pytest.fixture
def matrix(folder: Path) -> InterferenceMatrix:
    return interference_matrix(read_study(folder))


def mean_of(value: Estimate | None) -> float | None:
    return None if value is None else value.mean


def test_cells_are_what_each_language_loses(matrix: InterferenceMatrix) -> None:
    assert matrix.languages == LANGUAGES
    for i, first in enumerate(LANGUAGES):
        for j, second in enumerate(LANGUAGES):
            cell = matrix.cells[i][j]
            if first == second:
                assert cell is None
                continue
            assert cell is not None
            values = [LOST[first, second] + extra for extra in OF_A_SEED.values()]
            expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
            assert matrix.values[i][j] == pytest.approx(LOST[first, second])
            assert (cell.difference.low, cell.difference.high) == pytest.approx(expected)
    assert [cell and cell.word for cell in matrix.cells[0]] == [None, "hurt", "hurt"]
    assert [cell and cell.word for cell in matrix.cells[1]] == ["helped", None, "cannot tell"]


def test_equal_to_the_reports_interference(folder: Path) -> None:
    study = read_study(folder)
    cell = interference_matrix(study).cells[1][0]
    assert cell == interference(study, System(("en", "sw"), "none"), "sw")


def test_means_of_rows_and_columns(matrix: InterferenceMatrix) -> None:
    """Who is hurt, and who hurts. A seed moves all cells alike, and so the mean by as much: its interval does not shrink."""
    rows = [np.mean([LOST[a, b] for b in LANGUAGES if b != a]) for a in LANGUAGES]
    columns = [np.mean([LOST[b, a] for b in LANGUAGES if b != a]) for a in LANGUAGES]
    assert list(map(mean_of, matrix.row_means)) == pytest.approx(rows)
    assert list(map(mean_of, matrix.column_means)) == pytest.approx(columns)
    expected = estimate([rows[0] + extra for extra in OF_A_SEED.values()])
    assert matrix.row_means[0] is not None
    assert matrix.row_means[0].half_width == pytest.approx(expected.half_width)


def test_asymmetry_is_paired_by_seed(matrix: InterferenceMatrix) -> None:
    """What a seed adds to both is no doubt about their difference."""
    found = {(one.first, one.second): one.difference for one in matrix.asymmetries}
    assert {pair: value.mean for pair, value in found.items()} == pytest.approx(
        {("en", "sw"): 0.15, ("en", "te"): 0.0, ("sw", "te"): -0.06}
    )
    assert found["en", "sw"].half_width == pytest.approx(0.0, abs=1e-12)
    apart, together = 0.15**2 + 0.06**2, 0.03**2 + 0.04**2 + 0.04**2
    assert matrix.asymmetry == pytest.approx(apart / (apart + together))


@pytest.mark.parametrize(("sign", "expected"), [(1, 0.0), (-1, 1.0)])
def test_ends_of_asymmetry(write_study: WriteStudy, sign: int, expected: float) -> None:
    lost = {pair: sign ** (pair != tuple(sorted(pair))) * 0.05 for pair in LOST}
    folder = write_study(languages=LANGUAGES, mixtures=PAIRS, treatments=("none",), noise=0.0)
    found = interference_matrix(read_study(with_losses(folder, lost)))
    assert found.asymmetry == pytest.approx(expected)


def test_missing_pairs_stay_missing_and_are_not_averaged_over(write_study: WriteStudy) -> None:
    absent = frozenset(f"en+te_none_seed{seed}" for seed in (1, 2, 3))
    folder = write_study(languages=LANGUAGES, mixtures=PAIRS, treatments=("none",), noise=0.0, absent=absent)
    found = interference_matrix(read_study(with_losses(folder)))
    assert found.cells[0][2] is found.cells[2][0] is None
    assert [value is None for value in found.row_means] == [True, False, True]
    assert [value is None for value in found.column_means] == [True, False, True]
    assert [(one.first, one.second) for one in found.asymmetries] == [("en", "sw"), ("sw", "te")]


def test_a_missing_mono_run_takes_its_whole_row(write_study: WriteStudy) -> None:
    absent = frozenset(f"sw_none_seed{seed}" for seed in (1, 2, 3))
    folder = write_study(languages=LANGUAGES, mixtures=PAIRS, treatments=("none",), noise=0.0, absent=absent)
    found = interference_matrix(read_study(with_losses(folder)))
    assert found.cells[1] == (None, None, None)
    assert found.values[0][1] == pytest.approx(LOST["en", "sw"])


def test_seeds_that_one_side_lacks_do_not_count(write_study: WriteStudy) -> None:
    absent = frozenset({"en_none_seed3", "en+te_none_seed2"})
    folder = write_study(languages=LANGUAGES, mixtures=PAIRS, treatments=("none",), noise=0.0, absent=absent)
    found = interference_matrix(read_study(with_losses(folder)))
    with_sw, with_te = found.cells[0][1:]
    assert with_sw is not None
    assert with_te is not None
    assert (with_sw.difference.seeds, with_te.difference.seeds) == (2, 1)
    assert with_te.difference.low is None
    assert found.row_means[0] is not None
    assert found.row_means[0].mean == pytest.approx((LOST["en", "sw"] + LOST["en", "te"]) / 2 - 0.005)
    assert found.row_means[0].seeds == 1


def test_nothing_follows_from_runs_that_have_not_learned(write_study: WriteStudy) -> None:
    stuck = frozenset({"en+sw_none_seed2"})
    found = interference_matrix(
        read_study(write_study(languages=LANGUAGES, mixtures=PAIRS, treatments=("none",), stuck=stuck))
    )
    assert found.cells[0][1] is not None
    assert not has_number(found.cells[0][1])
    assert found.values[0][1] is None
    assert found.row_means[0] is None
    assert found.column_means[0] is None
    assert found.values[2][1] is not None
    assert ("en", "sw") not in {(one.first, one.second) for one in found.asymmetries}


def test_larger_mixtures_do_not_count(write_study: WriteStudy) -> None:
    found = interference_matrix(read_study(write_study(languages=LANGUAGES, mixtures=None, treatments=("none",))))
    assert found.values == ((None,) * 3,) * 3
    assert found.row_means == (None,) * 3
    assert found.asymmetry is None


def test_treated_pairs_have_a_matrix_of_their_own(write_study: WriteStudy) -> None:
    study = read_study(write_study(languages=LANGUAGES, mixtures=PAIRS, treatments=("none", "ffn"), noise=0.0))
    untreated, treated = (interference_matrix(study, system=name) for name in ("none", "ffn"))
    assert treated.system == "ffn"
    assert untreated.values[0][1] == pytest.approx(0.09)
    assert treated.values[0][1] == pytest.approx(0.25 * 0.09)
    assert interference_matrix(study, system="attention").values == ((None,) * 3,) * 3


def test_budget_is_the_studys(folder: Path) -> None:
    assert interference_matrix(read_study(folder)).budget == "steps"
    for run_folder in (folder / "runs").iterdir():
        record = read_record(run_folder)
        write_record(run_folder, record.model_copy(update={"settings": {**record.settings, "drawn_evenly": True}}))
    assert interference_matrix(read_study(folder)).budget == "examples"


def add_scores(folder: Path) -> None:
    """Mono 80 points within each language; a pair loses a hundred times its bits. Zero-shot scores are far lower."""
    for run_folder in sorted((folder / "runs").iterdir()):
        record = read_record(run_folder)
        for source in record.mixture:
            others = [label for label in record.mixture if label != source]
            lost = 100 * LOST[source, others[0]] if others else 0.0
            for seed, extra in ((1, -1.0), (2, 1.0)):
                write_task_record(
                    run_folder / "tasks" / "ner" / f"{source}_seed{seed}", task(record, source, seed, 80 - lost + extra)
                )


def task(run: RunRecord, source: str, seed: int, value: float) -> TaskRecord:
    scores = [
        score(source, "within", value),
        *(score(label, "zero-shot", 5.0) for label in run.mixture if label != source),
    ]
    return TaskRecord(
        task="ner",
        kind="ner",
        source=source,
        seed=seed,
        fingerprint="cd" * 32,
        model=run.name,
        settings={},
        labels=("O",),
        examples={},
        epochs=(),
        scores=tuple(scores),
        seconds=1.0,
        finished="2026-01-01T12:00:00+00:00",
    )


def score(language: str, setting: str, value: float) -> LanguageScore:
    return LanguageScore.model_validate(
        {
            "language": language,
            "setting": setting,
            "metric": "f1",
            "value": value,
            "low": None,
            "high": None,
            "examples": 100,
            "trial": 1,
            "epoch": 1,
            "predictions": "p.jsonl.gz",
        }
    )


def test_points_of_a_task_are_lost_with_the_same_sign(folder: Path) -> None:
    add_scores(folder)
    found = interference_matrix(read_study(folder), points_lost("ner"))
    for i, first in enumerate(LANGUAGES):
        for j, second in enumerate(LANGUAGES):
            if first != second:
                assert found.values[i][j] == pytest.approx(100 * LOST[first, second])
    assert found.harm.unit == "points of ner"
    assert interference_matrix(read_study(folder), points_lost("pos")).values == ((None,) * 3,) * 3


def test_its_values_are_a_truth_for_predictors(matrix: InterferenceMatrix) -> None:
    found = rank_agreement(matrix.languages, matrix.values, {"affinity": matrix.values})
    assert found.predictors[0].num_cells == 6
    assert found.predictors[0].spearman == pytest.approx(1.0)
