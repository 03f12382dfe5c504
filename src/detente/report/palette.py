"""One colour, dash and marker for each system, told apart without colour vision and on paper (after Okabe and Ito 2008)."""

from dataclasses import dataclass

INK = "#1f2328"
MUTED = "#6a717a"
GRID = "#dfe2e6"


@dataclass(frozen=True)
class Look:
    """How one system is drawn. Colours are those of paper; the page has others for a dark background under `name`."""

    name: str
    """The page's CSS variable is --series-NAME."""
    color: str
    dash: str | tuple[float, tuple[float, ...]]
    marker: str


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


def look_of(treatment: str) -> Look:
    """Of a mixture with a treatment."""
    return LOOKS.get(treatment, OTHER)
