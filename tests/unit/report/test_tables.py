"""Cells, marks, averages and the exact text of small tables."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.report import all_tables, summary_table
from detente.report.formats import escape_latex, escape_markdown, to_csv, to_latex, to_markdown
from detente.report.inventory import Study, read_study
from detente.report.measures import BITS, INTERFERENCE, PERPLEXITY
from detente.report.side_tables import cost, recovered_table, summary, text_seen
from detente.report.tables import BEST_NOTE, PLATEAU_NOTE, VOCABULARIES_NOTE, best_of, measure_table
from detente.report.verdict import cautions
from detente.results import read_record, write_record

MakeStudy = Callable[..., Study]
WriteStudy = Callable[..., Path]
SMALL = {"treatments": ("none", "ffn"), "noise": 0.0, "interference": {"en": 0.08, "sw": -0.04}}


def texts(rows: list[list[str]]) -> list[list[str]]:
    return [[text.replace("\N{MINUS SIGN}", "-").replace("\N{PLUS-MINUS SIGN}", "+-") for text in row] for row in rows]


def test_bits_per_character(make_study: MakeStudy) -> None:
    assert texts(measure_table(make_study(**SMALL), BITS).as_rows()) == [
        ["mixture", "system", "en", "sw", "average", "seeds"],
        ["", "mono", "2.000 +- 0.000", "2.000 +- 0.000", "2.000 +- 0.000", "3"],
        ["en+sw", "untreated", "2.080 +- 0.000", "1.960 +- 0.000", "2.020 +- 0.000", "3"],
        ["en+sw", "+ ffn", "2.020 +- 0.000", "1.990 +- 0.000", "2.005 +- 0.000", "3"],
        ["count models", "unigram", "2.700", "2.700", "2.700", ""],
        ["count models", "bigram", "2.200", "2.200", "2.200", ""],
    ]


def test_interference(make_study: MakeStudy) -> None:
    table = measure_table(make_study(**SMALL), INTERFERENCE, with_mono=False)
    assert texts(table.as_rows())[1:] == [
        ["en+sw", "untreated", "+0.080 +- 0.000", "-0.040 +- 0.000", "+0.020 +- 0.000", "3"],
        ["en+sw", "+ ffn", "+0.020 +- 0.000", "-0.010 +- 0.000", "+0.005 +- 0.000", "3"],
    ]
    assert [cell.word for cell in table.rows[0].cells] == ["hurt", "helped", None, None]


def test_missing_cells_are_shown_and_spoil_the_average(make_study: MakeStudy) -> None:
    absent = {"en_none_seed1", *(f"en+sw_ffn_seed{seed}" for seed in (1, 2, 3))}
    rows = {row[1]: row for row in texts(measure_table(make_study(**SMALL, absent=absent), BITS).as_rows())}
    # English lacks a seed that Swahili has: no average over unequal seeds.
    assert rows["mono"] == ["", "mono", "2.000 +- 0.000", "2.000 +- 0.000", "", "2-3 of 3"]
    assert rows["+ ffn"] == ["en+sw", "+ ffn", "missing", "missing", "", "0 of 3"]


def test_a_language_outside_the_mixture_is_not_missing(make_study: MakeStudy) -> None:
    study = make_study(languages=("en", "sw", "te"), mixtures=(("en", "te"),), treatments=("none",))
    assert study.languages == ("en", "te", "sw")
    row = measure_table(study, BITS).rows[1]
    assert [bool(cell.text) for cell in row.cells] == [True, True, False, False, True]
    assert not any(cell.is_missing for cell in row.cells)


def test_one_seed_shows_no_interval_and_no_best(make_study: MakeStudy) -> None:
    table = measure_table(make_study(seeds=(1,)), BITS)
    assert "\N{PLUS-MINUS SIGN}" not in str(table.as_rows())
    assert not any(cell.is_best for row in table.rows for cell in row.cells)


def test_best_is_marked_only_beyond_doubt(make_study: MakeStudy) -> None:
    clear = measure_table(make_study(treatments=("none", "ffn"), noise=0.001), BITS)
    assert [row.label for row in clear.rows if row.cells[0].is_best] == ["mono"]
    assert BEST_NOTE in clear.notes
    noisy = measure_table(make_study(treatments=("none", "ffn"), noise=0.5), BITS)
    assert not any(cell.is_best for row in noisy.rows for cell in row.cells)


def test_best_of_goes_by_direction_and_shared_seeds() -> None:
    low, high = {1: 1.0, 2: 1.1, 3: 1.0}, {1: 2.0, 2: 2.1, 3: 2.1}
    assert best_of([low, high], "lower") == 0
    assert best_of([low, high], "higher") == 1
    assert best_of([low, {}], "lower") is None  # nothing to compare with
    assert best_of([low, {4: 2.0}], "lower") is None  # no seed in common
    assert best_of([low, low], "lower") is None


def test_plateau_is_marked_and_explained(make_study: MakeStudy) -> None:
    study = make_study(stuck={"en_none_seed2"})
    bits, compared = measure_table(study, BITS), measure_table(study, INTERFERENCE, with_mono=False)
    assert bits.rows[0].cells[0].display.endswith("\N{DAGGER}")
    assert not bits.rows[1].cells[0].display.endswith("\N{DAGGER}")
    assert compared.rows[0].cells[0].display.endswith("\N{DAGGER}")
    assert compared.rows[0].cells[0].word == "cannot tell"
    assert PLATEAU_NOTE in bits.notes
    assert PLATEAU_NOTE in compared.notes


def test_several_vocabularies(write_study: WriteStudy) -> None:
    folder = write_study(noise=0.001)
    for run_folder in (folder / "runs").iterdir():
        record = read_record(run_folder)
        if len(record.mixture) == 2:
            write_record(run_folder, record.model_copy(update={"vocabulary": "77aa" * 16}))
    tables = {table.key: table for table in all_tables(read_study(folder))}
    assert VOCABULARIES_NOTE in tables["perplexity"].notes
    assert VOCABULARIES_NOTE not in tables["bits-per-character"].notes
    assert not any(cell.is_best for row in tables["perplexity"].rows for cell in row.cells)
    labels = [row.label for row in tables["perplexity"].rows if row.group == "count models"]
    assert labels == ["unigram (3f9c3f9c)", "unigram (77aa77aa)", "bigram (3f9c3f9c)", "bigram (77aa77aa)"]


def test_summary_has_a_block_a_language(write_study: WriteStudy) -> None:
    rows = texts(summary_table(write_study(**SMALL)).as_rows())
    assert rows[0][2:] == [
        "bits per character",
        "perplexity",
        "interference",
        "verdict",
        "recovered",
        "early loss",
        "seeds",
    ]
    assert [row[:2] for row in rows[1:7]] == [
        ["en", "mono"],
        ["en", "untreated"],
        ["en", "+ ffn"],
        ["en", "unigram"],
        ["en", "bigram"],
        ["sw", "mono"],
    ]
    english = rows[3]
    assert english[4:] == ["+0.020 +- 0.000", "hurt", "75\N{NO-BREAK SPACE}% [75, 75]", "5.881 +- 0.000", "3"]


def test_summary_agrees_with_the_other_tables(make_study: MakeStudy) -> None:
    study = make_study(absent={"en+sw_ffn_seed1"}, stuck={"en+sw_adapter_seed2"})
    for place, language in enumerate(study.languages):
        block = [row for row in summary(study).rows if row.group == language]
        for column, measure in enumerate((BITS, PERPLEXITY)):
            assert [row.cells[column] for row in block] == [
                row.cells[place] for row in measure_table(study, measure).rows
            ]


def test_text_seen_and_cost(make_study: MakeStudy) -> None:
    study = make_study(treatments=("none", "ffn"), seeds=(1, 2))
    assert text_seen(study).as_rows()[1:3] == [
        ["", "mono", "19,200", "6.40", "19,200", "6.40"],
        ["en+sw", "untreated", "9,600", "3.20", "9,600", "3.20"],
    ]
    assert cost(study).as_rows()[-1] == [
        "en+sw", "+ ffn", "580,000", "460,000", "120,000", "600", "614,400", "50.0", "60.0", "400", "2",
    ]  # fmt: skip


def test_recovered_is_empty_where_nothing_was_lost(make_study: MakeStudy) -> None:
    table = recovered_table(make_study(**SMALL, absent={f"en+sw_ffn_seed{seed}" for seed in (1, 2, 3)}))
    assert table.as_rows()[1:] == [["en+sw", "+ ffn", "missing", "missing"]]
    assert recovered_table(make_study(**SMALL)).rows[0].cells[1].text == ""


def test_a_study_of_mono_runs_only(make_study: MakeStudy) -> None:
    study = make_study(mixtures=())
    keys = [table.key for table in all_tables(study)]
    assert keys == ["summary", "bits-per-character", "perplexity", "early-loss", "text-seen", "cost"]
    assert cautions(study) == ()


def test_markdown_text(make_study: MakeStudy) -> None:
    table = measure_table(make_study(**SMALL, seeds=(1, 2)), INTERFERENCE, with_mono=False)
    assert to_markdown(table).splitlines()[2:] == [
        "| mixture | system | en | sw | average | seeds |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| en+sw | untreated | +0.080 \N{PLUS-MINUS SIGN} 0.000 hurt | \N{MINUS SIGN}0.040 \N{PLUS-MINUS SIGN} 0.000 helped "
        "| +0.020 \N{PLUS-MINUS SIGN} 0.000 | 2 |",
        "| en+sw | + ffn | +0.020 \N{PLUS-MINUS SIGN} 0.000 hurt | \N{MINUS SIGN}0.010 \N{PLUS-MINUS SIGN} 0.000 helped "
        "| +0.005 \N{PLUS-MINUS SIGN} 0.000 | 2 |",
    ]


def test_latex_text(make_study: MakeStudy) -> None:
    study = make_study(
        languages=("en_l", "sw"), treatments=("none",), noise=0.0, interference={"en_l": 0.08, "sw": -0.04}
    )
    table = measure_table(study, INTERFERENCE, with_mono=False)
    body = to_latex(table).splitlines()
    assert body[0] == r"\begin{table}"
    assert body[4:12] == [
        r"\begin{tabular}{llrrrr}",
        r"\toprule",
        r"mixture & system & en\_l & sw & average & seeds \\",
        r"\midrule",
        r"en\_l+sw & untreated & +0.080 $\pm$ 0.000 & $-$0.040 $\pm$ 0.000 & +0.020 $\pm$ 0.000 & 3 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_latex_group_headings(make_study: MakeStudy) -> None:
    assert r" &  & \multicolumn{2}{c}{en} & \multicolumn{2}{c}{sw} \\" in to_latex(text_seen(make_study()))


def test_csv_has_full_precision(make_study: MakeStudy) -> None:
    study = make_study()
    table = measure_table(study, INTERFERENCE, with_mono=False)
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    found = table.rows[0].cells[0].estimate
    assert found is not None
    assert (rows[0]["mixture"], rows[0]["system"], rows[0]["column"]) == ("en+sw", "untreated", "en")
    assert (float(rows[0]["value"]), float(rows[0]["low"]), float(rows[0]["high"])) == (
        found.mean,
        found.low,
        found.high,
    )
    assert (rows[0]["verdict"], rows[0]["has_learned"]) == ("hurt", "true")
    assert "ffn" in {row["system"] for row in rows}  # without the plus sign, which spreadsheets read as a formula


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"a\b", r"a\textbackslash{}b"),
        ("50 % & $x_1$ #{~^}", r"50 \% \& \$x\_1\$ \#\{\textasciitilde{}\textasciicircum{}\}"),
        ("<b>", r"\textless{}b\textgreater{}"),
        ("[a] * b", "{[}a] {*} b"),
    ],
)
def test_latex_escaping(text: str, escaped: str) -> None:
    assert escape_latex(text) == escaped


def test_markdown_escaping() -> None:
    assert escape_markdown("a|b <i> [x](y) *z*\n`c`") == r"a\|b &lt;i&gt; \[x\](y) \*z\* \`c\`"
