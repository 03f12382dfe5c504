"""Contrast of the page's colours, computed by the definition of WCAG 2.2, in light and in dark."""

import re
from itertools import product
from pathlib import Path

import pytest

from detente.report import page_filters

Palette = dict[str, str]
STYLE = Path(page_filters.__file__).with_name("page.css")
TEXT, GRAPHICS = 4.5, 3.0


def palettes() -> dict[str, Palette]:
    """The variables of each scheme."""
    light, dark = STYLE.read_text(encoding="utf-8").split("@media (prefers-color-scheme: dark)")
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in (light, dark)]
    assert found[0].keys() == found[1].keys(), "a colour without its like in the other scheme"
    return dict(zip(("light", "dark"), found, strict=True))


def luminance(color: str) -> float:
    """Relative luminance."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    """Ratio, from 1 to 21."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_largest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # W3C's own example of what just fails


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(scheme: str) -> None:
    colors = palettes()[scheme]
    shades = [f"{side}-{level}" for side in ("bad", "good") for level in range(1, 5)]
    pairs = [
        *product(("ink", "muted", "link"), ("ground", "panel")),
        *((word, f"{word}-ground") for word in ("hurt", "helped", "unsure")),
        *(("ink", shade) for shade in shades),
        ("caution", "caution-ground"),
        ("ink", "caution-ground"),
    ]
    poor = {pair: contrast(colors[pair[0]], colors[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < TEXT} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_bars_and_edges_can_be_seen(scheme: str) -> None:
    colors = palettes()[scheme]
    names = [name for name in colors if name.startswith("series-")]
    assert len(names) > 12
    for name in (*names, "edge", "hurt", "helped", "unsure"):
        assert contrast(colors[name], colors["ground"]) >= GRAPHICS, name
