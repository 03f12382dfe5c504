"""The page in a real browser: no sideways scrolling on a telephone, both colour schemes, nothing from data becomes markup."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.report import write_report
from detente.results import MetaTerms

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH (Debian package `chromium`)")

PROBE = """<script>
const root = document.documentElement;
const facts = {
  inner: innerWidth, page: root.scrollWidth,
  scrollers: [...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).length,
  ground: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
  axis: getComputedStyle(document.querySelector('figure svg text')).fill,
  bar: getComputedStyle([...document.querySelectorAll('figure svg path')]
    .find(path => (path.getAttribute('style') || '').includes('--series-none'))).fill,
  figures: [...document.querySelectorAll('figure svg')].map(svg => svg.getBoundingClientRect().width),
  names: [...document.querySelectorAll('tbody th[scope=row]')].map(name => name.getBoundingClientRect().width),
  alerts: window.alerts || 0,
};
parent.postMessage(JSON.stringify(facts), '*');
</script>"""

# A window is at least 500 pixels wide in headless Chromium; a frame is as wide as it is told.
FRAME = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><body><script>
addEventListener('message', event => {
  const pre = document.createElement('pre'); pre.id = 'probe'; pre.textContent = event.data; document.body.append(pre);
});
</script><iframe src="probed.html" style="border: 0; width: %dpx; height: 2000px"></iframe>"""


def look(page: Path, profile: Path, *, width: int, is_dark: bool = False) -> dict[str, Any]:
    """Open a copy of the page that measures itself, in a frame; the copy alone may run scripts."""
    text = page.read_text(encoding="utf-8")
    text, found = re.subn(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>',
        "<script>window.alert = () => { window.alerts = 1 }</script>",
        text,
    )
    assert found == 1
    page.with_name("probed.html").write_text(text.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME % width, encoding="utf-8")
    scheme = f"--blink-settings=preferredColorScheme={0 if is_dark else 1}"
    dom = _chromium(profile, "--dump-dom", "--virtual-time-budget=10000", scheme, frame.as_uri())
    match = re.search(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)
    assert match is not None
    return dict(json.loads(html.unescape(match[1])))


def _chromium(profile: Path, *arguments: str) -> str:
    assert CHROMIUM is not None
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--user-data-dir={profile}",
    )
    done = subprocess.run([CHROMIUM, *flags, *arguments], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways(finished_page: Path, tmp_path: Path, width: int) -> None:
    facts = look(finished_page, tmp_path / "profile", width=width)
    assert facts["inner"] == width
    assert facts["page"] <= width
    assert 250 < min(facts["figures"]) <= max(facts["figures"]) < width
    if width == 390:
        assert facts["scrollers"] > 3  # wide tables scroll in their own box


def test_light_and_dark(finished_page: Path, tmp_path: Path) -> None:
    light = look(finished_page, tmp_path / "profile", width=1280)
    dark = look(finished_page, tmp_path / "profile", width=1280, is_dark=True)
    assert (light["ground"], dark["ground"]) == ("rgb(255, 255, 255)", "rgb(20, 23, 26)")
    assert (light["bar"], dark["bar"]) == ("rgb(194, 78, 0)", "rgb(240, 138, 75)")
    for facts in (light, dark):
        assert facts["axis"] == facts["ink"] != facts["ground"]


def test_variants_and_the_meta_step_fit_a_telephone(write_study: Callable[..., Path], tmp_path: Path) -> None:
    long = "a-variant-with-a-name-so-long-that-nobody-should-have-chosen-it"
    terms = MetaTerms(measured=5, direct_norm=1.0, second_order_norm=0.1, ratio=0.1, cosine=0.1, direct_noise=0.5)
    variants = {"<img src=x onerror=alert(1)>": {"meta": {"second_order": "none"}}, long: {}}
    options = {"treatments": ("none", "meta-adapter"), "terms": dict.fromkeys(("meta-adapter", long), terms)}
    page = write_report(write_study(seeds=(1, 2), variants=variants, **options))
    facts = look(page, tmp_path / "profile", width=390)
    assert facts["page"] <= 390
    assert facts["alerts"] == 0
    assert max(facts["names"]) < 390 / 2
    assert 250 < min(facts["figures"]) <= max(facts["figures"]) < 390


def test_labels_do_nothing(write_study: Callable[..., Path], tmp_path: Path) -> None:
    evil = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</title><svg onload=alert(1)>")
    page = write_report(write_study(languages=evil, treatments=("none",), seeds=(1, 2)))
    facts = look(page, tmp_path / "profile", width=390)
    assert facts["alerts"] == 0
    assert facts["page"] <= 390


def test_the_page_as_it_is_can_be_photographed(finished_page: Path, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    _chromium(tmp_path / "profile", f"--screenshot={picture}", "--window-size=390,2000", finished_page.as_uri())
    assert picture.stat().st_size > 20_000
