"""What is said of the meta step's two terms, sentence by sentence, and where the page says it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.report import write_report
from detente.report.comparisons import Comparison
from detente.report.inventory import Study, System, read_study
from detente.report.meta_table import second_order_table
from detente.report.meta_verdict import (
    Share,
    below_noise_sentence,
    meta_cautions,
    second_order_findings,
    second_order_sentence,
    skipped_sentence,
)
from detente.report.statistics import estimate
from detente.report.verdict import cautions
from detente.results import MetaTerms, read_record, write_record

MakeStudy = Callable[..., Study]
WriteStudy = Callable[..., Path]
JOINT = ("en", "sw")
SMALL = MetaTerms(
    measured=6, direct_norm=2.0, second_order_norm=0.01, ratio=0.005, cosine=0.02, difference_error=0.03, direct_noise=1.24
)  # fmt: skip
LARGE = SMALL.model_copy(update={"second_order_norm": 1.6, "ratio": 0.8, "direct_noise": 0.2})
LEFT_OUT = MetaTerms(measured=6, direct_norm=2.0, direct_noise=1.2)
HELD_OUT = {"meta": {"second_order": "none"}}


def plain(text: str) -> str:
    """With ordinary signs, to read in a test."""
    for sign, ordinary in {"\N{NO-BREAK SPACE}": " ", "\N{MINUS SIGN}": "-", "\N{PLUS-MINUS SIGN}": "+-"}.items():
        text = text.replace(sign, ordinary)
    return text.replace("\N{MULTIPLICATION SIGN}", "x")


def edit(folder: Path, name: str, **changes: Any) -> None:
    """Rewrite the record of one run."""
    run_folder = next(path for path in (folder / "runs").iterdir() if read_record(path).name == name)
    write_record(run_folder, read_record(run_folder).model_copy(update=changes))


def compared(*differences: float, has_learned: bool = True) -> Comparison:
    return Comparison(estimate(differences), has_learned, 1.0)


@pytest.mark.parametrize(
    ("comparison", "sentence"),
    [
        (
            compared(-0.10, -0.11, -0.12),
            "The second-order term helps en: full minus held-out -0.110 bits per character (95 % interval -0.135 to -0.085, 3 seeds).",
        ),
        (
            compared(0.10, 0.11, 0.12),
            "The second-order term hurts en: full minus held-out +0.110 bits per character (95 % interval +0.085 to +0.135, 3 seeds).",
        ),
        (
            compared(0.10, -0.20, 0.15),
            "Whether the second-order term changes en, we cannot tell: full minus held-out +0.017 bits per character, and the "
            "95 % interval holds zero (-0.454 to +0.487, 3 seeds).",
        ),
        (
            compared(-0.4),
            "Whether the second-order term changes en, we cannot tell: full minus held-out -0.400 bits per character from 1 seed, "
            "which gives no interval.",
        ),
        (
            compared(-0.10, -0.11, -0.12, has_learned=False),
            "Whether the second-order term changes en, we cannot tell: not all runs behind it have left the unigram plateau.",
        ),
        (
            None,
            "Whether the second-order term changes en is not known: a seed with both runs, full and held-out, is missing.",
        ),
    ],
)
def test_sentence_on_twins(comparison: Comparison | None, sentence: str) -> None:
    assert plain(second_order_sentence("en", "full", "held-out", comparison)) == sentence


def test_findings_go_by_language_and_say_what_else_differs(make_study: MakeStudy) -> None:
    variants = {
        "held-out": {**HELD_OUT, "remains": 1.0},
        "quarter": {"meta": {"inner_fraction": 0.25}, "remains": 1.0},
    }
    found = second_order_findings(make_study(treatments=("meta-adapter",), variants=variants, noise=0.001))
    assert [(finding.subject, finding.word) for finding in found] == [
        ("en in en+sw: meta-adapter against held-out", "helped"),
        ("sw in en+sw: meta-adapter against held-out", "hurt"),
        ("en in en+sw: quarter against held-out", "cannot tell"),
        ("sw in en+sw: quarter against held-out", "cannot tell"),
    ]
    assert "differ" not in found[0].text
    assert found[2].text.endswith(" They also differ in meta.inner_fraction.")
    (helped, _) = second_order_findings(
        make_study(
            name="near",
            treatments=("meta-adapter",),
            variants={"near": {"meta": {"second_order": "none", "inner_fraction": 0.25}, "remains": 1.0}},
        )
    )
    assert helped.text.endswith(" They also differ in meta.inner_fraction, which may have a part in it.")


def test_sentence_on_noise() -> None:
    assert plain(below_noise_sentence([Share("meta-adapter", 0.005, 0.62)], have_twins=False)) == (
        "meta-adapter: the second-order term is 0.50 % of the held-out gradient, below the noise of drawing another batch (62 %). "
        "What it does here may come from training phi on held-out text alone; compare with a variant with second_order: none."
    )
    both = [Share("meta-adapter", 0.021, 0.62), Share("fused", 0.005, 0.62)]
    assert plain(below_noise_sentence(both, have_twins=True)) == (
        "meta-adapter and fused: the second-order term is 0.50 % to 2.1 % of the held-out gradient, below the noise of drawing "
        "another batch (62 %). What they do here may come from training phi on held-out text alone; the comparisons in the section "
        "on the meta step say more."
    )


def test_cautions_are_on_systems_below_noise_in_all_runs(write_study: WriteStudy) -> None:
    variants = {"held-out": HELD_OUT, "fused": {"meta": {"order": "fused"}}, "strong": {"meta": {"beta": 0.1}}}
    terms = {"meta-adapter": SMALL, "held-out": LEFT_OUT, "fused": SMALL, "strong": LARGE}
    folder = write_study(treatments=("none", "meta-adapter"), variants=variants, terms=terms)
    paired, alone = cautions(read_study(folder))
    assert (paired.split(":")[0], alone.split(":")[0]) == ("meta-adapter", "fused")
    assert "say more" in paired
    assert alone.endswith("compare with a variant with second_order: none.")
    edit(folder, "en+sw_fused_seed2", meta=LARGE)
    assert [text.split(":")[0] for text in cautions(read_study(folder))] == ["meta-adapter"]


def test_cautions_name_the_mixture_where_there_are_several(make_study: MakeStudy) -> None:
    study = make_study(
        languages=("en", "sw", "te"),
        mixtures=(("en", "sw"), ("en", "te")),
        treatments=("none", "meta-adapter"),
        terms={"meta-adapter": SMALL},
    )
    (caution,) = meta_cautions(study)
    assert caution.split(":")[0] == "meta-adapter in en+sw and meta-adapter in en+te"


def test_skipped_updates_are_mentioned(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none", "meta-adapter"), terms={"meta-adapter": LARGE})
    assert cautions(read_study(folder)) == ()
    edit(folder, "en+sw_meta-adapter_seed2", meta=LARGE.model_copy(update={"skipped": 3}))
    study = read_study(folder)
    sentence = "Updates of phi that were left out, because the held-out gradient was zero or not finite: 3 in meta-adapter (1 of 3 runs)."
    assert cautions(study) == (sentence,)
    assert second_order_table(study).rows[0].cells[-3].text == "3"
    two = [("meta-adapter", 3, 1, 3), ("fused", 1, 1, 2)]
    assert skipped_sentence(two).endswith(": 3 in meta-adapter (1 of 3 runs), 1 in fused (1 of 2 runs).")


@pytest.mark.usefixtures("without_figures")
def test_page(write_study: WriteStudy) -> None:
    terms = {"meta-adapter": SMALL, "held-out": LEFT_OUT}
    options = {"treatments": ("none", "meta-adapter"), "seeds": (1, 2), "terms": terms}
    page = write_report(write_study(**options, variants={"held-out": HELD_OUT})).read_text(encoding="utf-8")
    assert '<a href="#meta-step">The meta step</a>' in page
    assert "en in en+sw: meta-adapter against held-out" in page
    assert '<span class="word below noise">below noise</span>' in page
    assert "<dt>+ held-out</dt><dd>meta-adapter; meta.second_order: none</dd>" in page
    alone = write_report(write_study("alone", **options)).read_text(encoding="utf-8")
    assert "No two systems differ in the second-order term alone" in alone
    assert 'id="variants"' not in alone
    without = write_report(write_study("without", **{**options, "terms": {}})).read_text(encoding="utf-8")
    assert "meta-step" not in without


@pytest.mark.usefixtures("without_figures")
def test_the_tables_files_go_with_the_terms(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none", "meta-adapter"), seeds=(1,), terms={"meta-adapter": SMALL})
    write_report(folder)
    assert {path.suffix for path in folder.glob("tables/second-order.*")} == {".csv", ".md", ".tex"}
    edit(folder, "en+sw_meta-adapter_seed1", meta=None)
    write_report(folder)
    assert not list(folder.glob("tables/second-order.*"))
    assert System(JOINT, "meta-adapter") in read_study(folder).by_system
