"""What a run reads, and the fingerprint of all that decides its result."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from detente.batches import SpecialTokens, Tokens, TrainBatches
from detente.errors import ConfigError
from detente.settings import RunSettings
from detente.store import Store
from detente.vocabulary import Vocabulary

SAVING = ("checkpoint_every", "keep_checkpoints")
"""Training settings that decide how often is saved, and no number."""

FORMAT = 1
"""Raised when the same settings would give other numbers than an older detente gave."""


@dataclass(frozen=True)
class RunData:
    """The vocabulary and token store that a run reads."""

    vocabulary: Vocabulary
    store: Store

    @classmethod
    def open(cls, folder: Path, labels: tuple[str, ...]) -> "RunData":
        """Open `STUDY/data/NAME`."""
        vocabulary = Vocabulary.load(folder)
        return cls(vocabulary, Store.open(folder / "store", labels, vocabulary=vocabulary.checksum))

    @property
    def special(self) -> SpecialTokens:
        """For masking."""
        return SpecialTokens(self.vocabulary.size, self.vocabulary.mask_id, frozenset(self.vocabulary.special_ids))

    def checksum(self, label: str) -> str:
        """Of the language's tokens, all splits."""
        splits = self.store.manifest(label).splits
        return hashlib.sha256("".join(splits[s].sha256 for s in sorted(splits)).encode()).hexdigest()[:16]


def fingerprint(settings: RunSettings, data: RunData) -> str:
    """Hash of everything that decides a run's result. How often it is saved does not."""
    chosen = settings.model_dump(mode="json", exclude={"training": set(SAVING)})
    content = {
        "format": FORMAT,
        "settings": chosen,
        "vocabulary": data.vocabulary.checksum,
        "data": {label: data.checksum(label) for label in settings.mixture},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def train_batches(settings: RunSettings, data: RunData) -> TrainBatches:
    """The batches of a run; held-out ones only where the meta step asks for them.

    Raises:
        ConfigError: the run is so short that a language is never drawn.
        DataError: a language has too little text.
    """

    def split(name: str) -> dict[str, Tokens]:
        return {label: data.store.tokens(label, name) for label in settings.mixture}

    batches = TrainBatches(
        split("train"),
        settings.batches,
        data.special,
        seed=settings.seed,
        meta=split("meta") if settings.treatment == "meta-adapter" else None,
        accumulation=settings.training.accumulation,
        drawn_evenly=settings.drawn_evenly,
    )
    steps = settings.training.steps
    for label, times in batches.draws.counts(steps * settings.training.accumulation).items():
        if times == 0:
            raise ConfigError(
                f"`{label}` is never drawn in the {steps} steps of {settings.name}. Raise `training.steps` or "
                "`batches.temperature`."
            )
    return batches
