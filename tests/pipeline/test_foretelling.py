"""`detente diagnose` on a study of all pairs: which diagnosis foretells what they lose."""

from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from statistics import fmean

import pytest

from detente import cli
from detente.corpus.constructed import distance
from detente.diagnosis_results.affinity import LookaheadAffinity
from detente.diagnosis_results.agreement import Agreement
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.gradients import GradientConflict
from detente.diagnosis_results.similarity import RepresentationSimilarity
from detente.diagnosis_view import Wishes
from detente.errors import RecordError
from detente.examine import FOLDER
from detente.foretelling import truth_of
from detente.foretelling_view import diagnose_study
from detente.report import all_tables, write_report
from detente.report.inventory import read_study
from detente.results import LanguageResult, read_record, write_record
from detente.settings import study_from_mapping
from detente.settings.load_tasks import load_resolved
from detente.study import run_study

Run = Callable[..., tuple[int, str, str]]
LABELS = ("te", "en", "sw")
LANGUAGES = {
    "te": {"constructed": {"sentences": 500, "script": "cyrillic"}},
    "en": {"constructed": {"sentences": 500, "lexicon_seed": 2, "word_order": "sov"}},
    "sw": {"constructed": {"sentences": 500, "lexicon_seed": 3}},
}
LOST = {
    ("te", "en"): 0.3,
    ("en", "te"): 0.1,
    ("te", "sw"): 0.2,
    ("sw", "te"): 0.2,
    ("en", "sw"): -0.1,
    ("sw", "en"): 0.0,
}
"""Bits per character. A run of 16 steps has learned nothing, so what it lost is written in by hand."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, study_values: Callable) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    values = study_values(
        languages=LANGUAGES,
        mixtures=["mono", "pairs", "joint"],
        treatments=["none"],
        watch={"gradients_every": 8, "gradient_blocks": 16},
    )
    assert all(outcome.record for outcome in run_study(study_from_mapping(values), folder))
    for run in (folder / "runs").iterdir():
        record = read_record(run)
        languages = {label: lost(label, record.mixture, result) for label, result in record.languages.items()}
        write_record(run, record.model_copy(update={"languages": languages}))
    return folder


def lost(label: str, mixture: tuple[str, ...], result: LanguageResult) -> LanguageResult:
    """As if it had learned."""
    more = LOST[label, next(other for other in mixture if other != label)] if len(mixture) == 2 else 0.0
    test = result.test.model_copy(update={"loss": 0.1, "bits_per_character": 2.0 + more})
    return result.model_copy(update={"test": test})


def run_of(folder: Path, name: str) -> Path:
    return next(folder.glob(f"runs/{name}_none_seed1-*"))


@pytest.fixture(scope="module")
def diagnosed(folder: Path) -> Mapping[str, float]:
    """When each result was written."""
    wishes = Wishes(kinds=frozenset({"gradients", "affinity", "similarity"}), blocks=16)
    diagnose_study(cli.console, folder, wishes)
    return when_written(folder)


def when_written(folder: Path) -> dict[str, float]:
    paths = (path for path in folder.glob(f"runs/*/{FOLDER}/*.json") if path.name != GradientConflictSeries.FILE)
    return {str(path): path.stat().st_mtime for path in paths}


def test_the_joint_run_is_diagnosed_and_pairs_their_gradients(folder: Path, diagnosed: Mapping[str, float]) -> None:
    found = {(Path(path).parents[1].name.split("_")[0], Path(path).name) for path in diagnosed}
    pairs = {(f"{a}+{b}", "gradients.json") for a, b in combinations(LABELS, 2)}
    assert found == {("te+en+sw", f"{kind}.json") for kind in ("gradients", "affinity", "similarity")} | pairs


def test_what_is_there_is_not_measured_again(folder: Path, diagnosed: Mapping[str, float], detente: Run) -> None:
    code, output, errors = detente("diagnose", folder, "--gradients", "--affinity", "--similarity")
    assert (code, errors) == (0, "")
    assert when_written(folder) == diagnosed
    for words in (
        "Who is hurt by whom",
        "+0.300",
        "Which diagnosis foretells interference",
        "gradient cosine of pairs",
    ):
        assert words in output
    assert {path.name for path in (folder / FOLDER).iterdir()} >= {
        "agreement.json",
        "agreement.png",
        "interference-matrix.pdf",
    }


@pytest.mark.usefixtures("diagnosed")
def test_matrices_are_those_of_the_diagnoses(folder: Path) -> None:
    found = Agreement.read(folder / FOLDER)
    assert found.languages == LABELS
    joint = run_of(folder, "te+en+sw") / FOLDER
    gradients, affinity = GradientConflict.read(joint), LookaheadAffinity.read(joint)
    constructed = {label: each.constructed for label, each in load_resolved(folder / "study.yaml").languages.items()}
    for (i, a), (j, b) in combinations(enumerate(LABELS), 2):
        assert found.matrices["interference, bits per character"][i][j] == pytest.approx(LOST[a, b])
        assert found.matrices["gradient cosine"][j][i] == gradients.pair(a, b).corrected
        own = GradientConflict.read(run_of(folder, f"{a}+{b}") / FOLDER)
        assert found.matrices["gradient cosine of pairs"][i][j] == own.pair(a, b).corrected
        along = [one.pair(a, b).corrected for one in GradientConflictSeries.read(joint).measurements]
        assert found.matrices["gradient cosine along training"][i][j] == pytest.approx(fmean(filter(None, along)))
        assert found.matrices["affinity"][i][j] == affinity.mean[j][i]
        assert found.matrices["distance"][i][j] == distance(constructed[a], constructed[b])
        assert found.matrices["same script"][i][j] == float({a, b} == {"en", "sw"})
    assert found.matrices["CKA"] == RepresentationSimilarity.read(joint).matrix(-1)
    assert "mask overlap" not in found.matrices


def test_two_languages_foretell_nothing(tmp_path: Path, study_values: Callable, detente: Run) -> None:
    run_study(study_from_mapping(study_values(treatments=["none"])), tmp_path)
    with pytest.raises(RecordError, match="three languages or more"):
        truth_of(tmp_path, read_study(tmp_path))
    code, _, errors = detente("diagnose", tmp_path)
    assert code == 2
    assert "three languages or more" in errors
    assert not list(tmp_path.glob(f"runs/*/{FOLDER}"))


def test_the_report_shows_the_matrix_and_not_dozens_of_pairs(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Who is hurt by whom" in page
    tables = {table.key: table for table in all_tables(read_study(folder))}
    rows = {row.label: [cell.text for cell in row.cells] for row in tables["interference-matrix"].rows}
    assert rows["te"] == ["", "+0.300", "+0.200", "+0.250"]
    assert rows["what others lose to it"] == ["+0.150", "+0.150", "+0.050", ""]
    names = {path.name for path in (folder / "figures").glob("*.png")}
    assert {"interference-matrix.png", "interference-te+en+sw.png"} <= names
    assert not [name for name in names if "te+en-" in name or "te+en." in name]


@pytest.mark.usefixtures("diagnosed")
def test_dozens_of_pairs_get_no_figures_of_their_own(
    folder: Path, detente: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detente.diagnosis_view.MOST_DRAWN", 2)
    found = run_of(folder, "te+en+sw") / FOLDER
    drawn = list(found.glob("gradients-*-*.*"))
    assert len(drawn) == 9
    for path in drawn:
        path.unlink()
    code, output, _ = detente("diagnose", found.parent, "--gradients", "--blocks", "16")
    assert code == 0
    assert "figures of single pairs are left out: there are 3" in output
    assert not list(found.glob("gradients-*-*.*"))
