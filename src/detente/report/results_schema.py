"""The form of `results.json`: everything that a report's tables and verdict are made of. `docs/results.schema.json` is made from here."""

from typing import Literal

from pydantic import Field

from detente.report.statistics import Word
from detente.results import Part

RESULTS_VERSION = 1
RESULTS_FILE = "results.json"
Seeds = dict[int, float | None]


class Interval(Part):
    """A mean over seeds with its 95 % interval; null where a number is not finite, and for the ends where one seed gives none."""

    mean: float | None
    low: float | None
    high: float | None
    seeds: int


class SystemEntry(Part):
    """A mixture with a treatment: what the seeds of one row have in common."""

    mixture: tuple[str, ...]
    """Labels of the languages; one alone is mono."""
    system: str
    """Name of the variant, or of the treatment; `none` is untreated."""
    treatment: str
    seeds: tuple[int, ...]
    """Of the runs that succeeded."""
    expected_seeds: int
    """Seeds that are known of, whether they succeeded or not."""


class ScoreEntry(Part):
    """One measure of one language under one system."""

    mixture: tuple[str, ...]
    system: str
    language: str
    measure: str
    """bits-per-character, perplexity or early-loss."""
    better: Literal["lower", "higher"] | None
    by_seed: Seeds
    estimate: Interval
    has_learned: bool
    """Whether every run has left the unigram plateau; from one that has not, nothing follows."""


class InterferenceEntry(Part):
    """Bits per character of a system minus those of mono, paired by seed."""

    mixture: tuple[str, ...]
    system: str
    language: str
    by_seed: Seeds
    estimate: Interval
    word: Word
    has_learned: bool
    exposure: float | None
    """Blocks of the language that the system was shown, over those of mono."""
    recovered: Interval | None
    """Share of the untreated mixture's interference that the treatment takes away, where that can be told."""


class TaskEntry(Part):
    """One score of fine-tunings."""

    mixture: tuple[str, ...]
    system: str
    task: str
    kind: str
    setting: str
    """within, zero-shot or oracle."""
    source: str
    """Fine-tuned on it."""
    language: str
    """Tested on it."""
    metric: str
    by_seed: Seeds
    """Percent; the key is the seed of pretraining, seeds of fine-tuning are averaged."""
    estimate: Interval


class FindingEntry(Part):
    """What a mixture does to a language."""

    mixture: tuple[str, ...]
    language: str
    word: Word
    """For the untreated mixture."""
    text: str
    treatments: str
    """What the treatments do about it; empty without any."""
    transfer: str
    """What the treatments do to zero-shot transfer to the language; empty without tasks."""


class SecondOrderEntry(Part):
    """What the second-order term of the meta step does to a language."""

    subject: str
    word: Word
    text: str


class MatrixEntry(Part):
    """Who is hurt (rows) by whom (columns), in pairs."""

    languages: tuple[str, ...]
    unit: str
    budget: Literal["steps", "examples"]
    cells: tuple[tuple[Interval | None, ...], ...]
    row_means: tuple[Interval | None, ...]
    column_means: tuple[Interval | None, ...]
    asymmetry: float | None


class RunEntry(Part):
    """A run behind the numbers."""

    name: str
    folder: str
    fingerprint: str
    mixture: tuple[str, ...]
    system: str
    seed: int
    steps: int
    tokens: int
    train_seconds: float | None
    finished: str


class MissingRun(Part):
    """A run or fine-tuning that is not in the tables."""

    name: str
    status: str
    reason: str
    is_expected: bool
    """Whether the study asks for it."""


class MissingCell(Part):
    """A place of a table where a number should be."""

    table: str
    row: str
    column: str


class CellEntry(Part):
    """One place of a table."""

    text: str
    """As printed."""
    estimate: Interval | None
    word: Word | None
    has_learned: bool
    is_best: bool
    is_missing: bool


class RowEntry(Part):
    """One row."""

    group: str
    label: str
    cells: tuple[CellEntry, ...]


class TableEntry(Part):
    """One of the files in `tables`."""

    key: str
    """File name without suffix."""
    title: str
    caption: str
    columns: tuple[str, ...]
    """With the heading of their group."""
    rows: tuple[RowEntry, ...]
    notes: tuple[str, ...]


class StudyResults(Part):
    """A study's results as one file. Numbers have full precision; null stands for what is not finite or not known."""

    version: int = Field(RESULTS_VERSION, json_schema_extra={"const": RESULTS_VERSION})
    """Of this form: it grows when a name goes or changes its meaning, not when one is added."""
    study: str
    """Name of the folder."""
    languages: tuple[str, ...]
    systems: tuple[SystemEntry, ...]
    scores: tuple[ScoreEntry, ...]
    interference: tuple[InterferenceEntry, ...]
    tasks: tuple[TaskEntry, ...]
    matrix: MatrixEntry | None
    """Of studies with pairs of three languages or more."""
    findings: tuple[FindingEntry, ...]
    """The verdict."""
    second_order: tuple[SecondOrderEntry, ...]
    cautions: tuple[str, ...]
    """What to know before believing the findings."""
    missing_runs: tuple[MissingRun, ...]
    missing_cells: tuple[MissingCell, ...]
    runs: tuple[RunEntry, ...]
    tables: tuple[TableEntry, ...]
