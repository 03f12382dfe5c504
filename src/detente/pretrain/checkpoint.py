"""Checkpoints: weights and optimizer as safetensors, the rest as JSON, a checksum file written last; visible only when whole.

A folder `checkpoints/step-N` is written under another name, flushed to disk and renamed. Reading takes the newest folder whose
checksums hold.
"""

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from detente.disk import flush, free, size
from detente.errors import CheckpointError, DataError
from detente.treatment import TreatedEncoder

WEIGHTS, OPTIMIZER, STATE, CHECKSUMS = "weights.safetensors", "optimizer.safetensors", "state.json", "checksums.json"


def save_checkpoint(
    root: Path,
    step: int,
    treated: TreatedEncoder,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    *,
    keep: int = 1,
    keep_every: int | None = None,
) -> Path:
    """Write `root/step-N`, then delete all but the newest `keep` up to it and those of every `keep_every` steps.

    Checkpoints of later steps are deleted too: they were damaged, or this one would not have been reached again.

    Raises:
        DataError: the disk is full; the earlier checkpoints are untouched.
    """
    final = root / f"step-{step}"
    # Of saves that were killed: first, since they take room.
    for left in root.glob(".step-*"):
        shutil.rmtree(left)
    contents = {
        WEIGHTS: save(_weights(treated)),
        OPTIMIZER: save(_optimizer_state(treated, optimizer)),
        STATE: json.dumps({**state, "step": step}, sort_keys=True).encode(),
    }
    beside = root / f".step-{step}.{os.getpid()}"
    try:
        _write_folder(beside, contents)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        needed = size(sum(map(len, contents.values())))
        raise DataError(
            f"the checkpoint of step {step} could not be written to {root} ({error.strerror}); it needs {needed}, {size(free(root))} "
            "are free. Earlier checkpoints are intact: make room and run the same command again."
        ) from None
    later = [folder for folder in _folders(root) if _step_of(folder) >= step]
    for folder in later:
        _remove(folder)
    beside.rename(final)
    flush(root)
    for old in _folders(root)[keep:]:
        if keep_every is None or _step_of(old) % keep_every:
            _remove(old)
    return final


def load_checkpoint(
    root: Path, treated: TreatedEncoder, optimizer: torch.optim.Optimizer | None
) -> dict[str, Any] | None:
    """Put the newest undamaged checkpoint into `treated` and `optimizer`; its state, or None when there is none.

    Without an optimizer the moments are left where they are.

    Warns of each damaged one that is passed over.

    Raises:
        CheckpointError: there are checkpoints, but none is undamaged, or they are of another model.
    """
    folders = _folders(root)
    for folder in folders:
        problem = damage(folder)
        if problem is None:
            load_weights(folder, treated)
            if optimizer is not None:
                _load_optimizer(folder, treated, optimizer)
            state: dict[str, Any] = json.loads((folder / STATE).read_text())
            return state
        warnings.warn(f"checkpoint {folder} is damaged ({problem}); trying the one before", stacklevel=2)
    if folders:
        raise CheckpointError(f"every checkpoint in {root} is damaged. Delete the run's folder to start it anew.")
    return None


def newest_checkpoint(root: Path) -> Path:
    """The newest undamaged checkpoint folder.

    Raises:
        CheckpointError: there is none.
    """
    for folder in _folders(root):
        if damage(folder) is None:
            return folder
    raise CheckpointError(f"there is no undamaged checkpoint in {root}. Has the run been trained?")


def load_weights(folder: Path, treated: TreatedEncoder) -> None:
    """Copy a checkpoint's weights into `treated`.

    Raises:
        CheckpointError: names or shapes differ.
    """
    _copy_into(_read(folder / WEIGHTS), dict(treated.named_parameters()), folder)


def damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint folder, or None."""
    try:
        sums: dict[str, str] = json.loads((folder / CHECKSUMS).read_text())
        for name in (WEIGHTS, OPTIMIZER, STATE):
            if _checksum((folder / name).read_bytes()) != sums[name]:
                return f"{name} does not have its checksum"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _folders(root: Path) -> list[Path]:
    """Newest first."""
    numbered = [p for p in root.glob("step-*") if p.name[5:].isdigit() and p.is_dir()]
    return sorted(numbered, key=_step_of, reverse=True)


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _remove(folder: Path) -> None:
    """Out of sight first: no checkpoint is seen half removed."""
    hidden = folder.with_name(f".{folder.name}.removed")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def _write_folder(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    sums = {name: _checksum(content) for name, content in contents.items()}
    for name, content in {**contents, CHECKSUMS: json.dumps(sums, indent=1).encode()}.items():
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    flush(folder)


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _weights(treated: TreatedEncoder) -> dict[str, Tensor]:
    return {name: parameter.detach().cpu().contiguous() for name, parameter in treated.named_parameters()}


def _optimizer_state(treated: TreatedEncoder, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{key}/{name}": value.detach().cpu().contiguous()
        for name, parameter in treated.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _load_optimizer(folder: Path, treated: TreatedEncoder, optimizer: torch.optim.Optimizer) -> None:
    parameters = dict(treated.named_parameters())
    for full_name, value in _read(folder / OPTIMIZER).items():
        key, _, name = full_name.partition("/")
        if name not in parameters or (key != "step" and value.shape != parameters[name].shape):
            raise CheckpointError(f"{folder} is of another model: its optimizer knows `{name}` otherwise.")
        parameter = parameters[name]
        # AdamW's fused kernel wants its step counters on the parameter's device, in float32.
        kept = value.to(parameter.device) if key == "step" else value.to(parameter)
        optimizer.state[parameter][key] = kept


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}).") from None


def _copy_into(values: dict[str, Tensor], parameters: dict[str, torch.nn.Parameter], folder: Path) -> None:
    differing = sorted(set(values) ^ set(parameters)) or sorted(
        name for name, value in values.items() if value.shape != parameters[name].shape
    )
    if differing:
        raise CheckpointError(
            f"{folder} is of another model: `{differing[0]}` differs. Was the run made by other settings?"
        )
    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(value)
