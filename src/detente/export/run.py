"""From a run folder to a model folder: `config.json`, `model.safetensors`, the tokenizer and `README.md`."""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from detente.corpus.manifest import CorpusManifest, read_manifest
from detente.errors import ConfigError, DataError, RecordError
from detente.export.card import Card
from detente.export.folder import CARD, WEIGHTS, digest, refuse_other_folder, replaced
from detente.pretrain.opened_run import OpenedModel, open_model
from detente.results import RunRecord, read_record


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        is_stock: transformers loads it without detente, as an XLM model.
        step: updates of the model.
        steps: updates of the run when it is finished.
    """

    folder: Path
    is_stock: bool
    step: int
    steps: int

    @property
    def is_finished(self) -> bool:
        return self.step == self.steps


def export_run(run_folder: Path, goal: Path) -> Exported:
    """Write the newest checkpoint of a run, finished or not, as a Hugging Face model folder.

    Args:
        goal: must not exist, or be empty, or hold an earlier export, which is replaced as a whole.

    Raises:
        ConfigError: transformers is not installed.
        DataError: the run's vocabulary is missing or changed, `goal` holds something else, or the disk is full.
        RecordError: `run_folder` holds no run.
        CheckpointError: it has no undamaged checkpoint.
    """
    _require_transformers()
    refuse_other_folder(goal)
    opened = open_model(run_folder)
    from detente.huggingface.conversion import fits_xlm

    is_stock = fits_xlm(opened.settings)
    with replaced(goal, needed=weight_bytes(opened)) as folder:
        _write(opened, folder, is_stock=is_stock)
        weights = digest(folder / WEIGHTS)
        card = Card(opened, _record_of(run_folder, opened), _corpora(run_folder, opened), weights, is_stock)
        (folder / CARD).write_text(card.text(goal.resolve().name), encoding="utf-8")
    return Exported(goal, is_stock, opened.step, opened.settings.training.steps)


def weight_bytes(opened: OpenedModel) -> int:
    """Of the model's weights."""
    return sum(p.numel() * p.element_size() for _, p in opened.treated.named_parameters())


def write_model(run_folder: Path, folder: Path) -> None:
    """Write weights, configuration and tokenizer of a run's newest checkpoint into a folder that is there, and no card.

    Always in our own format: models that are fine-tuned together are then called in the same way, with their languages.

    Raises:
        DetenteError: as `export_run`.
    """
    _require_transformers()
    _write(open_model(run_folder), folder, is_stock=False)


def _require_transformers() -> None:
    if importlib.util.find_spec("transformers") is None:
        raise ConfigError("a model folder is written by transformers: pip install 'detente[tasks]'")


def _write(opened: OpenedModel, folder: Path, *, is_stock: bool) -> None:
    from detente.huggingface.conversion import to_huggingface, to_xlm
    from detente.huggingface.tokenizer import tokenizer_files

    vocabulary = opened.vocabulary
    convert = to_xlm if is_stock else to_huggingface
    with _no_bars():
        convert(opened.settings, opened.treated, vocabulary).save_pretrained(folder)
    if is_stock:
        _add_older_names(folder / "config.json")
    for name, content in tokenizer_files(vocabulary, opened.settings.batches.block_length).items():
        (folder / name).write_text(content, encoding="utf-8")


def _add_older_names(config: Path) -> None:
    """Transformers 4 has XLM's special tokens under other names, and takes its own defaults where it does not find them."""
    values = json.loads(config.read_text(encoding="utf-8"))
    values |= {f"{role}_index": values[f"{role}_token_id"] for role in ("pad", "bos", "eos")}
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without transformers' progress bars, which count files."""
    from transformers.utils import logging

    were_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_shown:
            logging.enable_progress_bar()


def _record_of(run_folder: Path, opened: OpenedModel) -> RunRecord | None:
    """The record that goes with the checkpoint: scores of a finished run are not those of an earlier step."""
    try:
        record = read_record(run_folder)
    except RecordError:
        return None
    return record if record.status == "success" and record.steps == opened.step else None


def _corpora(run_folder: Path, opened: OpenedModel) -> dict[str, CorpusManifest]:
    """Label -> what its text is, where that is still in the study."""
    root = run_folder.resolve().parent.parent / "data" / "corpus"
    found = {}
    for label in opened.settings.mixture:
        try:
            found[label] = read_manifest(root / label)
        except DataError:
            continue
    return found
