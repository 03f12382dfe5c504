"""`detente diagnose` on a run, and gradient conflict as an observer of training."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from detente.diagnosis_results.affinity import LookaheadAffinity
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.gradients import GradientConflict
from detente.diagnosis_results.masks import ParameterMasks
from detente.diagnosis_results.similarity import RepresentationSimilarity
from detente.encoder import HiddenStates
from detente.errors import DataError
from detente.examine import FOLDER, Examination, gradient_watch
from detente.pretrain.objective import masked_lm_loss
from detente.pretrain.step import StepReport
from detente.settings import study_from_mapping
from detente.study import run_study

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, study_values: Callable) -> Path:
    """A finished study, watched while it was trained."""
    folder = tmp_path_factory.mktemp("diagnosed")
    values = study_values(treatments=["none", "adapter"], watch={"gradients_every": 5, "gradient_blocks": 16})
    assert all(outcome.record for outcome in run_study(study_from_mapping(values), folder))
    return folder


def run_of(folder: Path, name: str) -> Path:
    return next(folder.glob(f"runs/{name}_seed1-*"))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / "step-16" / "weights.safetensors")


def test_a_watched_run_is_the_same_run(folder: Path, study_values: Callable, tmp_path: Path) -> None:
    unwatched = study_from_mapping(study_values(treatments=["adapter"], mixtures=["joint"]))
    run_study(unwatched, tmp_path)
    watched, plain = run_of(folder, "te+en_adapter"), run_of(tmp_path, "te+en_adapter")
    assert watched.name == plain.name
    found, expected = weights(watched), weights(plain)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert GradientConflictSeries.read(watched / FOLDER).steps == [5, 10, 15]
    assert not (plain / FOLDER).exists()


def test_a_run_that_goes_on_goes_on_with_its_series(folder: Path) -> None:
    run = Examination(run_of(folder, "te+en_none")).run
    watch = gradient_watch(run.settings, run.data, run.treated, run_of(folder, "te+en_none"), 12)
    for step in (13, 15):
        watch(step, StepReport({}, 0.0, 0.0, 0))
    found = GradientConflictSeries.read(run_of(folder, "te+en_none") / FOLDER)
    assert found.steps == [5, 10, 15]
    # The model is that of step 16 now.
    assert found.measurements[-1].groups != found.measurements[-2].groups
    assert run.treated.encoder.training


def test_a_watch_that_can_tell_nothing_is_refused_before_training(folder: Path) -> None:
    run = Examination(run_of(folder, "te+en_none")).run
    few = run.settings.model_copy(update={"watch": run.settings.watch.model_copy(update={"gradient_blocks": 4})})
    with pytest.raises(DataError, match="te, en have fewer"):
        gradient_watch(few, run.data, run.treated, folder, 0)


def test_gradients_are_those_of_the_run(folder: Path) -> None:
    examined = Examination(run_of(folder, "te+en_adapter"))
    found = examined.gradients(blocks=16, parts=2)
    treated, means = examined.run.treated, []
    for language in ("te", "en"):
        losses = [masked_lm_loss(treated, batch) for batch in examined.text.one_pass(language, 16)]
        mean = torch.stack(losses).mean()
        gradients = torch.autograd.grad(mean, list(treated.shared.values()), allow_unused=True)
        means.append(torch.cat([g.flatten().double() for g in gradients if g is not None]))
    gram = torch.tensor([group.gram for group in found.groups], dtype=torch.float64).sum(dim=0)
    expected = torch.stack(means) @ torch.stack(means).T
    torch.testing.assert_close(gram, expected, rtol=1e-5, atol=1e-8)
    assert sum(group.num_parameters for group in found.groups) == treated.count()[0]


def test_all_diagnoses_of_a_run(folder: Path, detente: Run) -> None:
    run = run_of(folder, "te+en_adapter")
    code, output, errors = detente("diagnose", run, "--blocks", "32", "--steps", "60", "--sparsity-weight", "0.1")
    assert (code, errors) == (0, "")
    assert "16 forward and backward passes" in output
    titles = ("Gradient conflict", "Masks over rows", "Loss of held-out text", "Lookahead affinity", "Similarity")
    assert (places := [output.index(title) for title in titles]) == sorted(places)
    assert GradientConflict.read(run / FOLDER).microbatches == (8, 8)
    assert LookaheadAffinity.read(run / FOLDER).languages == ("te", "en")
    masks = ParameterMasks.read(run / FOLDER)
    assert {(part.layer, part.kind) for part in masks.parts} == {(0, "attention"), (0, "ffn")}
    assert masks.steps == 60
    similarity = RepresentationSimilarity.read(run / FOLDER)
    assert len(similarity.pairs[0].layers) == 2
    assert {path.name for path in (run / FOLDER).glob("*.png")} == {
        "gradients-te-en.png",
        "gradient-series-theta.png",
        "affinity.png",
        "mask-extremes-te-en.png",
        "mask-extremes-en-te.png",
        "mask-similarity-te-en.png",
        "mask-shares.png",
        "similarity.png",
    }


def test_masks_that_close_everything_say_what_to_try(folder: Path, detente: Run) -> None:
    code, _, errors = detente("diagnose", run_of(folder, "te+en_none"), "--masks", "--steps", "60")
    assert code == 2
    assert "prunes everything" in errors
    assert "Try 0.3" in errors


def test_a_mono_run_has_its_control_only(folder: Path, detente: Run) -> None:
    code, output, _ = detente("diagnose", run_of(folder, "te_none"), "--gradients", "--blocks", "16")
    assert code == 0
    assert "Each language against itself" in output
    assert "Gradient conflict" not in output


def test_less_text_than_asked_for_is_said(folder: Path, detente: Run) -> None:
    code, output, _ = detente("diagnose", run_of(folder, "te+en_none"), "--gradients", "--blocks", "100000")
    assert code == 0
    assert "Smaller batches for want of text: te" in output


def test_a_language_goes_through_its_own_adapters(folder: Path) -> None:
    treated = Examination(run_of(folder, "te+en_adapter")).run.treated
    tokens = torch.arange(5, 13).reshape(1, 8)
    te, en = (treated.hidden_states(language, tokens) for language in ("te", "en"))
    assert torch.equal(te[0], en[0])
    assert not torch.equal(te[-1], en[-1])
    template = HiddenStates(treated.encoder)(tokens, 0)
    assert not torch.equal(te[-1], template[-1])


def test_padding_and_cutting_change_no_other_sentence(folder: Path) -> None:
    examined = Examination(run_of(folder, "te+en_none"))
    together = examined._states("te", examined._padded([[5, 6, 7], list(range(5, 60))]))
    alone = examined._states("te", examined._padded([[5, 6, 7]]))
    torch.testing.assert_close(together[-1][:1], alone[-1])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--similarity", "--parallel", "te=a.txt"], "the run has te, en"),
        (["--similarity", "--parallel", "te"], "Write te=FILE"),
        (["--similarity", "--parallel", "te=a.txt,en=missing.txt"], "missing.txt"),
        (["--similarity", "--parallel", "te=a.txt,en=b.txt"], "a.txt has 2"),
    ],
)
def test_parallel_files_that_do_not_do(
    arguments: list[str], said: str, *, folder: Path, detente: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("one\ntwo\n", encoding="utf-8")
    Path("b.txt").write_text("one\n", encoding="utf-8")
    code, _, errors = detente("diagnose", run_of(folder, "te+en_none"), *arguments)
    assert code == 2
    assert said in errors


def test_real_text_without_translations(folder: Path, detente: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detente.diagnosis_view.parallel_text", lambda *_: None)
    code, output, _ = detente("diagnose", run_of(folder, "te+en_none"), "--similarity")
    assert code == 0
    assert "--parallel en=FILE,sw=FILE" in output
