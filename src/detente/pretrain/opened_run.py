"""A run folder, opened to look at the run again, or for its model alone: its newest checkpoint in place."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from detente.errors import CheckpointError, DataError, RecordError
from detente.machine import choose_device
from detente.pretrain.checkpoint import STATE, load_checkpoint, newest_checkpoint
from detente.pretrain.data import RunData, fingerprint
from detente.pretrain.optimizer import build_optimizer
from detente.pretrain.run import build_model, to_device
from detente.settings import RunSettings
from detente.settings.yaml_values import read_yaml
from detente.treatment import TreatedEncoder
from detente.vocabulary import Vocabulary

SETTINGS_FILE = "settings.yaml"


@dataclass(frozen=True)
class OpenedRun:
    """A run as its newest undamaged checkpoint has it.

    Attributes:
        optimizer: AdamW with the checkpoint's moments.
        step: updates done.
    """

    settings: RunSettings
    data: RunData
    treated: TreatedEncoder
    optimizer: torch.optim.Optimizer
    step: int
    device: torch.device


@dataclass(frozen=True)
class OpenedModel:
    """A run's model alone, on the CPU.

    Attributes:
        step: updates done.
    """

    settings: RunSettings
    vocabulary: Vocabulary
    treated: TreatedEncoder
    step: int


def read_run_settings(folder: Path) -> RunSettings:
    """What a run was made by, finished or not.

    Raises:
        DataError: there is no such folder.
        RecordError: it holds no run, or a run of another version.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}. Give that of a run, STUDY/runs/NAME.{_runs_near(folder.parent)}")
    path = folder / SETTINGS_FILE
    if not path.is_file():
        raise RecordError(
            f"{folder} is no run: it has no {SETTINGS_FILE}. Give the folder of a run, STUDY/runs/NAME.{_runs_near(folder)}"
        )
    try:
        return RunSettings.model_validate(read_yaml(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        problem = " ".join(str(error).split())[:200]
        raise RecordError(f"{path} does not hold the settings of a run of this version ({problem}).") from None


def open_run(folder: Path) -> OpenedRun:
    """The run in STUDY/runs/NAME, on the data in STUDY/data.

    Raises:
        DataError: there is no such folder, or its data is missing or is not what the run was trained on.
        RecordError: the folder holds no run.
        CheckpointError: there is no undamaged checkpoint.
    """
    settings, data = _described(folder)
    data.store.check_sizes()
    data.store.verify()
    device = choose_device(settings.training.device)
    treated = to_device(build_model(settings, data.vocabulary.size), device)
    optimizer = build_optimizer(treated, settings.training)
    return OpenedRun(settings, data, treated, optimizer, _load(folder, treated, optimizer)["step"], device)


def open_model(folder: Path) -> OpenedModel:
    """The model of the run in STUDY/runs/NAME, with the vocabulary in STUDY/data; no token is read, and none need be there.

    Raises:
        DataError: there is no such folder, or its vocabulary is missing or is not what the run was trained with.
        RecordError, CheckpointError: as `open_run`.
    """
    settings, data = _described(folder)
    treated = build_model(settings, data.vocabulary.size)
    return OpenedModel(settings, data.vocabulary, treated, _load(folder, treated, None)["step"])


def _described(folder: Path) -> tuple[RunSettings, RunData]:
    """A run's settings, and the data that it was trained on by its manifests."""
    settings = read_run_settings(folder)
    newest = newest_checkpoint(folder / "checkpoints")
    where = folder.resolve().parent.parent / "data" / settings.vocabulary
    if not where.is_dir():
        raise DataError(
            f"the data of the run is missing: there is no folder {where}. Run `detente prepare` on its study again, or put the "
            "run back into its study."
        )
    data = RunData.described(where, settings.mixture)
    if fingerprint(settings, data) != json.loads((newest / STATE).read_text()).get("fingerprint"):
        raise DataError(
            f"{where} is not what the run was trained on: the vocabulary or the text is another, or the run is of another version "
            "of detente. Prepare the study as it was, or train the run again."
        )
    return settings, data


def _load(folder: Path, treated: TreatedEncoder, optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
    """Put the newest checkpoint in place; its state."""
    state = load_checkpoint(folder / "checkpoints", treated, optimizer)
    if state is None:
        raise CheckpointError(f"the checkpoints of {folder} have gone since they were found.")
    return state


def _runs_near(folder: Path) -> str:
    """Some runs, where the slip is to name the study or a run that is not there."""
    found = sorted({*folder.glob(f"*/{SETTINGS_FILE}"), *folder.glob(f"runs/*/{SETTINGS_FILE}")})
    return f" Some: {', '.join(str(path.parent) for path in found[:3])}." if found else ""
