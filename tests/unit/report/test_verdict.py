"""Each rule of the verdict, by the sentence it makes."""

from collections.abc import Callable
from itertools import combinations

import pytest

from detente.report.comparisons import Comparison
from detente.report.inventory import Study
from detente.report.rules import exposure_sentence, interference_sentence, treatments_sentence
from detente.report.statistics import Estimate, estimate
from detente.report.verdict import cautions, findings, pairs_verdict, verdicts

MakeStudy = Callable[..., Study]
PAIR = ("en", "sw")


def comparison(*differences: float, has_learned: bool = True, exposure: float = 1.0) -> Comparison:
    return Comparison(estimate(differences), has_learned, exposure)


HURT = comparison(0.10, 0.11, 0.12)
HELPED = comparison(-0.10, -0.11, -0.12)
UNSURE = comparison(0.10, -0.20, 0.15)


def plain(text: str) -> str:
    """With ordinary blanks and hyphens, to read in a test."""
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("compared", "sentence"),
    [
        (HURT, "Training with sw hurts en: +0.110 bits per character (95 % interval +0.085 to +0.135, 3 seeds)."),
        (HELPED, "Training with sw helps en: -0.110 bits per character (95 % interval -0.135 to -0.085, 3 seeds)."),
        (
            UNSURE,
            "Whether training with sw hurts en, we cannot tell: +0.017 bits per character, and the 95 % interval holds "
            "zero (-0.454 to +0.487, 3 seeds).",
        ),
        (
            comparison(0.4),
            "Whether training with sw hurts en, we cannot tell: +0.400 bits per character from 1 seed, which gives no interval.",
        ),
        (
            comparison(0.10, 0.11, 0.12, has_learned=False),
            "Whether training with sw hurts en, we cannot tell: not all runs behind it have left the unigram plateau.",
        ),
        (
            None,
            "Whether training with sw hurts en is not known: a seed with both runs, mixed and mono, is missing.",
        ),
    ],
)
def test_interference(compared: Comparison | None, sentence: str) -> None:
    assert plain(interference_sentence("en", ("en", "sw"), compared)) == sentence


def test_company_is_listed() -> None:
    assert interference_sentence("en", ("ar", "en", "sw", "te"), HURT).startswith(
        "Training with ar, sw and te hurts en:"
    )


@pytest.mark.parametrize(
    ("differences", "exposure", "sentence"),
    [
        (HURT, 1.0, "Both were shown about the same amount of en."),
        (HURT, 0.5, "The mixture was shown 50 % of the en that mono was, so part of the loss may be due to less text rather than to mixing."),
        (HELPED, 0.5, "The mixture was shown 50 % of the en that mono was."),
        (HELPED, 1.5, "The mixture was shown 150 % of the en that mono was, so part of the gain may be due to more text rather than to mixing."),
        (UNSURE, 1.5, "The mixture was shown 150 % of the en that mono was."),
        (UNSURE, float("nan"), ""),
    ],
)  # fmt: skip
def test_exposure(differences: Comparison, exposure: float, sentence: str) -> None:
    assert plain(exposure_sentence("en", Comparison(differences.difference, True, exposure))) == sentence


def test_treatments_by_what_they_do() -> None:
    share = Estimate(0.62, 0.48, 0.80, 3)
    compared = [
        ("ffn", comparison(-0.05, -0.06, -0.055), None),
        ("attention", None, None),
        ("adapter", UNSURE, None),
        ("shared-adapter", HURT, None),
        ("meta-adapter", HELPED, share),
    ]
    assert plain(treatments_sentence("en", compared)) == (
        "For en, better than untreated: meta-adapter (-0.110, recovers 62 % [48, 80]), ffn (-0.055). "
        "Worse than untreated: shared-adapter. Better or worse than untreated, we cannot tell: adapter. Missing: attention."
    )
    assert treatments_sentence("en", []) == ""


def test_findings_of_a_study(make_study: MakeStudy) -> None:
    english, swahili = findings(make_study(), PAIR)
    assert (english.language, english.word, swahili.language, swahili.word) == ("en", "hurt", "sw", "helped")
    assert "50\N{NO-BREAK SPACE}%" in english.text
    assert english.treatments.startswith("For en, better than untreated: ffn (")


def test_one_seed_cannot_tell(make_study: MakeStudy) -> None:
    study = make_study(seeds=(1,))
    assert {finding.word for finding in findings(study, PAIR)} == {"cannot tell"}
    assert cautions(study) == ("There is one seed, hence no interval and no verdict. Ask for three seeds or more.",)


def test_a_run_on_the_plateau_spoils_its_comparisons_only(make_study: MakeStudy) -> None:
    study = make_study(stuck={"en_none_seed2"})
    english, swahili = findings(study, PAIR)
    assert (english.word, swahili.word) == ("cannot tell", "helped")
    assert cautions(study)[0].startswith("1 run has not left the unigram plateau")


def test_seeds_without_a_partner_do_not_count(make_study: MakeStudy) -> None:
    study = make_study(absent={"en_none_seed1", "en+sw_none_seed2", "en+sw_none_seed3"})
    english, _ = findings(study, PAIR)
    assert (english.word, english.text.split(":")[0]) == (
        "cannot tell",
        "Whether training with sw hurts en is not known",
    )


def test_study_without_the_untreated_mixture(make_study: MakeStudy) -> None:
    finding, _ = findings(make_study(treatments=("ffn",)), PAIR)
    assert finding.word == "cannot tell"
    assert finding.text.startswith("The study has no untreated en+sw")


def test_a_sound_study_needs_no_caution(make_study: MakeStudy) -> None:
    assert cautions(make_study()) == ()


def test_missing_runs_are_counted(make_study: MakeStudy) -> None:
    text, *_ = cautions(make_study(absent={"en_none_seed1"}))
    assert text == "1 of 24 runs is not in the tables (missing, failed or unfinished) and listed below."


def test_the_verdict_of_a_mixture(make_study: MakeStudy) -> None:
    (verdict,) = verdicts(make_study(), {})
    assert plain(verdict.tally).startswith("Training together hurts en (+0.0")
    assert "helps sw (-0.0" in plain(verdict.tally)
    assert "were not measured" in verdict.places
    assert "ffn 120,000 more" not in verdict.cost, "half of the parts of its own replace shared ones"
    assert "ffn 180,000 more parameters, 1.0" in verdict.cost
    assert verdict.next_steps[0] == "Use ffn for en: of what was tried it recovers most."


def test_pairs_of_a_matrix_have_one_verdict_together(make_study: MakeStudy) -> None:
    labels = ("en", "fr", "sw")
    study = make_study(
        languages=labels,
        mixtures=(*combinations(labels, 2), labels),
        treatments=("none",),
        interference={"en": 0.1, "fr": 0.2, "sw": 0},
    )
    assert [verdict.mixture for verdict in verdicts(study, {})] == [labels]
    pairs = pairs_verdict(study)
    assert pairs is not None
    assert plain(pairs.summary).startswith(
        "Of 6 cases of one language beside one other: 4 hurt, of 2 we cannot tell. Beyond doubt, most is lost by fr"
    )
    assert len(pairs.findings) == 6
    assert pairs_verdict(make_study(name="two")) is None
