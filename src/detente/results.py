"""Run records: one JSON a run, written whole or not at all, versioned. Never imports torch.

A run folder holds `settings.yaml`, `record.json`, `metrics.jsonl` and `checkpoints/`. The record says what was run, on
what, how it ended and what came out; `metrics.jsonl` has one line a step (training) and one a validation.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detente.disk import flush, told_when_full
from detente.errors import RecordError
from detente.seal import sealed, unsealed, unsealed_line

RECORD_VERSION = 1
RECORD_FILE = "record.json"
METRICS_FILE = "metrics.jsonl"
LONGEST_LINE = 16_384
MOST_NATS = 700.0
"""exp of more has no floating-point number. What counts give is far below."""

# Metric -> (unit, whether lower is better). Bold type, arrows and colours come from here.
METRICS: dict[str, tuple[str, Literal["lower", "higher"]]] = {
    "loss": ("nats per target", "lower"),
    "perplexity": ("", "lower"),
    "bits_per_character": ("bits", "lower"),
}


class Part(BaseModel):
    """Base of the record's parts: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Score(Part):
    """A masked language model on held-out text of one language."""

    loss: float
    """Mean cross-entropy of the target tokens, in nats."""
    perplexity: float
    """exp(loss); comparable under one vocabulary only."""
    bits_per_character: float
    """loss / ln 2 * tokens / characters of the split; comparable across vocabularies."""
    targets: int
    """Masked positions that were scored."""


class Baseline(Part):
    """Count models on the same test tokens: what is reached without context (unigram) and with the token before (bigram)."""

    unigram: float = Field(le=MOST_NATS)
    """Nats per token."""
    bigram: float = Field(le=MOST_NATS)
    """Nats per token."""


class LanguageResult(Part):
    """One language of a run's mixture."""

    test: Score
    """Every token was a target once."""
    validation: Score
    """With one set of masks."""
    baseline: Baseline
    """On the test split."""
    early_loss: float
    """Mean training loss of this language over the first fifth of the run's steps, in nats."""
    blocks_seen: int
    """Training blocks of this language that the run was shown."""
    epochs: float
    """Blocks seen over blocks there are."""
    data: str
    """Checksum of the language's token store."""

    @property
    def has_learned(self) -> bool:
        """Whether the model has left the unigram plateau: below 0.9 of the unigram entropy on the test split."""
        return self.test.loss < 0.9 * self.baseline.unigram


class MetaTerms(Part):
    """The two terms of the meta-gradient d - beta h (method 5): medians over the measured steps of the second half of training."""

    measured: int
    """Steps behind the medians."""
    skipped: int = 0
    """Updates of phi that were left out, in the whole run, because the held-out gradient was zero or not finite."""
    direct_norm: float | None = None
    """Of d."""
    second_order_norm: float | None = None
    """Of beta h; None when the term was left out."""
    ratio: float | None = None
    """Second-order over direct norm."""
    cosine: float | None = None
    """Of d and -beta h: 1 when the second-order term asks for the same change."""
    epsilon: float | None = None
    """How far theta was moved along the direction of the differences."""
    difference_error: float | None = None
    """One-sided against central differences, relative to h: what one-sided ones err by."""
    direct_noise: float | None = None
    """Standard deviation of d from one held-out batch to another."""

    @property
    def is_below_noise(self) -> bool:
        """Whether another held-out batch would have changed the meta-gradient by more than the second-order term did."""
        known = self.second_order_norm is not None and self.direct_noise is not None
        return known and self.second_order_norm < self.direct_noise  # type: ignore[operator]


class Parameters(Part):
    """Parameter counts."""

    shared: int
    specific: int
    """Of one language."""

    @property
    def total(self) -> int:
        return self.shared + self.specific


class Revision(Part):
    """The state of the git repository that a command was given in: the user's own, which may hold the study's file and scripts."""

    commit: str
    is_changed: bool
    """Whether files that git knows differed from the commit; files that it does not know do not count."""


class RunRecord(Part):
    """One pretraining run."""

    version: int = RECORD_VERSION
    name: str
    """Mixture, treatment and seed."""
    fingerprint: str
    """Hash of everything that decides the result: settings, data, vocabulary."""
    status: Literal["success", "failed", "interrupted"]
    error: str | None = None
    mixture: tuple[str, ...]
    treatment: str
    variant: str = ""
    """Name of the study's variant; empty where the treatment has the study's own settings."""
    seed: int
    settings: dict[str, Any]
    """Resolved `RunSettings`."""
    steps: int
    """Optimizer updates done."""
    languages: dict[str, LanguageResult] = {}
    parameters: Parameters | None = None
    meta: MetaTerms | None = None
    """Of a `meta-adapter` run."""
    vocabulary: str
    """Checksum of the vocabulary."""
    left_out: int = 0
    """Updates that were left out because a loss or gradient was not finite (`training.skip_nonfinite`)."""
    tokens: int = 0
    """Training tokens processed, meta batches not counted."""
    train_seconds: float = 0.0
    """Wall time inside training steps, over all sittings."""
    total_seconds: float = 0.0
    """Wall time of the sittings, evaluation and checkpoints included."""
    peak_memory_bytes: int = 0
    """Largest resident set of the process, or memory allocated on the GPU."""
    sittings: int = 1
    """1 unless the run was interrupted and went on."""
    finished: str
    """UTC time, ISO 8601."""
    versions: dict[str, str] = {}
    machine: dict[str, str] = {}
    revision: Revision | None = None
    """Of the working directory when the last sitting began; None outside of a repository."""

    @property
    def system(self) -> str:
        """The variant, or the treatment where it has the study's own settings."""
        return self.variant or self.treatment


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def hash_of(value: Any) -> str:
    """SHA-256 of a value that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def hash_of_file(path: Path) -> str:
    """SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n")


def write_atomic(path: Path, content: bytes) -> None:
    """As `write_json`, for bytes.

    Raises:
        DataError: the disk is full; the old file is as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with told_when_full(path.name, path.parent, needed=len(content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            flush(path.parent)
    finally:
        # On a full disk, half a file would keep the space.
        beside.unlink(missing_ok=True)


def write_record(folder: Path, record: RunRecord) -> None:
    """Put `record` into a run folder."""
    write_json(folder / RECORD_FILE, sealed(record.model_dump(mode="json")))


def read_record(folder: Path) -> RunRecord:
    """The record of a run folder.

    Raises:
        RecordError: it is missing, damaged or of a newer version.
    """
    path = folder / RECORD_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("version") != RECORD_VERSION:
            raise RecordError(
                f"{path} has record version {values.get('version')}, this detente reads {RECORD_VERSION}."
            )
        return RunRecord.model_validate(unsealed(values))
    except FileNotFoundError:
        raise RecordError(
            f"there is no {RECORD_FILE} in {folder}: the run has not ended yet, or this is no run."
        ) from None
    except (ValueError, AttributeError, RecursionError, ValidationError) as error:
        problem = " ".join(str(error).split())[:200]
        raise RecordError(f"{path} is damaged ({problem}). Delete it and run the study again.") from None


def read_records(study_folder: Path) -> list[RunRecord]:
    """The records of all runs in a study folder, by name. Runs that have not ended are left out."""
    return [read_record(path.parent) for path in sorted(study_folder.glob(f"runs/*/{RECORD_FILE}"))]


def read_metrics(run_folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of `metrics.jsonl`, in order. A last line cut short by a crash is left out.

    A training line: {"kind": "train", "step", "loss": {label: nats}, "gradient_norm", "learning_rate", "tokens"}; of a meta step, now
    and then, also the measurements of `MetaTerms`. `spike` names languages whose loss lies far above that of their last steps;
    `left_out` counts updates that were left out because something was not finite, and what was not is missing then.
    A validation line: {"kind": "validation", "step", "loss": {label: nats}, "bits_per_character": {label: bits}}.

    Raises:
        RecordError: a line is damaged.
    """
    path = run_folder / METRICS_FILE
    if not path.exists():
        return
    # Only `\n` ends a line, and a byte that is no UTF-8 is the line's own fault.
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line.endswith("\n"):
                yield _metrics_in(line, path, number)


def _metrics_in(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        return unsealed_line(line)
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"{path} is damaged: line {number} ({error}). Delete the run's folder and run the study again."
        ) from None


def last_step(run_folder: Path) -> int:
    """The newest step in `metrics.jsonl`, without reading all of it; 0 when there is none."""
    path = run_folder / METRICS_FILE
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LONGEST_LINE))
        found = re.findall(rb'"step": (\d+)', file.read())
    return int(found[-1]) if found else 0
