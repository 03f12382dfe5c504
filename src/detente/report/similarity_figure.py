"""Similarity of representations by layer: CKA of every pair with its control, and how many translations are found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detente.diagnosis_results.similarity import LayerSimilarity, PairSimilarity, RepresentationSimilarity
from detente.report.canvas import WIDTH, Drawing, drawing_style, or_gap, save
from detente.report.palette import MUTED, OTHER, Look, look_of_variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_HEIGHT = 1.75
MOST_NAMED = 10
"""Pairs; of more only the most and the least alike have a colour and a name."""

Pick = Callable[[LayerSimilarity], float | None]


@dataclass(frozen=True)
class Panel:
    """One number of every layer, and the same of shuffled sentences or of chance."""

    label: str
    value: Pick
    control: Pick | None = None


PANELS = (
    Panel("linear CKA", lambda layer: layer.cka, lambda layer: layer.shuffled_cka),
    Panel("CKA, debiased", lambda layer: layer.debiased_cka, lambda layer: layer.shuffled_debiased_cka),
    Panel("translations found", lambda layer: (layer.found_first + layer.found_second) / 2),
)


def draw_similarity(similarity: RepresentationSimilarity, folder: Path) -> Drawing:
    """A line for each pair of languages; dashed: sentences beside those that are not their translations."""
    from matplotlib.figure import Figure

    looks = _looks(similarity.pairs)
    legend_rows = -(-(len(looks) + 1) // 3)
    with drawing_style():
        figure = Figure(figsize=(WIDTH, PANEL_HEIGHT * len(PANELS) + 0.2 * legend_rows + 0.3))
        parts = figure.subplots(len(PANELS), 1, sharex=True)
        for axes, panel in zip(parts, PANELS, strict=True):
            for pair in similarity.pairs:
                _draw_pair(axes, pair, panel, looks.get(_name(pair)))
            axes.set_ylabel(panel.label)
        _finish(figure, parts[-1], similarity)
        title = "Similarity of representations by layer"
        drawing = Drawing("similarity", title, _description(similarity), "", "similarity")
        return save(figure, folder, drawing)


def _looks(pairs: Sequence[PairSimilarity]) -> dict[str, Look]:
    """Of the pairs that have a name in the figure."""
    named = list(pairs)
    if len(named) > MOST_NAMED:
        ranked = sorted(named, key=lambda pair: pair.layers[-1].debiased_cka or 0.0)
        named = [ranked[0], ranked[-1]]
    return {_name(pair): look_of_variant(place) for place, pair in enumerate(named)}


def _name(pair: PairSimilarity) -> str:
    return f"{pair.first}\N{EN DASH}{pair.second}"


def _draw_pair(axes: "Axes", pair: PairSimilarity, panel: Panel, look: Look | None) -> None:
    layers = range(len(pair.layers))
    values = [or_gap(panel.value(layer)) for layer in pair.layers]
    color = look.color if look else MUTED
    axes.plot(
        layers,
        values,
        color=color,
        linestyle=look.dash if look else "-",
        marker=look.marker if look else "",
        markersize=3.6,
        linewidth=1.4 if look else 0.6,
        label=_name(pair) if look else None,
        zorder=3 if look else 2,
    )
    if panel.control:
        control = [or_gap(panel.control(layer)) for layer in pair.layers]
        axes.plot(layers, control, color=OTHER.color, linestyle=(0, (3, 2)), linewidth=0.8)


def _finish(figure: "Figure", last: "Axes", similarity: RepresentationSimilarity) -> None:
    last.set_xlabel("layer")
    last.locator_params(axis="x", integer=True)
    chance = max((1 / pair.sentences for pair in similarity.pairs), default=0.0)
    last.axhline(chance, color=OTHER.color, linestyle=(0, (3, 2)), linewidth=0.8, label="shuffled, chance")
    last.set_ylim(-0.03, 1.03)
    figure.legend(*last.get_legend_handles_labels(), loc="outside lower left", ncols=3, handlelength=2.8)


def _description(similarity: RepresentationSimilarity) -> str:
    found = [
        f"{_name(pair)} {'unknown' if layer.debiased_cka is None else f'{layer.debiased_cka:.2f}'}, "
        f"{(layer.found_first + layer.found_second) / 2:.0%} found"
        for pair in similarity.pairs
        for layer in pair.layers[-1:]
    ]
    return f"Debiased CKA and translations found in the last layer: {'; '.join(found)}."
