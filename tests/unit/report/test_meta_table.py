"""The meta step's two terms: verdict words, twins, and the table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.report import all_tables
from detente.report.formats import to_csv, to_latex, to_markdown
from detente.report.inventory import Study, read_study
from detente.report.meta_table import second_order_table
from detente.report.meta_terms import DEFAULTS, noise_share, twins, verdict_word
from detente.report.meta_verdict import meta_cautions
from detente.results import MetaTerms, read_record, write_record

MakeStudy = Callable[..., Study]
WriteStudy = Callable[..., Path]
SMALL = MetaTerms(
    measured=6, direct_norm=2.0, second_order_norm=0.01, ratio=0.005, cosine=0.02, difference_error=0.03, direct_noise=1.24
)  # fmt: skip
LARGE = SMALL.model_copy(update={"second_order_norm": 1.6, "ratio": 0.8, "direct_noise": 0.2})
LEFT_OUT = MetaTerms(measured=6, direct_norm=2.0, direct_noise=1.2)
NO_DIRECT = MetaTerms(measured=6, direct_norm=0.0, second_order_norm=0.01, difference_error=0.04)
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


@pytest.mark.parametrize(
    ("settings", "terms", "word"),
    [
        ({}, [SMALL, SMALL], "below noise"),
        ({}, [LARGE, LARGE], "above noise"),
        ({}, [SMALL, LARGE, LARGE], "below noise in 1 of 3"),
        ({}, [SMALL, SMALL.model_copy(update={"direct_noise": None})], "below noise"),
        ({}, [SMALL.model_copy(update={"direct_noise": None})], "not measured"),
        ({}, [], "not measured"),
        ({"meta.second_order": "none"}, [LEFT_OUT], "left out"),
        ({"meta.meta_languages": "others"}, [NO_DIRECT], "no direct term"),
        ({"meta.meta_languages": 2}, [LARGE], "above noise"),
    ],
)
def test_verdict_word(settings: dict[str, Any], terms: list[MetaTerms], word: str) -> None:
    assert verdict_word(DEFAULTS | settings, dict(enumerate(terms))) == word


def test_noise_is_a_share_of_the_direct_term() -> None:
    assert noise_share(SMALL) == pytest.approx(0.62)
    assert noise_share(NO_DIRECT) is None
    assert noise_share(SMALL.model_copy(update={"direct_norm": 0.0})) is None


@pytest.mark.parametrize(
    ("variants", "pairs"),
    [
        ({"first": {"second_order": "none"}}, [("meta-adapter", "first", ())]),
        # What changes nothing without second order, or nothing at all, may differ.
        (
            {"first": {"second_order": "none", "epsilon": 0.5, "measure_every": 7, "skip_limit": 1}},
            [("meta-adapter", "first", ())],
        ),
        ({"first": {"second_order": "none", "meta_split": "train"}}, []),
        ({"first": {"second_order": "none", "beta": 0.1}}, []),
        (
            {"first": {"second_order": "none"}, "quarter": {"inner_fraction": 0.25}},
            [("meta-adapter", "first", ()), ("quarter", "first", ("meta.inner_fraction",))],
        ),
        # The closest one, though it comes later.
        (
            {"near": {"second_order": "none", "inner_fraction": 0.25}, "same": {"second_order": "none"}},
            [("meta-adapter", "same", ())],
        ),
        ({"fused": {"order": "fused"}}, []),
    ],
)
def test_twins(
    make_study: MakeStudy, variants: dict[str, dict[str, Any]], pairs: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    study = make_study(
        treatments=("none", "meta-adapter"),
        seeds=(1,),
        variants={name: {"meta": meta} for name, meta in variants.items()},
    )
    assert [(pair.full.name, pair.without.name, pair.also) for pair in twins(study)] == pairs


def test_twins_are_of_one_mixture(make_study: MakeStudy) -> None:
    absent = {"en+sw+te_held-out_seed1", "en+te_meta-adapter_seed1"}
    study = make_study(
        languages=("en", "sw", "te"),
        mixtures=(("en", "te"), ("en", "sw", "te")),
        treatments=("meta-adapter",),
        variants={"held-out": HELD_OUT},
        seeds=(1,),
        absent=absent,
    )
    assert twins(study) == ()


def test_records_from_before_a_setting_have_its_default(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("meta-adapter",), seeds=(1,), variants={"held-out": HELD_OUT})
    edit(folder, "en+sw_meta-adapter_seed1", settings={"meta": {"beta": None, "epsilon": 0.01}})
    assert [pair.full.name for pair in twins(read_study(folder))] == ["meta-adapter"]


def study_with_terms(make_study: MakeStudy, **options: Any) -> Study:
    """All four verdict words."""
    variants = {
        "held-out": HELD_OUT,
        "strong": {"meta": {"beta": 0.1}},
        "others": {"meta": {"meta_languages": "others"}},
    }
    terms = {"meta-adapter": SMALL, "held-out": LEFT_OUT, "strong": LARGE, "others": NO_DIRECT}
    return make_study(
        **{"treatments": ("none", "adapter", "meta-adapter"), "variants": variants, "terms": terms, **options}
    )


def test_table(make_study: MakeStudy) -> None:
    table = second_order_table(study_with_terms(make_study, absent={"en+sw_strong_seed3"}))
    assert [[plain(text) for text in row] for row in table.as_rows()] == [
        ["mixture", "system", "verdict", "second order / direct", "noise / direct", "cosine", "one-sided error", "skipped",
         "seconds per step", "seeds"],
        ["en+sw", "+ meta-adapter", "below noise", "0.50 +- 0.12 %", "62 +- 0 %", "+0.02 +- 0.00", "3.0 +- 0.0 %", "0",
         "3.1 x adapter", "3"],
        ["en+sw", "+ held-out", "left out", "", "60 +- 0 %", "", "", "0", "3.1 x adapter", "3"],
        ["en+sw", "+ strong", "above noise", "76 +- 51 %", "10 +- 0 %", "+0.02 +- 0.00", "3.0 +- 0.0 %", "0",
         "3.1 x adapter", "2 of 3"],
        ["en+sw", "+ others", "no direct term", "", "", "", "4.0 +- 0.0 %", "0", "3.1 x adapter", "3"],
    ]  # fmt: skip


def test_table_of_one_seed_has_no_interval(make_study: MakeStudy) -> None:
    assert "\N{PLUS-MINUS SIGN}" not in str(second_order_table(study_with_terms(make_study, seeds=(2,))).as_rows())


def test_a_missing_system_is_said_to_be(make_study: MakeStudy) -> None:
    absent = {f"en+sw_strong_seed{seed}" for seed in (1, 2, 3)}
    row = second_order_table(study_with_terms(make_study, absent=absent)).rows[2]
    assert [cell.text for cell in row.cells] == ["missing", "", "", "", "", "", "", "0 of 3"]


@pytest.mark.parametrize(
    ("treatments", "text"),
    [(("none", "adapter", "meta-adapter"), "3.1 x adapter"), (("none", "meta-adapter"), "3.1 x untreated"), (("meta-adapter",), "")],
)  # fmt: skip
def test_seconds_name_what_they_are_compared_with(
    make_study: MakeStudy, treatments: tuple[str, ...], text: str
) -> None:
    study = make_study(treatments=treatments, terms={"meta-adapter": SMALL}, seeds=(1, 2))
    assert plain(second_order_table(study).rows[0].cells[-2].text) == text


def test_seconds_are_paired_by_seed(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("adapter", "meta-adapter"), terms={"meta-adapter": SMALL}, seeds=(1, 2))
    # A slow machine did both runs of seed 1.
    for name, seconds in {"adapter": 500.0, "meta-adapter": 1050.0}.items():
        edit(folder, f"en+sw_{name}_seed1", train_seconds=seconds)
    assert plain(second_order_table(read_study(folder)).rows[0].cells[-2].text) == "2.6 x adapter"


def test_no_terms_no_table_and_no_caution(make_study: MakeStudy) -> None:
    study = make_study()
    assert second_order_table(study).rows == ()
    assert "second-order" not in {table.key for table in all_tables(study)}
    assert meta_cautions(study) == ()


def test_files_of_the_table(make_study: MakeStudy) -> None:
    table = second_order_table(study_with_terms(make_study))
    assert "| en+sw | + meta-adapter | below noise | 0.50 +- 0.12 % |" in plain(to_markdown(table))
    assert r"62 $\pm$ 0~\% & +0.02 $\pm$ 0.00 & 3.0 $\pm$ 0.0~\% & 0 & 3.1 $\times$ adapter & 3 \\" in to_latex(table)
    assert "en+sw,meta-adapter,verdict,below noise," in to_csv(table)
