"""What the page's filters go by: which languages a row, a column or a figure is about, by their numbers, and which task setting."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from detente.report.canvas import Drawing
from detente.report.interference_matrix import mixtures_beside_matrix
from detente.report.inventory import Study
from detente.report.tables import Column, Table

SETTINGS = ("within", "zero-shot", "oracle")


@dataclass(frozen=True)
class TableView:
    """A table as the page shows it."""

    table: Table
    folded: Table | None
    """Rows of pairs that the matrix shows too."""


class Filters:
    """Of one study."""

    def __init__(self, study: Study) -> None:
        self._places = {label: place for place, label in enumerate(study.languages)}
        every = (*study.mixtures, *((label,) for label in study.languages))
        self._groups = {"+".join(mixture): mixture for mixture in every}
        beside = mixtures_beside_matrix(study)
        self._folded = {"+".join(mixture) for mixture in study.mixtures if mixture not in beside}

    def numbers(self, languages: Iterable[str]) -> list[int]:
        """Of the languages that the study knows; without any, nothing is hidden."""
        return [self._places[label] for label in languages if label in self._places]

    def of_group(self, heading: str) -> list[int]:
        """Of rows below a mixture or a language."""
        return self.numbers(self._groups.get(heading, ()))

    def of_column(self, column: Column) -> list[int]:
        """Of the language that stands above it or, as in the text seen, over its group."""
        return self.numbers([column.title]) or self.numbers([column.group])

    def of_drawing(self, drawing: Drawing) -> list[int]:
        """Of what it is drawn for."""
        return self.numbers(drawing.languages)

    def setting_of(self, column: Column) -> str:
        """Of a task table's column; empty where there is none."""
        return next((setting for setting in SETTINGS if column.group.split(" ")[0] == setting), "")

    def settings_in(self, tables: Iterable[Table]) -> list[str]:
        """In the order of the switch."""
        found = {self.setting_of(column) for table in tables for column in table.columns}
        return [setting for setting in SETTINGS if setting in found]

    def view(self, table: Table) -> TableView:
        """With the rows of pairs apart."""
        apart = tuple(row for row in table.rows if row.group in self._folded)
        if not apart:
            return TableView(table, None)
        rest = tuple(row for row in table.rows if row.group not in self._folded)
        return TableView(replace(table, rows=rest), replace(table, rows=apart))
