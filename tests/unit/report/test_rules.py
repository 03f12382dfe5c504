"""The rules of the verdict's other sentences, one by one."""

import pytest

from detente.report.comparisons import Comparison
from detente.report.rules import (
    Cost,
    Place,
    TransferChange,
    cost_sentence,
    interference_sentence,
    pairs_sentence,
    places_sentence,
    tally_sentence,
    transfer_sentence,
)
from detente.report.statistics import estimate


def comparison(*differences: float, has_learned: bool = True) -> Comparison:
    return Comparison(estimate(differences), has_learned, 1.0)


HURT = comparison(0.10, 0.11, 0.12)
WORSE = comparison(0.20, 0.21, 0.22)
HELPED = comparison(-0.10, -0.11, -0.12)
UNSURE = comparison(0.10, -0.20, 0.15)
STUCK = comparison(0.10, 0.11, 0.12, has_learned=False)


def plain(text: str) -> str:
    """With ordinary blanks, signs and hyphens, to read in a test."""
    replaced = {
        "\N{NO-BREAK SPACE}": " ",
        "\N{MINUS SIGN}": "-",
        "\N{PLUS-MINUS SIGN}": "+-",
        "\N{MULTIPLICATION SIGN}": "x",
    }
    return text.translate(str.maketrans(replaced))


@pytest.mark.parametrize(
    ("compared", "sentence"),
    [
        (
            {"en": HURT, "sw": HELPED, "te": WORSE, "fr": UNSURE},
            "Training together hurts te (+0.210) and en (+0.110) and helps sw (-0.110) bits per character. Of fr we cannot tell.",
        ),
        ({"en": HURT}, "Training together hurts en (+0.110) bits per character."),
        ({"en": UNSURE, "sw": None, "te": STUCK}, "What training together does to en, sw and te, we cannot tell."),
        ({"en": comparison(0.4)}, "What training together does to en, we cannot tell."),
    ],
)
def test_tally(compared: dict[str, Comparison | None], sentence: str) -> None:
    assert plain(tally_sentence(compared)) == sentence


def test_much_company_is_counted() -> None:
    assert interference_sentence("en", ("en", "sw", "te", "ar", "fr"), HURT).startswith(
        "Training with the 4 others hurts en"
    )


def test_a_name_from_right_to_left_does_not_turn_the_sentence() -> None:
    sentence = interference_sentence("en", ("en", "עברית"), HURT)
    assert "with \N{FIRST STRONG ISOLATE}עברית\N{POP DIRECTIONAL ISOLATE} hurts en" in sentence


def place(where: str, *cosines: float, pair: tuple[str, str] = ("en", "sw")) -> Place:
    return Place(pair, where, estimate(cosines))


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ([], "Where the conflict sits is not known: the gradients of this mixture's untreated runs were not measured. `detente diagnose` does it."),
        (
            [place("layer 0", -0.4), place("ffn", 0.1)],
            "Where the conflict sits, we cannot tell: the gradients of one seed were measured. Their lowest cosine is -0.40 of en and sw in layer 0.",
        ),
        (
            [place("layer 0", -0.4, 0.5, -0.6), place("ffn", 0.1, 0.11, 0.12)],
            "No layer and no kind of module has gradients that conflict beyond doubt (2 comparisons, 3 seeds). The lowest cosine is "
            "-0.17 +- 1.46 of en and sw in layer 0, and its interval holds zero.",
        ),
        (
            [place("layer 0", -0.4, -0.41, -0.42), place("attention", -0.2, -0.21, -0.22, pair=("en", "te")), place("ffn", 0.1, 0.11, 0.12)],
            "Gradients conflict beyond doubt in layer 0 (en and sw -0.410); in attention (en and te -0.210): 2 of 3 comparisons of a layer "
            "or kind of module over 3 seeds, where chance alone gives less than one.",
        ),
    ],
)  # fmt: skip
def test_places(places: list[Place], sentence: str) -> None:
    assert plain(places_sentence(places)) == sentence


def change(system: str, *points: float) -> TransferChange:
    return TransferChange(system, "ner", "en", estimate(points))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([], ""),
        (
            [change("ffn", -4.0, -4.1, -4.2), change("adapter", 2.0, 2.1, 2.2), change("attention", 2.0, -2.0, 1.0)],
            "Zero-shot transfer to sw against untreated: better with adapter on ner from en (+2.1 +- 0.2 points); worse with ffn on ner "
            "from en (-4.1 +- 0.2 points). Of 1 other comparison we cannot tell.",
        ),
        (
            [change("ffn", -4.0)],
            "Zero-shot transfer to sw against untreated: we cannot tell of any treatment, since 1 seed gives no interval.",
        ),
        (
            [change("ffn", -4.0, 4.0)],
            "Zero-shot transfer to sw against untreated: we cannot tell of any treatment.",
        ),
        (
            [change(f"variant-{size}", size, size + 0.1, size + 0.2) for size in (5.0, 6.0, 7.0, 8.0)],
            "Zero-shot transfer to sw against untreated: better with variant-8.0 on ner from en (+8.1 +- 0.2 points), variant-7.0 on ner "
            "from en (+7.1 +- 0.2 points), variant-6.0 on ner from en (+6.1 +- 0.2 points), 1 more.",
        ),
    ],
)
def test_transfer(changes: list[TransferChange], sentence: str) -> None:
    assert plain(transfer_sentence("sw", changes)) == sentence


@pytest.mark.parametrize(
    ("costs", "sentence"),
    [
        ([], ""),
        ([Cost("ffn", None, None)], ""),
        (
            [Cost("ffn", 120_000, 1.02), Cost("meta-adapter", None, 3.1)],
            "What helps takes, beside untreated: ffn 120,000 more parameters, 1.0 x the training time; meta-adapter 3.1 x the training time.",
        ),
    ],
)
def test_cost(costs: list[Cost], sentence: str) -> None:
    assert plain(cost_sentence(costs)) == sentence


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (
            {("en", "sw"): HURT, ("sw", "en"): HELPED, ("en", "te"): comparison(5.0, -9.0, 9.0), ("te", "en"): WORSE},
            "Of 4 cases of one language beside one other: 2 hurt, 1 helped, of 1 we cannot tell. Beyond doubt, most is lost by te beside en "
            "(+0.210) and en beside sw (+0.110) bits per character.",
        ),
        (
            {("en", "sw"): comparison(0.3), ("sw", "en"): comparison(0.4)},
            "Of none of the 2 cases of one language beside one other can we tell whether it is hurt. Most, though not beyond doubt, is lost "
            "by sw beside en (+0.400) and en beside sw (+0.300) bits per character.",
        ),
        (
            {("en", "sw"): STUCK},
            "Of none of the 1 cases of one language beside one other can we tell whether it is hurt.",
        ),
    ],
)
def test_pairs(cells: dict[tuple[str, str], Comparison], sentence: str) -> None:
    assert plain(pairs_sentence(cells)) == sentence
