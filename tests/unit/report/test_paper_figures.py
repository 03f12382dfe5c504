"""The paper's figures from a study's own runs: which are drawn, of what, and why others are not."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import numpy as np
import pytest

from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.masks import GatedPart, MaskRun, ParameterMasks
from detente.report import paper_figures
from detente.report.canvas import Drawing
from detente.report.curves import CurveBook
from detente.report.inventory import Study, System
from detente.report.paper_contents import contents_table
from detente.report.paper_figures import draw_paper_figures
from detente.results import read_metrics
from detente.task_results import LanguageScore, TaskRecord

MakeStudy = Callable[..., Study]
PAIRS = (("en", "ar"), ("en", "sw"))


def within(study: Study) -> Study:
    """Every run is fine-tuned on its first language: mono 80, others 70, and 1 more with every seed."""

    def task(system: System, seed: int, language: str) -> TaskRecord:
        value = (80.0 if system.is_mono else 70.0) + seed
        score = LanguageScore(
            language=language, setting="within", metric="f1", value=value, low=None, high=None, examples=9, trial=1, epoch=1,
            predictions="p",
        )  # fmt: skip
        return TaskRecord(
            task="ner", kind="ner", source=language, seed=1, fingerprint="cd", model="m", settings={}, labels=(), examples={},
            epochs=(), scores=(score,), seconds=1.0, finished="2026-02-01",
        )  # fmt: skip

    runs = [
        replace(run, tasks=tuple(task(run.system, run.record.seed, label) for label in run.record.mixture))
        for run in study.runs
    ]
    return replace(study, runs=tuple(runs))


def test_scores_perplexity_and_early_loss_are_drawn(make_study: MakeStudy, tmp_path: Path) -> None:
    study = within(make_study(treatments=("none", "adapter"), seeds=(1, 2)))
    found = draw_paper_figures(study, CurveBook(study), tmp_path / "figures")
    drawn = {number: drawing for number, drawing in found.items() if isinstance(drawing, Drawing)}
    assert set(drawn) == {"1", "2", "4c"}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"paper-figure-{number}.{end}" for number in drawn for end in ("pdf", "png", "svg")
    }
    assert "Mono sw 81.5" in drawn["1"].description
    assert "JointPair sw 71.5" in drawn["1"].description
    runs = study.by_system[System(("sw",), "none")].values()
    last = [[line for line in read_metrics(run.folder) if line["kind"] == "validation"][-1] for run in runs]
    perplexity = fmean(math.exp(line["loss"]["sw"]) for line in last)
    assert drawn["2"].description.startswith(f"Last values: sw: Mono {perplexity:.3f} at step 600, JointPair ")
    assert "JointPair" in drawn["4c"].description and "+ adpt" in drawn["4c"].description
    assert found["3"] == "needs an untreated run with `watch: {gradients_every: N}`"
    rows = {row.label: [cell.text for cell in row.cells] for row in contents_table({"2": None}, found).rows}
    assert rows["Figure 4c: early training loss"] == ["figures/paper-figure-4c.pdf", ""]
    assert rows["Table 2: NER and POS"] == ["", "needs fine-tunings on ner or pos"]


def test_gradients_are_those_of_the_untreated_pairs(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One seed of each pair, the first that was watched; larger mixtures only where no pair was."""
    study = make_study(
        languages=("en", "ar", "sw"), mixtures=(*PAIRS, ("en", "ar", "sw")), treatments=("none", "ffn"), seeds=(1, 2)
    )
    drawn: list[list[str]] = []
    monkeypatch.setattr(GradientConflictSeries, "read", classmethod(lambda cls, folder: folder.parent))
    monkeypatch.setattr(
        paper_figures,
        "draw_conflict_over_training",
        lambda series, folder, key: drawn.append([each.name for each in series]) or Drawing(key, "", "", "", ""),
    )
    runs = {(run.record.mixture, run.record.system, run.record.seed): run.folder for run in study.runs}

    def watch(*systems: tuple[tuple[str, ...], str, int]) -> list[str]:
        for system in systems:
            (runs[system] / "diagnosis").mkdir()
            (runs[system] / "diagnosis" / "gradient-series.json").write_text("{}")
        material = paper_figures.Material(study, SimpleNamespace(), paper_figures.layout_of(study), tmp_path)
        assert paper_figures.KINDS["3"].draw(material, "key") is not None
        return drawn[-1]

    triple = (("en", "ar", "sw"), "none", 1)
    assert watch(triple) == [runs[triple].name]
    pair, other = (PAIRS[0], "none", 2), (PAIRS[1], "none", 1)
    assert watch(pair, other, (PAIRS[1], "none", 2), (PAIRS[0], "ffn", 1)) == [runs[pair].name, runs[other].name]


def make_masks(*languages: str) -> ParameterMasks:
    random = np.random.default_rng(0)

    def run(seed: int) -> MaskRun:
        logits = tuple(random.standard_normal(16).round(4).tolist())
        return MaskRun(seed=seed, logits=logits, sparsity_weight=3.0, expected_open=0.7, loss=1.5)

    return ParameterMasks(
        languages=languages,
        groups="rows",
        steps=9,
        target_open=None,
        parts=(GatedPart("a", 0, "attention", 8), GatedPart("b", 0, "ffn", 8)),
        runs={language: (run(0), run(1)) for language in languages},
        full_loss=dict.fromkeys(languages, 1.4),
        swaps={language: dict.fromkeys(languages, 1.6) for language in languages},
        removals={},
    )


def test_masks_are_drawn_and_what_cannot_be_read_is_named(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(treatments=("none",), seeds=(1,))
    run = study.by_system[System(("en", "sw"), "none")][1]
    make_masks("en", "sw").write(run.folder / "diagnosis")
    (run.folder / "diagnosis" / "gradient-series.json").write_text('{"version": 99}')
    for path in study.runs[0].folder.parent.glob("*/metrics.jsonl"):
        path.unlink()
    study_folder = run.folder.parents[1]
    found = draw_paper_figures(study, CurveBook(study), study_folder / "figures")
    assert found["4a"].title == "Masks of sw and en, by layer"
    assert found["4b"].key == "paper-figure-4b"
    assert (
        found["3"]
        == f"runs/{run.folder.name}/diagnosis/gradient-series.json is of another version of detente. Run the diagnosis again."
    )
    assert str(found["2"]).startswith("needs learning curves")


def test_nothing_is_drawn_without_mixtures(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(languages=("en",), mixtures=(), seeds=(1,))
    found = draw_paper_figures(study, CurveBook(study), tmp_path / "figures")
    assert all(str(reason).startswith("needs ") for reason in found.values())
    assert not (tmp_path / "figures").exists()
