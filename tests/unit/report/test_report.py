"""The whole report: files, bytes, escaping, and what it must not need."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from detente.errors import RecordError
from detente.report import write_report
from detente.report.canvas import file_labels
from detente.report.palette import LOOKS, MONO, OTHER, UNIGRAM

WriteStudy = Callable[..., Path]
EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Tags, ids and references of a page; fails on tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline_of(page: str) -> Outline:
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    return outline


def contents(folder: Path) -> dict[str, bytes]:
    paths = [folder / "report.html", folder / "results.json", *folder.glob("tables/*"), *folder.glob("figures/*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_files(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none", "ffn"), seeds=(1, 2))
    assert write_report(folder) == folder / "report.html"
    tables = {
        "summary",
        "interference",
        "ladder",
        "recovered",
        "bits-per-character",
        "perplexity",
        "early-loss",
        "text-seen",
        "cost",
        "paper-contents",
    }
    assert {path.name for path in folder.glob("tables/*")} == {
        f"{key}.{end}" for key in tables for end in ("csv", "md", "tex")
    }
    figures = {
        "interference-en+sw",
        *(f"{kind}-en+sw-{label}" for kind in ("validation", "early-loss") for label in ("en", "sw")),
        "paper-figure-2",
    }
    assert {path.name for path in folder.glob("figures/*")} == {
        f"{key}.{end}" for key in figures for end in ("pdf", "png", "svg")
    }


def test_same_records_same_bytes(write_study: WriteStudy, tmp_path: Path) -> None:
    """Wherever the folder lies, in another process too, with other hashes of texts, from another working folder."""
    options = {"treatments": ("none", "adapter"), "seeds": (1, 2), "absent": {"sw_none_seed1"}}
    first, second = write_study("a/study", **options), write_study("b/study", **options)
    write_report(first)
    before = contents(first)
    assert len(before) > 30
    for name in before:
        (second / name).parent.mkdir(exist_ok=True)
        (second / name).write_bytes(b"of an older report")
    code = "import sys, pathlib, detente.report\ndetente.report.write_report(pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, "study"], check=True, cwd=second.parent, env=environment)
    assert contents(second) == before


def test_page_is_sound_and_self_contained(finished_page: Path) -> None:
    page = finished_page.read_text(encoding="utf-8")
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    outline = outline_of(page)
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [
        value or ""
        for _, attributes in outline.tags
        for name, value in attributes.items()
        if name in {"href", "xlink:href", "src"}
    ]
    assert all(link == "data:," or link.removeprefix("#") in ids for link in links)
    labels = [
        value or "" for _, attributes in outline.tags for name, value in attributes.items() if name == "aria-labelledby"
    ]
    assert all(part in ids for label in labels for part in label.split())
    assert not re.search(r"url\((?!#)|@import", page)


def test_only_the_pages_own_script_may_run(finished_page: Path) -> None:
    page = finished_page.read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{allowed}'"
    assert script.startswith('"use strict";')
    assert not re.search(r"fetch|XMLHttp|WebSocket|import\(|innerHTML|eval", script)


def test_page_is_accessible(finished_page: Path) -> None:
    outline = outline_of(finished_page.read_text(encoding="utf-8"))
    tags = [tag for tag, _ in outline.tags]
    assert tags.count("table") == tags.count("caption") > 5
    assert all("scope" in attributes for tag, attributes in outline.tags if tag == "th")
    figures = [attributes for tag, attributes in outline.tags if tag == "svg"]
    assert len(figures) == tags.count("figure") == tags.count("desc") == 5
    assert all(attributes["role"] == "img" for attributes in figures)


def test_page_says_what_is_missing_and_failed(finished_page: Path) -> None:
    page = finished_page.read_text(encoding="utf-8")
    assert "2 of 16 runs are not in the tables" in page
    assert re.search(r"en\+sw_adapter_seed1</th><td class=\"text\">missing</td>", page)
    assert "loss is not finite at step 12" in page


def test_labels_are_escaped_everywhere(write_study: WriteStudy) -> None:
    folder = write_study(languages=(EVIL, "$x_1$ & 50%|\"'"), treatments=("none",), seeds=(1, 2))
    page = write_report(folder).read_text(encoding="utf-8")
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert [tag for tag, _ in outline_of(page).tags].count("script") == 1
    for path in folder.glob("figures/interference*.svg"):
        assert EVIL in "".join(ElementTree.parse(path).getroot().itertext())
    assert {path.name for path in folder.glob("figures/interference*.png")} == {
        "interference-language-1+language-2.png"
    }
    assert all(EVIL not in path.read_text(encoding="utf-8") for path in folder.glob("tables/*.md"))


def test_an_error_message_cannot_become_markup(write_study: WriteStudy) -> None:
    folder = write_study(treatments=("none",), seeds=(1,), has_plan=False)
    (folder / "runs" / "run000-0123abcd" / "record.json").write_text('{"version": "<img src=x onerror=alert(1)>"}')
    assert "<img" not in write_report(folder).read_text(encoding="utf-8")


def test_a_study_where_nothing_has_run_yet(write_study: WriteStudy) -> None:
    folder = write_study(
        treatments=("none",), seeds=(1,), absent={"en_none_seed1", "sw_none_seed1", "en+sw_none_seed1"}
    )
    page = write_report(folder).read_text(encoding="utf-8")
    assert "3 of 3 runs are not in the tables" in page
    assert "is not known: a seed with both runs, mixed and mono, is missing." in page


def test_nothing_learned_no_bars_and_no_shares(write_study: WriteStudy) -> None:
    names = {f"{mixture}_none_seed{seed}" for mixture in ("en", "sw", "en+sw") for seed in (1, 2)}
    folder = write_study(treatments=("none",), seeds=(1, 2), stuck=names)
    page = write_report(folder).read_text(encoding="utf-8")
    assert not list(folder.glob("figures/interference*"))
    assert not list(folder.glob("tables/recovered*"))
    assert page.count("we cannot tell: not all runs behind it have left the unigram plateau") == 2


def test_mono_runs_only(write_study: WriteStudy) -> None:
    folder = write_study(languages=("en",), mixtures=(), seeds=(1,))
    assert "No run trains two languages together" in write_report(folder).read_text(encoding="utf-8")
    assert (folder / "figures" / "validation-en-en.pdf").exists()


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there are no runs"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_damaged_metrics_leave_the_older_report_whole(write_study: WriteStudy) -> None:
    folder = write_study(seeds=(1,), treatments=("none",))
    (folder / "tables").mkdir()
    (folder / "tables" / "summary.md").write_text("older", encoding="utf-8")
    (folder / "runs" / "run000-0123abcd" / "metrics.jsonl").write_text("[1]\n", encoding="utf-8")
    with pytest.raises(
        RecordError, match=r"run000-0123abcd/metrics\.jsonl is damaged: line 1 .* Delete the run's folder"
    ):
        write_report(folder)
    assert (folder / "tables" / "summary.md").read_text(encoding="utf-8") == "older"


def test_a_long_label_has_a_number_in_file_names() -> None:
    languages = ("en", "x" * 25, "y" * 24)
    assert file_labels(languages, languages) == ["en", "language-2", "y" * 24]


def test_every_series_has_a_colour_in_light_and_dark() -> None:
    css = (Path(sys.modules[write_report.__module__].__file__ or "").parent / "page.css").read_text()
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    for look in (MONO, UNIGRAM, OTHER, *LOOKS.values()):
        assert f"--series-{look.name}: {look.color};" in light
        assert f"--series-{look.name}: #" in dark


def test_neither_torch_nor_matplotlib_is_imported_with_the_report() -> None:
    code = (
        "import sys, detente.report, detente.report.page, detente.report.figures, detente.report.formats\n"
        "print({'torch', 'matplotlib', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_what_the_records_no_longer_support_goes(write_study: WriteStudy) -> None:
    folder = write_study()
    stale = [folder / "tables" / "recovered.csv", folder / "figures" / "interference-en+te.png"]
    own = folder / "tables" / "my-notes.md"
    for path in (*stale, own):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old", encoding="utf-8")
    write_report(folder)
    assert not stale[1].exists()
    assert not stale[0].exists() or stale[0].read_text(encoding="utf-8") != "old"
    assert own.read_text(encoding="utf-8") == "old"
