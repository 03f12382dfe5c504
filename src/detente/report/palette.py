"""One colour, dash and marker for each system, told apart without colour vision and on paper (after Okabe and Ito 2008)."""

from dataclasses import dataclass

INK = "#1f2328"
MUTED = "#6a717a"
GRID = "#dfe2e6"
HATCH = "#fefefe"
"""Lines across a bar: of paper, or of the page's ground."""


@dataclass(frozen=True)
class Look:
    """How one system is drawn. Colours are those of paper; the page has others for a dark background under `name`."""

    name: str
    """The page's CSS variable is --series-NAME."""
    color: str
    dash: str | tuple[float, tuple[float, ...]]
    marker: str
    hatch: str = ""
    """Of its bars; treatments with the study's own settings have none."""


MONO = Look("mono", "#1f2329", "-", "o")
UNIGRAM = Look("unigram", "#6a717b", (0, (4, 3)), "")
OTHER = Look("other", "#7a5230", "-.", "x")
LOOKS = {
    "none": Look("none", "#c24e00", "-", "s"),
    "ffn": Look("ffn", "#0062a3", (0, (5, 1.5)), "^"),
    "attention": Look("attention", "#3a93c9", (0, (1.2, 1.2)), "v"),
    "adapter": Look("adapter", "#007a5a", (0, (5, 1.5, 1.2, 1.5)), "D"),
    "shared-adapter": Look("shared-adapter", "#b87a00", (0, (2.5, 1)), "P"),
    "meta-adapter": Look("meta-adapter", "#a8427c", "-", "X"),
}

# Seven colours that stay apart under the three kinds of colour blindness (CIELAB distance above 22), light beside dark. More
# than seven are not told apart by anybody: then dash, marker and hatch change.
_VARIANT_COLORS = ("#3d42bc", "#a2893a", "#6d220a", "#ca6da1", "#7d3877", "#8a7de7", "#ea5973")
_ROUNDS: tuple[tuple[str | tuple[float, tuple[float, ...]], str, str], ...] = (
    ("-", "<>ph*d8", "////"),
    ((0, (4, 1.5)), "os^vDPX", "...."),
)
VARIANTS = tuple(
    Look(f"variant-{number + 1}", color, dash, markers[number], hatch)
    for dash, markers, hatch in _ROUNDS
    for number, color in enumerate(_VARIANT_COLORS)
)


def look_of(treatment: str) -> Look:
    """Of a mixture with a treatment."""
    return LOOKS.get(treatment, OTHER)


def look_of_variant(place: int) -> Look:
    """Of the study's variant number `place`, from 0; after fourteen they begin again."""
    return VARIANTS[place % len(VARIANTS)]
