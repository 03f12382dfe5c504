"""The ladder of treatments: gains, what more is spent, and what follows."""

from collections.abc import Callable
from statistics import fmean

import pytest

from detente.report.inventory import Study, System
from detente.report.ladder import cost_of, gain_of, ladder_table

MakeStudy = Callable[..., Study]
PAIR = ("en", "sw")


def test_a_gain_is_what_is_saved_over_languages_and_seeds(make_study: MakeStudy) -> None:
    study = make_study()
    saved = [
        none.record.languages[label].test.bits_per_character - ffn.record.languages[label].test.bits_per_character
        for seed in (1, 2, 3)
        for none, ffn in [(study.by_system[System(PAIR, "none")][seed], study.by_system[System(PAIR, "ffn")][seed])]
        for label in PAIR
    ]
    gain = gain_of(study, System(PAIR, "ffn"))
    assert gain is not None
    assert gain.seeds == 3
    assert gain.mean == pytest.approx(fmean(saved), abs=1e-12)


def test_what_more_is_spent(make_study: MakeStudy) -> None:
    cost = cost_of(make_study(), System(PAIR, "meta-adapter"))
    # 15,000 shared parameters fewer, and two times 30,000 of the languages' own.
    assert (cost.parameters, cost.time) == (45_000, pytest.approx(3.1))


def test_the_table_is_a_ladder(make_study: MakeStudy) -> None:
    study = make_study(interference={"en": 0.09, "sw": 0.09}, noise=0.0005)
    rows = {row.label: row for row in ladder_table(study).rows}
    assert list(rows) == ["+ ffn", "+ meta-adapter", "+ attention", "+ adapter", "+ shared-adapter"]
    gain, word, parameters, per_million, seconds, per_second, seeds = rows["+ meta-adapter"].cells
    assert (word.text, parameters.text, seconds.text, seeds.text) == ("helped", "45,000", "105", "3")
    assert gain.estimate is not None
    assert float(per_million.text) == pytest.approx(gain.estimate.mean / 0.045, abs=5e-4)
    assert float(per_second.text) == pytest.approx(gain.estimate.mean / 0.105, abs=5e-4)
    assert rows["+ shared-adapter"].cells[3].text == "", "it has no more parameters here"


def test_one_seed_puts_nothing_in_proportion(make_study: MakeStudy) -> None:
    for row in ladder_table(make_study(seeds=(1,))).rows:
        assert (row.cells[1].text, row.cells[3].text, row.cells[5].text) == ("cannot tell", "", "")


def test_a_run_that_has_not_learned_has_no_gain(make_study: MakeStudy) -> None:
    study = make_study(stuck={"en+sw_ffn_seed1"})
    assert gain_of(study, System(PAIR, "ffn")) is None
    assert "+ ffn" not in [row.label for row in ladder_table(study).rows]
