"""Figures of the masks: how alike pi is by layer (the source's Figure 4a), its extremes (4b), and whose groups are whose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detente.diagnosis_results.masks import Extreme, MaskSimilarity, ParameterMasks, Shares
from detente.report.canvas import WIDTH, Drawing, drawing_style, file_labels, new_figure, or_gap, save
from detente.report.palette import INK, LOOKS, MUTED, Look, look_of_variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Dash = str | tuple[float, tuple[float, ...]]

KIND = "masks"
KINDS = ("attention", "ffn")
CONTROL_DASHES: tuple[Dash, ...] = ((0, (3, 1.5)), (0, (1, 1.5)))
LONGEST_NAME = 30

Pick = Callable[[MaskSimilarity], float | None]
PANELS: tuple[tuple[str, Pick], ...] = (
    ("cosine of pi", lambda place: place.cosine),
    ("mean taken off", lambda place: place.centred),
)
BANDS: tuple[tuple[str, Callable[[Shares], float]], ...] = (
    ("open for all", lambda shares: shares.universal),
    ("for some", lambda shares: shares.owned),
    ("for none", lambda shares: shares.unused),
)


@dataclass(frozen=True)
class _Line:
    """Similarities in all layers of one kind."""

    label: str
    places: Sequence[MaskSimilarity]
    look: Look
    control: Dash | None
    """Its dash, where it is of one language."""


def draw_mask_similarity(masks: ParameterMasks, languages: Sequence[str], folder: Path, *, key: str = "") -> Drawing:
    """Of two languages, a line each for attention and ffn, and beside them two runs of one language; of one language these alone.

    Above the cosine as the source has it; below, it is taken after the means, without which it is near 1 wherever gates stay
    open.
    """
    from matplotlib.figure import Figure

    lines = [line for kind in KINDS for line in _lines(masks, languages, kind)]
    with drawing_style():
        figure = Figure(figsize=(WIDTH, 3.6 + 0.17 * -(-len(lines) // 2)))
        parts = figure.subplots(len(PANELS), 1, sharex=True)
        for axes, (label, pick) in zip(parts, PANELS, strict=True):
            for line in lines:
                _draw_line(axes, line, pick)
            axes.set_ylabel(label)
            axes.set_ylim(top=1.03)
        parts[-1].set_xlabel("layer, from 0")
        parts[-1].locator_params(axis="x", integer=True)
        figure.legend(*parts[-1].get_legend_handles_labels(), loc="outside lower left", ncols=2, handlelength=2.8)
        title = f"Masks of {' and '.join(languages)}, by layer"
        words = "; ".join(f"{line.label} {_range(line)}" for line in lines)
        key = key or f"mask-similarity-{'-'.join(file_labels(languages, masks.languages))}"
        return save(figure, folder, Drawing(key, title, f"Cosine of pi, lowest to highest layer: {words}.", "", KIND))


def draw_mask_extremes(masks: ParameterMasks, language: str, other: str, folder: Path, *, key: str = "") -> Drawing:
    """The lowest and the highest pi of a language, left to right, beside the other language's.

    Each over the largest of its own language, since pi of languages need not have the same size.
    """
    extremes = masks.extremes(language, other)
    scales = [abs(masks.pi(each)).max() for each in (language, other)]
    with drawing_style():
        figure, axes = new_figure(3.4)
        for place, (name, pick) in enumerate(((language, _own), (other, _other))):
            look = look_of_variant(place)
            heights = [pick(extreme) / scales[place] for extreme in extremes]
            where = [number + 0.4 * (place - 0.5) for number in range(len(extremes))]
            axes.bar(where, heights, width=0.36, color=look.color, label=name)
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.axvline(len(extremes) / 2 - 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
        axes.set_xticks(range(len(extremes)), [_short(extreme) for extreme in extremes], rotation=90, fontsize=6)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("pi over the largest")
        figure.legend(loc="outside lower left", ncols=2)
        flipped = sum(extreme.value < 0 < extreme.other for extreme in extremes)
        low = sum(extreme.value < 0 for extreme in extremes)
        title = f"Groups that {language} needs least and most, beside {other}"
        text = f"Of the {low} groups shown that {language} closes, {flipped} are open for {other}."
        key = key or f"mask-extremes-{'-'.join(file_labels((language, other), masks.languages))}"
        return save(figure, folder, Drawing(key, title, text, "", KIND))


def draw_mask_shares(masks: ParameterMasks, folder: Path) -> Drawing:
    """Groups that are open for all languages, for some, for none, by layer; a dot: how much of `for some` two runs of one language give."""
    from matplotlib.figure import Figure

    with drawing_style():
        figure = Figure(figsize=(WIDTH, 3.8))
        parts = figure.subplots(len(KINDS), 1, sharex=True, sharey=True)
        for axes, kind in zip(parts, KINDS, strict=True):
            _draw_bands(axes, masks, kind)
            axes.set_ylabel(f"{kind}, share")
        parts[-1].set_xlabel("layer, from 0")
        parts[-1].locator_params(axis="x", integer=True)
        handles = {
            label: handle for axes in parts for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=2)
        everything, chance = masks.shares()[0], masks.owned_by_chance()[0]
        text = (
            f"Of all groups {everything.universal:.0%} are open for all languages, {everything.owned:.0%} for some "
            f"({chance:.0%} between two runs of one language), {everything.unused:.0%} for none."
        )
        return save(figure, folder, Drawing("mask-shares", "Whose the groups are, by layer", text, "", KIND))


def _lines(masks: ParameterMasks, languages: Sequence[str], kind: str) -> list[_Line]:
    """Those that have a layer to stand in: two languages, then each with itself."""
    lines = []
    if len(languages) > 1:
        first, second = languages
        lines.append(_line(f"{first}\N{EN DASH}{second}, {kind}", masks.similarity(first, second), kind, None))
    for language, dash in zip(languages, CONTROL_DASHES, strict=False):
        lines.append(_line(f"{language} twice, {kind}", masks.control(language), kind, dash))
    return [line for line in lines if line.places]


def _line(label: str, places: Sequence[MaskSimilarity], kind: str, control: Dash | None) -> _Line:
    here = [place for place in places if place.kind == kind and place.layer is not None]
    return _Line(label, here, LOOKS[kind], control)


def _draw_line(axes: "Axes", line: _Line, pick: Pick) -> None:
    values = [pick(place) for place in line.places]
    axes.plot(
        [place.layer for place in line.places if place.layer is not None],
        list(map(or_gap, values)),
        color=line.look.color,
        linestyle=line.control or "-",
        marker="" if line.control else line.look.marker,
        markersize=3.6,
        linewidth=0.9 if line.control else 1.4,
        label=line.label,
    )


def _range(line: _Line) -> str:
    values = [line.places[0].cosine, line.places[-1].cosine]
    return " to ".join("unknown" if value is None else f"{value:.2f}" for value in values)


def _draw_bands(axes: "Axes", masks: ParameterMasks, kind: str) -> None:
    both = zip(masks.shares(), masks.owned_by_chance(), strict=True)
    here = [(each, chance) for each, chance in both if each.kind == kind and each.layer is not None]
    shares = [each for each, _ in here]
    layers = [each.layer for each in shares if each.layer is not None]
    bottom = [0.0] * len(shares)
    for number, (label, pick) in enumerate(BANDS):
        look = look_of_variant(number)
        heights = [pick(each) for each in shares]
        axes.bar(layers, heights, bottom=bottom, width=0.7, color=look.color, label=label)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    axes.plot(
        layers,
        [each.universal + chance for each, chance in here],
        color=INK,
        linestyle="",
        marker="_",
        markersize=12,
        label="for some, one language twice",
    )
    axes.set_ylim(0, 1)


def _own(extreme: Extreme) -> float:
    return extreme.value


def _other(extreme: Extreme) -> float:
    return extreme.other


def _short(extreme: Extreme) -> str:
    """The end of the part's name, which tells parts apart, and the group's number."""
    name = extreme.part.removesuffix(".weight")
    if len(name) > LONGEST_NAME:
        name = f"\N{HORIZONTAL ELLIPSIS}{name[1 - LONGEST_NAME :]}"
    return f"{name} {extreme.number}"
