"""What the page makes of a study: filters, folded pairs, diagnoses, the list of runs, names and sentences."""

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from detente.errors import RecordError
from detente.report import all_tables, write_report
from detente.report.diagnoses import read_diagnoses
from detente.report.inventory import Study, System, read_study
from detente.report.page import coded, language_name, render
from detente.report.page_filters import Filters
from detente.report.tables import Column
from detente.report.task_scores import Asked, task_scores
from detente.report.transfer import transfer_changes

LABELS = ("en", "sw", "te")


def test_what_filters_go_by(make_study: Callable[..., Study]) -> None:
    filters = Filters(make_study(languages=LABELS, mixtures=(LABELS, ("en", "te")), treatments=("none",)))
    assert filters.of_group("en+te") == [0, 2]
    assert filters.of_group("count models") == []
    assert filters.of_column(Column("te")) == [2]
    assert filters.of_column(Column("blocks", "sw")) == [1]
    assert filters.of_column(Column("average")) == []
    assert filters.setting_of(Column("te", "zero-shot from en")) == "zero-shot"
    assert filters.setting_of(Column("seeds")) == ""


def test_pairs_of_the_matrix_are_folded(make_study: Callable[..., Study]) -> None:
    study = make_study(
        languages=LABELS, mixtures=(*combinations(LABELS, 2), LABELS), treatments=("none",), seeds=(1, 2)
    )
    tables = {table.key: table for table in all_tables(study)}
    view = Filters(study).view(tables["bits-per-character"])
    assert [row.group for row in view.table.rows] == ["", "en+sw+te", "count models", "count models"]
    assert view.folded is not None
    assert [row.group for row in view.folded.rows] == ["en+sw", "en+te", "sw+te"]
    whole = Filters(make_study(name="two")).view(tables["cost"])
    assert whole.folded is None


def test_diagnoses_are_shown_and_drawn(write_everything: Callable[..., Path]) -> None:
    folder = write_everything(treatments=("none",), seeds=(1, 2))
    page = write_report(folder).read_text(encoding="utf-8")
    for key in ("gradients-over-time", "gradients-by-layer", "affinities", "masks", "similarities"):
        assert f'<h3 id="{key}">' in page
    assert "Untreated en+sw+te, 2 seeds." in page
    assert {path.stem for path in folder.glob("figures/*.svg")} >= {
        "gradient-series-theta",
        "mask-shares",
        "similarity",
    }
    assert set(read_diagnoses(read_study(folder), LABELS).gradients) == {1, 2}


def test_a_damaged_diagnosis_is_named(write_everything: Callable[..., Path]) -> None:
    folder = write_everything(treatments=("none",), seeds=(1,))
    (damaged,) = folder.glob("runs/*/diagnosis/masks.json")
    damaged.write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match=r"masks\.json is damaged"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_zero_shot_beside_untreated(write_everything: Callable[..., Path]) -> None:
    study = read_study(write_everything(treatments=("none", "ffn"), seeds=(1, 2)))
    ffn = System(LABELS, "ffn")
    assert task_scores(study, ffn, Asked("ner", "zero-shot", "en", "sw")) == {1: 73.0, 2: 74.0}
    (change,) = transfer_changes(study, [ffn], "sw")
    assert (change.system, change.task, change.source, change.difference.mean) == ("ffn", "ner", "en", 3.5)
    assert list(transfer_changes(study, [ffn], "en")) == [], "nothing was fine-tuned on another language"


def test_runs_are_listed_with_what_is_their_own(make_study: Callable[..., Study]) -> None:
    variants = {"slow": {"meta": {"every": 3}}}
    page = render(make_study(seeds=(1,), treatments=("meta-adapter",), variants=variants), [], [])
    own = re.findall(
        r'<th scope="row" dir="auto">([^<]*)</th><td>1</td>.*<td class="text wrap">([^<]*)</td></tr>', page
    )
    assert dict(own)["en+sw + slow"] == "meta.every 3"
    assert "<dt>checksum of the text of en</dt>" in page
    assert "<dt>version of torch</dt><dd><code>2.13.0</code></dd>" in page
    assert "<dt>revision of the user&#39;s folder</dt><dd><code>0123456789ab, changed since</code></dd>" in page
    assert "<dt>meta.every</dt>" not in page, "it is not shared"


def test_names_and_code() -> None:
    assert language_name("sw") == "Swahili (sw)"
    assert language_name("<b>") == "<b>"
    assert coded("run `detente <x>` now") == "run <code>detente &lt;x&gt;</code> now"
    assert coded("a ` alone") == "a ` alone"
