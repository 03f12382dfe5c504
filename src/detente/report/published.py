"""The source's published numbers beside a study's own: differences between systems, since scores depend on text and size.

The numbers are in `published_tables.json`, under the names that the source's tables have, with what is printed wrongly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean

from detente.report import numbers
from detente.report.inventory import Study
from detente.report.paper_kinds import Block, Place, Spot
from detente.report.paper_layout import JOINT_PAIR, MONO, PaperRow
from detente.report.paper_tables import PaperTable, values
from detente.report.statistics import estimate, paired_differences
from detente.report.tables import Cell, Column, Row, Table
from detente.results import Part

FILE = Path(__file__).with_name("published_tables.json")


class PublishedRow(Part):
    """One system of a block, with one measure of one kind of task."""

    tables: tuple[str, ...]
    """Numbers of the tables that print it."""
    block: str
    """within, zero-shot, or within-source: scores of English in the models of each column."""
    kind: str
    metric: str
    """Empty for the main one."""
    system: str
    scores: dict[str, float]
    """Language -> percent; frl and rul are French and Russian cut to 100,000 sentences."""
    average: float | None = None
    """As printed."""


class Slip(Part):
    """Something that is printed wrongly."""

    tables: tuple[str, ...]
    text: str


class Published(Part):
    """All of it."""

    source: str
    slips: tuple[Slip, ...]
    rows: tuple[PublishedRow, ...]


@cache
def published() -> Published:
    """The file's content."""
    return Published.model_validate_json(FILE.read_text(encoding="utf-8"))


def differences_table(study: Study, paper: PaperTable) -> Table | None:
    """Ours and the source's, for the languages and systems that both have; None where that is nothing."""
    found = [(place, shared) for place in paper.contents.places if (shared := _shared(study, paper, place))]
    rows = [row for block in paper.contents.blocks for row in _rows(study, paper, block, [place for _, place in found])]
    if not rows:
        return None
    columns = [Column(side, f"{place.group} {place.title}") for place, _ in found for side in ("ours", "published")]
    caption = (
        "Differences between systems in points, ours with 95 % interval over seeds paired by seed, beside those of the paper, which "
        "names neither seeds nor intervals. Only languages that both have; an average is over these."
    )
    title = f"Table {paper.number} of the paper: differences, ours and published"
    slips = (slip.text for slip in published().slips if paper.number in slip.tables)
    notes = (f"Published: {published().source}.", *slips)
    return Table(f"{paper.key}-differences", title, caption, "setting", tuple(columns), tuple(rows), notes)


def _shared(study: Study, paper: PaperTable, place: Place) -> Place | None:
    """Of its languages those that the source has."""
    spots = tuple(spot for spot in place.spots if _has(study, paper.number, spot))
    is_average = len(place.spots) > 1
    return replace(place, spots=spots) if len(spots) > is_average else None


def _has(study: Study, number: str, spot: Spot) -> bool:
    return any(_name(study, spot.language) in row.scores for row in _published_rows(number, spot))


def _rows(study: Study, paper: PaperTable, block: Block, places: Sequence[Place]) -> Iterator[Row]:
    for row in block.rows:
        reference = _reference(block, row)
        if reference is not None and not block.is_of_source:
            cells = [cell for place in places for cell in _pair(study, paper, block, (row, reference), place)]
            if any(ours.text and theirs.text for ours, theirs in zip(cells[::2], cells[1::2], strict=True)):
                yield Row(block.title, f"{row.label} {numbers.MINUS} {reference.label}", tuple(cells))


def _reference(block: Block, row: PaperRow) -> PaperRow | None:
    """What a row is compared with: the untreated pair, and that with mono."""
    label = {MONO: "", JOINT_PAIR: MONO}.get(row.label, JOINT_PAIR)
    return next((other for other in block.rows if other.label == label), None)


def _pair(
    study: Study, paper: PaperTable, block: Block, rows: tuple[PaperRow, PaperRow], place: Place
) -> tuple[Cell, Cell]:
    ours = [values(study, paper, block, row, place) for row in rows]
    gaps = list(paired_differences(*ours).values())
    found = estimate(gaps) if gaps else None
    theirs = [_score(study, paper.number, block, row, place) for row in rows]
    return Cell(numbers.signed_points(found), found) if found else Cell(), _published_cell(theirs)


def _published_cell(scores: Sequence[float | None]) -> Cell:
    first, second = scores
    if first is None or second is None:
        return Cell()
    found = estimate([first - second])
    return Cell(numbers.signed_points(found), found)


def _score(study: Study, number: str, block: Block, row: PaperRow, place: Place) -> float | None:
    """An average is taken anew, over the languages of `place`."""
    found = [
        published_row.scores.get(_name(study, spot.language))
        for spot in place.spots
        for published_row in _published_rows(number, spot)
        if (published_row.block, published_row.system) == (block.setting, row.label)
    ]
    known = [score for score in found if score is not None]
    return fmean(known) if len(known) == len(place.spots) else None


def _published_rows(number: str, spot: Spot) -> list[PublishedRow]:
    wanted = (spot.kind, spot.metric)
    return [row for row in published().rows if number in row.tables and (row.kind, row.metric) == wanted]


def _name(study: Study, label: str) -> str:
    """As the source calls the language: its code, with an l where it is a part of the text."""
    known = study.known_languages.get(label)
    return label if known is None else f"{known.code}l" if known.is_subsample else known.code
