"""Which cheap diagnosis orders the languages as interference does: a point with its interval for each."""

from pathlib import Path
from typing import TYPE_CHECKING

from detente.diagnosis_results.agreement import Agreement, PredictorAgreement
from detente.report import numbers
from detente.report.canvas import Drawing, drawing_style, new_figure, save
from detente.report.palette import INK, MUTED, look_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {
    "as expected": look_of("adapter").color,
    "against expectation": look_of("none").color,
    "cannot tell": MUTED,
}
ARROWS = {-1: "\N{LEFTWARDS ARROW}", 1: "\N{RIGHTWARDS ARROW}", None: ""}
KINDS = {"ordered": "both directions", "pairs": "pairs"}


def draw_agreement(agreement: Agreement, folder: Path) -> Drawing | None:
    """One row a predictor, and its arrow points to the side that is expected. A hollow point has no interval."""
    count = len(agreement.predictors)
    if not count:
        return None
    with drawing_style():
        figure, axes = new_figure(1.05 + 0.3 * count)
        for place, found in enumerate(agreement.predictors):
            _point(axes, place, found)
        axes.set_yticks(range(count), [_label(found) for found in agreement.predictors])
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_xlim(-1.05, 1.05)
        axes.axvline(0, color=INK, linewidth=0.9)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"rank correlation with\n{agreement.truth}\n(arrow: the side expected)")
        title = "Which diagnosis foretells interference"
        words = "; ".join(_words(found) for found in agreement.predictors)
        return save(figure, folder, Drawing("agreement", title, f"Spearman's correlation: {words}.", "", "agreement"))


def _point(axes: "Axes", place: int, found: PredictorAgreement) -> None:
    if found.spearman is None:
        axes.text(0, place, " cannot be computed", va="center", color=MUTED, style="italic")
        return
    color = COLORS[found.word]
    fill = "none" if found.low is None else color
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [place, place], color=color, linewidth=1.4)
    axes.plot(found.spearman, place, marker="o", markersize=5.5, markerfacecolor=fill, markeredgecolor=color)


def _label(found: PredictorAgreement) -> str:
    name = f"{found.predictor} {ARROWS[found.expected]}".rstrip()
    return f"{name}\n{KINDS[found.cells]}, {found.num_cells} cells"


def _words(found: PredictorAgreement) -> str:
    what = f"{found.predictor} ({KINDS[found.cells]})"
    if found.spearman is None:
        return f"{what} cannot be computed"
    interval = "" if found.low is None else f", {numbers.INTERVAL} {found.low:+.2f} to {found.high:+.2f}"
    return f"{what} {found.spearman:+.2f}{interval}, {found.word}".replace("-", numbers.MINUS)
