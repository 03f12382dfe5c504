"""The source's Figure 1: scores of a task within each language, alone and trained together."""

from pathlib import Path
from typing import TYPE_CHECKING

from detente.report import numbers
from detente.report.canvas import WIDTH, Drawing, drawing_style, save
from detente.report.inventory import Study
from detente.report.palette import INK, MONO, Look, look_of, look_of_variant
from detente.report.paper_kinds import MEASURES, named_task, tasks_of, untreated_rows
from detente.report.paper_layout import Layout, PaperRow, mono_row
from detente.report.statistics import Estimate, estimate
from detente.report.task_scores import Asked, task_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST_PLACES = 4.0

Bars = dict[str, Estimate]
"""Language -> score."""


def draw_within(study: Study, layout: Layout, folder: Path, *, key: str) -> Drawing | None:
    """A panel a task, NER first; a bar each for mono and for every untreated mixture, with its interval."""
    from matplotlib.figure import Figure

    rows = [mono_row(study, layout.targets), *(row for each in layout.companies for row in untreated_rows(study, each))]
    panels = []
    for task, kind in tasks_of(study, tuple(MEASURES)):
        bars = {row.label: _bars(study, row, task) for row in rows}
        if sum(map(bool, bars.values())) > 1:
            panels.append((named_task(task, kind, MEASURES[kind]), bars))
    if not panels:
        return None
    with drawing_style():
        figure = Figure(figsize=(WIDTH, 0.4 + 2.1 * len(panels)))
        for axes, (title, bars) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
            _draw_panel(axes, title, bars)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=3)
        words = "; ".join(f"{title}: {_words(bars)}" for title, bars in panels)
        return save(
            figure, folder, Drawing(key, "Alone and trained together, within each language", words, "", "paper")
        )


def _bars(study: Study, row: PaperRow, task: str) -> Bars:
    found = {
        label: task_scores(study, system, Asked(task, "within", label, label)) for label, system in row.systems.items()
    }
    return {label: estimate(list(values.values())) for label, values in found.items() if values}


def _draw_panel(axes: "Axes", title: str, bars: dict[str, Bars]) -> None:
    languages = list(dict.fromkeys(label for each in bars.values() for label in each))
    width = 0.8 / len(bars)
    for number, (name, values) in enumerate(bars.items()):
        places = [languages.index(label) + width * (number - (len(bars) - 1) / 2) for label in values]
        found = list(values.values())
        arms = [_arm(each) for each in found]
        axes.bar(places, [each.mean for each in found], width=0.9 * width, color=_look(number).color, label=name)
        axes.errorbar(
            places, [each.mean for each in found], yerr=arms, linestyle="", color=INK, capsize=2, linewidth=0.9
        )
    axes.set_xticks(range(len(languages)), languages)
    axes.grid(visible=False, axis="x")
    # Of few languages the bars would be slabs.
    spare = max(0.0, FEWEST_PLACES - len(languages)) / 2
    axes.set_xlim(-0.5 - spare, len(languages) - 0.5 + spare)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(title)


def _arm(found: Estimate) -> float:
    """Of one seed there is none."""
    return found.half_width or 0.0


def _look(number: int) -> Look:
    return (MONO, look_of("none"))[number] if number < 2 else look_of_variant(number - 2)


def _words(bars: dict[str, Bars]) -> str:
    return ", ".join(
        f"{name} {label} {numbers.points(value)}" for name, each in bars.items() for label, value in each.items()
    )
