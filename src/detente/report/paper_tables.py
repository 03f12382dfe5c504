"""The source's Tables 2 to 7, in its layout, from a study's own fine-tunings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from detente.report.inventory import Study
from detente.report.paper_kinds import KINDS, Block, Contents, Place, Spot
from detente.report.paper_layout import Layout, PaperRow, layout_of
from detente.report.tables import Cell, Column, Row, Table, best_of, notes_for, seeds_cell
from detente.report.task_scores import Asked, Seeds, mean_over, score_cell, task_scores

INTERVALS = "Percent; mean over pretraining seeds and 95 % interval, seeds of fine-tuning averaged first."


@dataclass(frozen=True)
class PaperTable:
    """A table before its numbers."""

    number: str
    title: str
    source: str
    contents: Contents

    @property
    def key(self) -> str:
        """File name without suffix."""
        return f"paper-table-{self.number}"


def paper_tables(study: Study) -> dict[str, PaperTable | None]:
    """By their numbers; None where the study has nothing for it."""
    layout = layout_of(study)
    return {number: _paper_table(study, layout, number) if layout else None for number in KINDS}


def as_table(study: Study, paper: PaperTable) -> Table:
    """With its numbers: the best of a column marked where the interval says so, an average where every cell exists."""
    rows = [row for block in paper.contents.blocks for row in _rows(study, paper, block)]
    columns = (*(Column(place.title, place.group) for place in paper.contents.places), Column("seeds"))
    where = f"Columns: languages that are trained together with {paper.source}; zero-shot is from {paper.source}."
    caption = f"{paper.contents.caption} {where} {INTERVALS}"
    notes = (*notes_for(rows), *_missing(rows, columns))
    title = f"Table {paper.number} of the paper: {paper.title}"
    return Table(paper.key, title, caption, "setting", columns, tuple(rows), notes)


def values(study: Study, paper: PaperTable, block: Block, row: PaperRow, place: Place) -> Seeds:
    """Pretraining seed -> score; of an average only where every language has every seed."""
    return mean_over([_score(study, paper, block, row, spot) for spot in place.spots])


def _paper_table(study: Study, layout: Layout, number: str) -> PaperTable | None:
    """Without blocks that have no number; None where none has any."""
    kind = KINDS[number]
    contents = kind.build(study, layout)
    paper = PaperTable(number, kind.title, layout.source, contents)
    blocks = [block for block in contents.blocks if any(_has_values(study, paper, block, row) for row in block.rows)]
    return replace(paper, contents=replace(contents, blocks=blocks)) if blocks else None


def _has_values(study: Study, paper: PaperTable, block: Block, row: PaperRow) -> bool:
    return any(values(study, paper, block, row, place) for place in paper.contents.places)


def _rows(study: Study, paper: PaperTable, block: Block) -> Iterator[Row]:
    columns = [[values(study, paper, block, row, place) for row in block.rows] for place in paper.contents.places]
    best = [best_of(column, "higher") for column in columns]
    asked = [any(column) for column in columns]
    for number, row in enumerate(block.rows):
        cells = [
            replace(_cell(column[number], row, place, is_asked), is_best=winner == number)
            for column, place, winner, is_asked in zip(columns, paper.contents.places, best, asked, strict=True)
        ]
        if any(cell.text for cell in cells):
            yield Row(block.title, row.label, (*cells, seeds_cell(study, cells, list(row.systems.values()))))


def _cell(found: Seeds, row: PaperRow, place: Place, is_asked: bool) -> Cell:
    is_average = len(place.spots) > 1
    return score_cell(found, is_asked=is_asked and not is_average and place.spots[0].language in row.systems)


def _score(study: Study, paper: PaperTable, block: Block, row: PaperRow, spot: Spot) -> Seeds:
    language = paper.source if block.is_of_source else spot.language
    source = paper.source if block.setting == "zero-shot" else language
    return task_scores(
        study, row.systems.get(spot.language), Asked(spot.task, block.setting, source, language, spot.metric)
    )


def _missing(rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    """So that nobody has to look for them."""
    found = []
    for row in rows:
        empty = [
            f"{column.group} {column.title}".strip()
            for column, cell in zip(columns, row.cells, strict=True)
            if cell.is_missing
        ]
        if empty:
            found.append(f"{row.group}, {row.label}: {', '.join(empty)}")
    if found:
        yield f"Missing: {'; '.join(found)}."
