"""Settings of the meta step, for the study and in its variants: what is wrong is named, with what to do."""

from typing import Any

import pytest
from pydantic import ValidationError

from detente.errors import ConfigError
from detente.settings import MetaSettings, RunSettings, StudySettings, study_from_mapping
from detente.settings.presets import PRESETS

LANGUAGES = {
    label: {"constructed": {"sentences": 100, "lexicon_seed": seed}} for seed, label in enumerate(("te", "da", "li"))
}
# Settings of `meta`, and what is said of them.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"epsilon": 0}, "`meta.epsilon`: it should be greater than 0, found 0."),
    ({"epsilon": 2}, "`meta.epsilon`: it should be less than or equal to 1, found 2."),
    ({"epsilon": "x"}, "`meta.epsilon`: it should be a valid number, unable to parse string as a number, found 'x'."),
    ({"inner_fraction": 0}, "`meta.inner_fraction`: it should be greater than 0, found 0."),
    ({"inner_fraction": 1.5}, "`meta.inner_fraction`: it should be less than or equal to 1, found 1.5."),
    ({"meta_fraction": 0}, "`meta.meta_fraction`: it should be greater than 0, found 0."),
    ({"meta_fraction": 1.5}, "`meta.meta_fraction`: it should be less than or equal to 1, found 1.5."),
    ({"every": 0}, "`meta.every`: it should be greater than 0, found 0."),
    *(
        (
            {"meta_languages": wrong},
            f"`meta.meta_languages`: it should be `all`, `others` or a number of languages, 2 or more, found {wrong!r}.",
        )
        for wrong in (1, "some", 2.5, True)
    ),
    (
        {"meta_languages": 4},
        "`meta.meta_languages` is 4, but there is a mixture of 3 languages: use `all`, or a smaller number.",
    ),
    ({"beta": 0}, "`meta.beta`: it should be greater than 0, found 0."),
    ({"beta": 0.1, "beta_multiple": 2}, "`meta`: `beta_multiple` has no effect with a fixed `beta`: remove one."),
    (
        {"second_order": "none", "meta_languages": "others"},
        "`meta`: with `second_order: none` phi learns from its own language's held-out batch only, which `meta_languages: others` "
        "rules out: choose `all`, or another `second_order`.",
    ),
    ({"ordr": "fused"}, "`meta.ordr` is not a setting. Did you mean `meta.order`?"),
    ({"order": "first"}, "`meta.order`: it should be 'theta-after-phi' or 'fused', found 'first'."),
    (
        {"epsilon": 0.1, "second_order": "exact"},
        "`meta.epsilon` has no effect with `meta.second_order: exact`: remove it.",
    ),
    (
        {"epsilon": 0.1, "second_order": "none"},
        "`meta.epsilon` has no effect with `meta.second_order: none`: remove it.",
    ),
]
NO_MIXTURE = (
    "`meta-adapter` needs a mixture of two languages or more, since phi learns what the others need: add one to `mixtures`, or "
    "leave the treatment out."
)
NO_TEXT = "`splits.meta` is 0, but the `meta-adapter` treatment needs held-out text: set it to 0.02, say, or `meta.meta_split: train`."

wrong_settings = pytest.mark.parametrize(("meta", "expected"), WRONG, ids=[str(meta) for meta, _ in WRONG])


def load(**values: Any) -> StudySettings:
    study = {"preset": "tiny", "languages": LANGUAGES, "mixtures": ["joint"], "treatments": ["meta-adapter"]}
    return study_from_mapping({**study, **values})


def problems(**values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(**values)
    return list(caught.value.problems)


def one_variant(**meta: Any) -> dict[str, Any]:
    return {"treatments": ["none"], "variants": {"fast": {"treatment": "meta-adapter", "meta": meta}}}


@wrong_settings
def test_a_wrong_setting_is_named(meta: dict[str, Any], expected: str) -> None:
    assert problems(meta=meta) == [expected]


@wrong_settings
def test_in_a_variant_the_variant_is_named_too(meta: dict[str, Any], expected: str) -> None:
    assert problems(**one_variant(**meta)) == [f"`variants.fast`: {expected}"]


def test_every_problem_of_every_variant_is_told_at_once() -> None:
    variants = {
        "a": {"treatment": "meta-adapter", "meta": {"every": 0, "inner_fraction": 2}},
        "b": {"treatment": "meta-adapter", "adapter": {"widht": 8}},
    }
    found = problems(variants=variants)
    assert [problem.split(":")[0] for problem in found] == ["`variants.a`", "`variants.a`", "`variants.b`"]
    assert found[2].endswith("`adapter.widht` is not a setting. Did you mean `adapter.width`?")


def test_a_variant_is_laid_over_the_studys_settings() -> None:
    study = load(meta={"epsilon": 0.02, "every": 2}, **one_variant(every=3))
    preset = PRESETS["tiny"]["meta"]
    assert study.system_settings("fast")[1] == MetaSettings(**{**preset, "epsilon": 0.02, "every": 3})
    assert study.system_settings("")[1] == MetaSettings(**{**preset, "epsilon": 0.02, "every": 2})


def test_the_papers_preset_has_the_sources_step_and_the_small_ones_a_cheap_one() -> None:
    source, cheap = load(preset="paper").meta, load(preset="mini").meta
    assert (source.order, source.second_order, source.every) == ("theta-after-phi", "central", 1)
    assert (source.inner_fraction, source.meta_fraction) == (1.0, 1.0)
    assert (cheap.order, cheap.second_order, cheap.every) == ("fused", "one-sided", 2)
    assert load(preset="tiny").meta == cheap


@pytest.mark.parametrize("name", ["adapter", "meta-adapter", "a/b", "a_b", "..", "", "caf\u00e9"])
def test_a_variant_has_a_name_of_its_own(name: str) -> None:
    assert problems(variants={name: {"treatment": "meta-adapter"}}) == [
        f"`variants.{name}`: a variant has a name of its own, of ASCII letters, digits, `.`, `+` and `-` (it names folders)."
    ]


def test_misspelt_keys_of_a_variant() -> None:
    (missing, unknown) = problems(variants={"a": {"treatmnt": "adapter"}})
    assert missing == "`variants.a.treatment` is missing."
    assert unknown == "`variants.a.treatmnt` is not a setting. Did you mean `variants.a.treatment`?"
    assert problems(treatment="adapter") == ["`treatment` is not a setting. Did you mean `treatments`?"]


@pytest.mark.parametrize(
    ("mixtures", "smallest"), [(["pairs", "joint"], 2), (["joint"], 3), (["mono", ["te", "li"]], 2)]
)
def test_no_more_languages_validate_than_the_smallest_mixture_has(mixtures: list[Any], smallest: int) -> None:
    load(mixtures=mixtures, meta={"meta_languages": smallest})
    (problem,) = problems(mixtures=mixtures, meta={"meta_languages": smallest + 1})
    assert problem.startswith(
        f"`meta.meta_languages` is {smallest + 1}, but there is a mixture of {smallest} languages"
    )
    load(mixtures=mixtures, meta={"meta_languages": smallest + 1}, treatments=["adapter"])


@pytest.mark.parametrize("mixtures", [["mono"], [["te"]], [["te"], "mono"]])
def test_a_study_of_single_languages_has_no_meta_step(mixtures: list[Any]) -> None:
    assert problems(mixtures=mixtures) == [NO_MIXTURE]
    assert problems(mixtures=mixtures, **one_variant()) == [f"`variants.fast`: {NO_MIXTURE}"]
    load(mixtures=mixtures, treatments=["none", "adapter"])
    study_from_mapping({"languages": LANGUAGES, "mixtures": mixtures})


def test_a_misspelt_mixture_is_the_only_problem() -> None:
    (problem,) = problems(mixtures=["jiont"])
    assert problem == "`mixtures`: `jiont` is none of mono, pairs, joint. Did you mean `joint`?"


def test_text_that_validates_must_be_there() -> None:
    none = {"meta": 0}
    assert problems(splits=none) == [NO_TEXT]
    assert problems(splits=none, **one_variant()) == [f"`variants.fast`: {NO_TEXT}"]
    assert not load(splits=none, meta={"meta_split": "train"}).needs_meta_split
    assert not load(splits=none, **one_variant(meta_split="train")).needs_meta_split
    assert not load(splits=none, treatments=["adapter"]).needs_meta_split
    assert load().needs_meta_split
    assert load(meta={"meta_split": "train"}, **one_variant(meta_split="meta")).needs_meta_split


def test_a_run_of_one_language_or_of_too_few_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"`meta-adapter` needs two languages or more, since .*; found en alone"):
        RunSettings(mixture=("en",), treatment="meta-adapter")
    with pytest.raises(ValidationError, match=r"`meta.meta_languages` is 3, but the mixture en\+te has 2 languages"):
        RunSettings(mixture=("en", "te"), treatment="meta-adapter", meta=MetaSettings(meta_languages=3))
    RunSettings(mixture=("en",), treatment="adapter", meta=MetaSettings(meta_languages=3))


@pytest.mark.parametrize(
    ("second_order", "precision", "expected"),
    [
        ("central", "float32", 0.01),
        ("one-sided", "float32", 0.0005),
        ("central", "bf16", 0.03),
        ("one-sided", "bf16", 0.01),
    ],
)
def test_the_difference_step_suits_the_differences_and_their_precision(
    second_order: Any, precision: str, expected: float
) -> None:
    assert MetaSettings(second_order=second_order).difference_step(precision) == expected
    assert MetaSettings(second_order=second_order, epsilon=0.3).difference_step(precision) == 0.3
