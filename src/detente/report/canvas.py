"""What every figure is drawn on: one style, and PDF, PNG and SVG files that are the same for the same numbers."""

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detente.disk import told_when_full
from detente.report.palette import GRID, INK, MUTED
from detente.report.svg import for_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNSAFE = re.compile(r"[^\w.-]|^[.-]", re.ASCII)
LONGEST_IN_NAME = 24
"""Characters of a label in a file's name."""
WIDTH = 4.3
"""Inches; on a telephone the type stays as large as it is on paper."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "hatch.linewidth": 1.1,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Drawing:
    """A figure as the page shows it."""

    key: str
    title: str
    description: str
    """What it shows, in words and numbers, for those who do not see it."""
    svg: str
    kind: str
    languages: tuple[str, ...] = ()
    """What it is drawn for: the page's filter goes by them; empty, it always shows."""
    tips: tuple[str, ...] = ()
    """What the page says of a mark that is pointed at; mark number n has the group id `tip-n`."""


@contextmanager
def drawing_style() -> Iterator[None]:
    """Figures made inside look alike."""
    import matplotlib as mpl  # slow to import, and needed only to draw

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes in PNG and PDF, and right in SVG.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def new_figure(height: float) -> "tuple[Figure, Axes]":
    """One panel, so many inches high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.add_subplot()


def save(figure: "Figure", folder: Path, drawing: Drawing) -> Drawing:
    """Write the files, without dates or random ids, and return the drawing with its SVG."""
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / drawing.key
    # Once for all three files: it takes as long as drawing.
    if layout := figure.get_layout_engine():
        layout.execute(figure)
        figure.set_layout_engine("none")
    with told_when_full(f"the figure {drawing.key}", folder), mpl.rc_context({"svg.hashsalt": drawing.key}):
        figure.savefig(f"{path}.pdf", metadata={"CreationDate": None})
        figure.savefig(f"{path}.png", dpi=200, metadata={"Software": None})
        figure.savefig(f"{path}.svg", metadata={"Date": None, "Creator": None})
    source = Path(f"{path}.svg").read_text(encoding="utf-8")
    svg = for_page(source, drawing.key, drawing.title, drawing.description, drawing.tips)
    return replace(drawing, svg=svg)


def file_labels(labels: Sequence[str], languages: Sequence[str]) -> list[str]:
    """The labels, where they are safe in a file name and short; else their numbers among the languages."""
    is_safe = [len(label) <= LONGEST_IN_NAME and not re.search(UNSAFE, label) for label in labels]
    return [
        label if safe else f"language-{languages.index(label) + 1}" for label, safe in zip(labels, is_safe, strict=True)
    ]


def shortened(text: str, longest: int) -> str:
    """Without its middle, where a long name would leave no room for the numbers."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def or_gap(value: float | None) -> float:
    """Where a line is interrupted for want of a value."""
    return math.nan if value is None else value
