"""A study small enough to run whole in seconds."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from detente import cli
from detente.settings import StudySettings, study_from_mapping

STUDY = {
    "name": "small",
    "preset": "tiny",
    "languages": {
        "te": {"constructed": {"sentences": 700, "script": "cyrillic"}},
        "en": {"constructed": {"sentences": 900, "lexicon_seed": 2, "word_order": "sov"}},
    },
    "treatments": ["none", "meta-adapter"],
    "splits": {"meta": 0.1, "validation": 0.1, "test": 0.1},
    "vocabulary": {"size": 420},
    "encoder": {"layers": 1, "width": 16, "heads": 2, "feed_forward_width": 24, "dropout": 0.1},
    "batches": {"block_length": 16, "blocks": 4},
    # The source's meta step: a quarter of four blocks, as the preset has it, is too few for two processes.
    "adapter": {"activation": "relu"},
    "meta": {
        "order": "theta-after-phi",
        "second_order": "central",
        "inner_fraction": 1.0,
        "meta_fraction": 1.0,
        "every": 1,
    },
    "training": {"steps": 16, "warmup_steps": 4, "validate_every": 5, "checkpoint_every": 5, "keep_checkpoints": 2},
}


Values = Callable[..., dict[str, Any]]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are split by threads: the same bits are promised for the same number of threads only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def study_values() -> Values:
    """Gives the small study's settings, some of them replaced."""
    return lambda **changes: {**STUDY, **changes}


@pytest.fixture
def study(study_values: Values) -> StudySettings:
    """Two constructed languages under real codes, one of them part of a module's name."""
    return study_from_mapping(study_values())


@pytest.fixture
def study_file(tmp_path: Path, study_values: Values) -> Callable[..., Path]:
    """Writes the small study, with changes, to a file."""

    def write(**changes: object) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study_values(**changes), sort_keys=False), encoding="utf-8")
        return path

    return write


@pytest.fixture
def detente(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: exit code, output, errors."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["detente", *map(str, arguments)])
        monkeypatch.setattr(cli.console, "_width", 200)
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        output, errors = capsys.readouterr()
        return int(leaving.value.code or 0), output, errors

    return run
