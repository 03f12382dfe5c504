"""Variants of a treatment are systems of their own: in order, tables, gaps, cautions and figures."""

import json
import re
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from detente.report import all_tables, write_report
from detente.report.comparisons import inconsistencies
from detente.report.curves import Curve
from detente.report.figures import _legend_columns
from detente.report.inventory import Study, System, mono, read_study
from detente.report.palette import HATCH, LOOKS, MONO, OTHER, UNIGRAM, VARIANTS, look_of_variant
from detente.report.panels import LONGEST_LABEL, CurveLine, panels_of, short_label
from detente.report.variants import variant_facts
from detente.report.verdict import findings
from detente.results import read_record, write_record

MakeStudy = Callable[..., Study]
WriteStudy = Callable[..., Path]
JOINT = ("en", "sw")
TWO = {"slow": {"meta": {"every": 2}}, "fast": {"meta": {"every": 4}}}
CURVE = Curve((1,), (1.0,), (1.0,), (1.0,), 1)


def test_variants_follow_the_treatments_in_the_plans_order(make_study: MakeStudy) -> None:
    study = make_study(treatments=("none", "meta-adapter", "ffn"), variants=TWO)
    assert [system.name for system in study.systems if not system.is_mono] == [
        "none", "ffn", "meta-adapter", "slow", "fast",
    ]  # fmt: skip
    assert study.variants == ("slow", "fast")
    assert set(study.by_system[System(JOINT, "meta-adapter", "slow")]) == {1, 2, 3}


def test_without_a_plan_variants_go_by_the_alphabet(make_study: MakeStudy) -> None:
    assert make_study(treatments=("none",), variants=TWO, has_plan=False).variants == ("fast", "slow")


def test_a_missing_run_of_a_variant_is_its_own(make_study: MakeStudy) -> None:
    study = make_study(variants=TWO, absent={"en+sw_slow_seed2"})
    assert [(gap.name, gap.system) for gap in study.gaps] == [
        ("en+sw_slow_seed2", System(JOINT, "meta-adapter", "slow"))
    ]
    assert study.num_expected(System(JOINT, "meta-adapter")) == 3
    rows = {row.label: row for table in all_tables(study) if table.key == "interference" for row in table.rows}
    assert rows["+ slow"].cells[-1].text == "2 of 3"
    assert rows["+ meta-adapter"].cells[-1].text == "3"


def test_a_plan_from_before_variants_is_read(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none", "ffn"), seeds=(1,), absent={"en+sw_ffn_seed1"})
    path = folder / "plan.json"
    plan = json.loads(path.read_text())
    for entry in plan["runs"]:
        del entry["variant"]
    path.write_text(json.dumps(plan))
    assert [gap.system for gap in read_study(folder).gaps] == [System(JOINT, "ffn")]


def test_variants_may_differ_in_settings_their_seeds_may_not(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none", "meta-adapter"), variants=TWO, seeds=(1, 2))
    assert inconsistencies(read_study(folder)) == ()
    run_folder = next(path for path in (folder / "runs").iterdir() if read_record(path).name == "en+sw_slow_seed2")
    record = read_record(run_folder)
    settings = {**record.settings, "meta": {**record.settings["meta"], "every": 3}}
    write_record(run_folder, record.model_copy(update={"settings": settings}))
    assert inconsistencies(read_study(folder)) == ("The runs with slow differ in the setting meta.every: 2 and 3.",)


def test_the_verdict_names_variants(make_study: MakeStudy) -> None:
    variants = {"slow": {"remains": 0.1}, "fast": {"remains": 2.0}}
    english, _ = findings(make_study(treatments=("none",), variants=variants), ("en", "sw"))
    assert re.fullmatch(
        r"For en, better than untreated: slow \(.*\)\. Worse than untreated: fast\.", english.treatments
    )


@pytest.mark.parametrize(("count", "sizes"), [(0, [3]), (1, [3, 3 + 1]), (6, [3, 3 + 6]), (10, [3, 3 + 5, 3 + 5])])
def test_panels_are_small_and_have_what_they_are_compared_with(count: int, sizes: list[int]) -> None:
    variants = [System(JOINT, "meta-adapter", f"v{number}") for number in range(count)]
    systems = [mono("en"), System(JOINT, "none"), System(JOINT, "meta-adapter"), *variants]
    panels = panels_of([(system, CURVE) for system in systems])
    assert [len(panel) for panel in panels] == sizes
    assert [line.system for panel in panels for line in panel if not line.is_context] == systems
    assert all([line.system for line in panel[:3]] == systems[:3] for panel in panels)


def test_treatments_without_variants_are_no_context() -> None:
    systems = [mono("en"), System(JOINT, "ffn"), System(JOINT, "adapter"), System(JOINT, "adapter", "wide")]
    _, second = panels_of([(system, CURVE) for system in systems])
    assert [line.label for line in second] == ["mono", "+ adapter", "+ wide"]


def test_variants_alone_need_no_empty_panel() -> None:
    assert [len(panel) for panel in panels_of([(System(JOINT, "adapter", "wide"), CURVE)])] == [1]


def test_long_names_are_cut_in_the_middle() -> None:
    assert short_label(System(JOINT, "adapter", "wide")) == "+ wide"
    label = short_label(System(JOINT, "adapter", f"begin{'x' * 60}end"))
    assert len(label) <= LONGEST_LABEL
    assert (label[:7], label[-3:]) == ("+ begin", "end")


def test_looks_of_variants_differ_from_each_other_and_from_treatments() -> None:
    looks = [look_of_variant(place) for place in range(14)]
    assert len({(look.color, look.dash) for look in looks}) == len({look.marker for look in looks}) == 14
    assert len({(look.color, look.hatch) for look in looks}) == 14
    assert not {look.color for look in looks} & {look.color for look in (MONO, OTHER, *LOOKS.values())}
    assert all(look.hatch for look in looks)
    assert look_of_variant(14) == looks[0]


def luminance(color: str) -> float:
    """Relative, as WCAG 2 defines it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
def test_every_series_stands_out_from_its_ground(place: int) -> None:
    css = (Path(sys.modules[write_report.__module__].__file__ or "").parent / "page.css").read_text()
    scheme = css.split("@media (prefers-color-scheme: dark)")[place]
    colors = dict(re.findall(r"--series-([\w-]+): (#[0-9a-f]{6})", scheme))
    ground = re.findall(r"--ground: (#[0-9a-f]{6})", scheme)[0]
    names = {look.name for look in (MONO, UNIGRAM, OTHER, *LOOKS.values(), *VARIANTS)}
    assert set(colors) == names
    # WCAG 2.2, AA, of graphics.
    assert {name: contrast(color, ground) for name, color in colors.items() if contrast(color, ground) < 3} == {}
    variants = [colors[look.name] for look in VARIANTS[:7]]
    assert all(first != second for first, second in combinations(variants, 2))


def test_figures_of_many_systems(write_study: WriteStudy) -> None:
    variants: dict[str, dict[str, str]] = {f"variant-{number}": {} for number in range(8)}
    folder = write_study(treatments=("none", "meta-adapter"), variants=variants, seeds=(1, 2))
    page = write_report(folder).read_text(encoding="utf-8")
    heights = {}
    for kind in ("interference-en+sw", "validation-en+sw-en"):
        drawing = ElementTree.parse(folder / "figures" / f"{kind}.svg").getroot()
        heights[kind] = float(drawing.attrib["height"].removesuffix("pt"))
        text = "".join(drawing.itertext())
        assert all(f"+ {name}" in text for name in variants)
    assert heights["interference-en+sw"] > 72 * 4
    assert heights["validation-en+sw-en"] > 72 * 9  # three panels
    # Hatches are painted in the page's colours, and their ids are the figure's own.
    assert HATCH not in page
    patterns = re.findall(r'<pattern id="([^"]+)"', page)
    assert patterns
    assert all(name.startswith("interference-en+sw-") for name in patterns)
    assert set(re.findall(r"fill: url\(#([^)]+)\)", page)) == set(patterns)
    assert '<rect fill="' not in page


@pytest.mark.parametrize(
    ("treatments", "settings"),
    [
        (("none", "meta-adapter"), ["meta.every: 2", "meta.every: 4, meta.beta: 0.1", "the same settings"]),
        # Without the treatment itself, settings are told in which the variants differ.
        (
            ("none",),
            ["meta.beta: null, meta.every: 2", "meta.beta: 0.1, meta.every: 4", "meta.beta: null, meta.every: 1"],
        ),
    ],
)
def test_variants_are_told_by_their_settings(
    make_study: MakeStudy, treatments: tuple[str, ...], settings: list[str]
) -> None:
    variants = {**TWO, "fast": {"meta": {"every": 4, "beta": 0.1}}, "same": {}}
    facts = variant_facts(make_study(treatments=treatments, variants=variants, seeds=(1,)))
    assert [(fact.name, fact.treatment) for fact in facts] == [(name, "meta-adapter") for name in variants]
    assert [set(fact.settings.split(", ")) for fact in facts] == [set(text.split(", ")) for text in settings]


@pytest.mark.parametrize(("length", "columns"), [(4, 3), (16, 2), (30, 1)])
def test_long_names_have_fewer_columns_of_a_legend(length: int, columns: int) -> None:
    systems = [mono("en"), *(System(JOINT, "adapter", f"{number}{'x' * (length - 3)}") for number in range(6))]
    assert _legend_columns([CurveLine(system, CURVE) for system in systems]) == columns


def test_odd_names_stay_text_and_name_no_file(write_study: WriteStudy) -> None:
    evil = ("<script>alert(1)</script>", "../../up", "$x_1$ & 50%|")
    folder = write_study(treatments=("none",), variants={name: {} for name in evil}, seeds=(1, 2))
    page = write_report(folder).read_text(encoding="utf-8")
    assert evil[0] not in page
    assert "+ &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert {path.name for path in folder.parent.iterdir()} == {folder.name}
    assert {path.stem for path in folder.glob("figures/interference*")} == {"interference-en+sw"}
    latex = (folder / "tables" / "interference.tex").read_text(encoding="utf-8")
    assert r"+ \$x\_1\$ \& 50\%|" in latex
    assert r"+ $x_1$ & 50%\|".replace("&", "&amp;") in (folder / "tables" / "interference.md").read_text(
        encoding="utf-8"
    )
