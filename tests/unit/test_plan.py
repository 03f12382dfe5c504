"""Which runs a study has: its grid, what is left out of it, what is added, and the fine-tunings of each."""

from typing import Any

import pytest

from detente.errors import ConfigError
from detente.settings import StudySettings, study_from_mapping
from detente.study.plan import mixtures, plan_runs, planned_tunings

LANGUAGES = {label: {"paths": "x"} for label in ("en", "sw", "te")}


def study(**settings: Any) -> StudySettings:
    return study_from_mapping({"preset": "tiny", "languages": LANGUAGES, **settings})


def names(**settings: Any) -> list[str]:
    return [run.name.replace("_seed", " ").replace("_none", "") for run in plan_runs(study(**settings))]


ALL = ["en 1", "sw 1", "te 1", "en+sw+te 1", "en+sw+te_ffn 1", "en 2", "sw 2", "te 2", "en+sw+te 2", "en+sw+te_ffn 2"]
GRID = {"treatments": ["none", "ffn"], "seeds": [1, 2]}


def test_seeds_outermost_and_mono_first() -> None:
    assert names(**GRID) == ALL
    assert names(treatments=["ffn"]) == ["en 1", "sw 1", "te 1", "en+sw+te_ffn 1"]
    assert names(mixtures=["joint", "pairs", ["sw", "en"]]) == ["en+sw 1", "en+te 1", "sw+te 1", "en+sw+te 1"]


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        ([{"seed": 2}], ALL[5:]),
        ([{"treatment": "ffn"}], ["en+sw+te_ffn 1", "en+sw+te_ffn 2"]),
        ([{"treatment": "ffn", "seed": 2}], ["en+sw+te_ffn 2"]),
        ([{"mixture": ["te"]}, {"mixture": "joint", "seed": 1}], ["te 1", "te 2", "en+sw+te 1", "en+sw+te_ffn 1"]),
        # In the order of the file or not.
        ([{"mixture": ["te", "sw", "en"], "treatment": "none"}], ["en+sw+te 1", "en+sw+te 2"]),
        ([{"treatment": "none"}], [name for name in ALL if "ffn" not in name]),
    ],
)
def test_excluded_runs_are_those_that_agree_in_all(exclude: list[dict[str, Any]], gone: list[str]) -> None:
    assert names(**GRID, exclude=exclude) == [name for name in ALL if name not in gone]


@pytest.mark.parametrize(
    ("include", "more"),
    [
        ([{"seed": 3, "mixture": "mono"}], ["en 3", "sw 3", "te 3"]),
        ([{"mixture": ["sw", "en"], "treatment": "none", "seed": 2}], ["en+sw 2"]),
        ([{"treatment": "adapter"}], ["en+sw+te_adapter 1", "en+sw+te_adapter 2"]),
        ([{"treatment": "wide", "seed": 1}], ["en+sw+te_wide 1"]),
        # The joint run that the grid has is not made twice.
        (
            [
                {"mixture": "joint", "seed": 1, "treatment": "adapter"},
                {"seed": 4, "mixture": "joint", "treatment": "ffn"},
            ],
            ["en+sw+te_adapter 1", "en+sw+te_ffn 4"],
        ),
    ],
)
def test_included_runs_come_beside_the_grid(include: list[dict[str, Any]], more: list[str]) -> None:
    variants = {"wide": {"treatment": "adapter", "adapter": {"width": 32}}}
    exclude = [{"treatment": "wide"}]
    found = names(**GRID, variants=variants, exclude=exclude, include=include)
    assert sorted(found) == sorted([*ALL, *more])
    assert [name for name in found if name in ALL] == ALL


def test_what_is_excluded_may_be_included_again_and_what_nothing_reads_is_not_prepared() -> None:
    only = study(**GRID, exclude=[{"mixture": "mono"}, {"seed": 2}], include=[{"mixture": ["te"], "seed": 2}])
    assert [run.name for run in plan_runs(only)] == ["en+sw+te_none_seed1", "en+sw+te_ffn_seed1", "te_none_seed2"]
    assert mixtures(only) == [("te",), ("en", "sw", "te")]


def test_the_held_out_split_is_needed_for_what_is_included() -> None:
    assert not study().needs_meta_split
    assert study(include=[{"treatment": "meta-adapter"}]).needs_meta_split
    with pytest.raises(ConfigError, match=r"`splits\.meta` is 0"):
        study(include=[{"treatment": "meta-adapter"}], splits={"meta": 0})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"exclude": [{}]}, "`exclude.0` is empty. Say which runs: `mixture`, `treatment`, `seed`"),
        (
            {"exclude": [{"treatment": "adaptor"}]},
            "`exclude.0.treatment`: `adaptor` is neither a treatment nor one of `variants`. Did you mean `adapter`?",
        ),
        (
            {"include": [{"mixture": "joined"}]},
            "`include.0.mixture`: `joined` is none of mono, pairs, joint. Did you mean `joint`?",
        ),
        (
            {"exclude": [{"seed": 1}, {"mixture": ["en", "swa"]}]},
            "`exclude.1.mixture`: `swa` is not among `languages`. Did you mean `sw`?",
        ),
        (
            {"exclude": [{"treatmnt": "ffn"}]},
            "`exclude.0.treatmnt` is not a setting. Did you mean `exclude.treatment`?",
        ),
        (
            {"exclude": [{"treatment": "ffn", "seed": 7}]},
            "`exclude`: no run has treatment ffn, seed 7, or an entry before leaves it out. Remove it.",
        ),
        ({"exclude": [{"mixture": "joint"}, {"mixture": "mono"}]}, "`exclude` leaves no run."),
        (
            {"include": [{"mixture": ["te"]}]},
            "`include`: mixture ['te'] adds no run to those that are there. Remove it.",
        ),
        ({"include": [{"mixture": "mono", "treatment": "ffn"}]}, "`include`: mixture mono, treatment ffn adds no run"),
    ],
)
def test_mistakes(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        names(**settings)
    assert words in str(raised.value)


def test_fine_tunings_of_a_run() -> None:
    files = {"train": "t", "test": "e"}
    tasks = {
        "ner": {"data": {"en": files, "sw": files, "te": {"test": "e"}}, "seeds": [1, 2]},
        "pos": {"data": {"en": files, "sw": files}, "sources": ["sw"]},
    }
    planned = study(tasks=tasks)
    ner = [("ner", source, seed) for source in ("en", "sw") for seed in (1, 2)]
    assert list(planned_tunings(planned, ("en", "sw", "te"))) == [*ner, ("pos", "sw", 1)]
    assert list(planned_tunings(planned, ("en",))) == ner[:2]
    assert list(planned_tunings(planned, ("te",))) == []
