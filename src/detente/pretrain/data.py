"""What a run reads, and the fingerprint of all that decides its result."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from detente.batches import WHOLE, HeldOutBatches, Share, SpecialTokens, Tokens, TrainBatches
from detente.errors import ConfigError, DataError
from detente.results import hash_of
from detente.settings import RunSettings
from detente.settings.deciding import deciding
from detente.store import Store
from detente.vocabulary import Vocabulary, read_vocabulary_manifest
from detente.vocabulary.load import SPECIAL_TOKENS_FILE

FORMAT = 3
"""Raised when the same settings would give other numbers than an older detente gave."""


@dataclass(frozen=True)
class RunData:
    """The vocabulary and token store that a run reads."""

    vocabulary: Vocabulary
    store: Store

    @classmethod
    def open(cls, folder: Path, labels: tuple[str, ...]) -> "RunData":
        """Open `STUDY/data/NAME`.

        Raises:
            DataError: something is missing, or is not as it was written.
        """
        data = cls.described(folder, labels)
        data.store.check_sizes()
        return data

    @classmethod
    def described(cls, folder: Path, labels: tuple[str, ...]) -> "RunData":
        """As `open`, but the store is known by its manifests alone: its tokens are not looked at, and may be gone.

        Raises:
            DataError: as `open`.
        """
        vocabulary = Vocabulary.load(folder)
        # Beside the tokenizer stands which of its tokens are special; the store is bound to the tokenizer alone.
        if vocabulary.special != read_vocabulary_manifest(folder).special:
            raise DataError(
                f"{folder / SPECIAL_TOKENS_FILE} is not as it was written. Delete {folder} and run `detente prepare` again."
            )
        return cls(vocabulary, Store.described(folder / "store", labels, vocabulary=vocabulary.checksum))

    @property
    def special(self) -> SpecialTokens:
        """For masking."""
        return SpecialTokens(self.vocabulary.size, self.vocabulary.mask_id, frozenset(self.vocabulary.special_ids))

    def checksum(self, label: str) -> str:
        """Of the language's tokens, all splits."""
        splits = self.store.manifest(label).splits
        return hashlib.sha256("".join(splits[s].sha256 for s in sorted(splits)).encode()).hexdigest()[:16]


def fingerprint(settings: RunSettings, data: RunData) -> str:
    """Hash of everything that decides a run's result."""
    content = {
        "format": FORMAT,
        "settings": deciding(settings),
        "vocabulary": data.vocabulary.checksum,
        "data": {label: data.checksum(label) for label in settings.mixture},
    }
    return hash_of(content)


def train_batches(settings: RunSettings, data: RunData, share: Share = WHOLE) -> TrainBatches:
    """The training batches of a run.

    Raises:
        ConfigError: the run is so short that a language is never drawn.
        DataError: a language has too little text.
    """
    batches = TrainBatches(
        _tokens(settings, data, "train"),
        settings.batches,
        data.special,
        seed=settings.seed,
        accumulation=settings.training.accumulation,
        share=share,
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


def held_out_batches(settings: RunSettings, data: RunData, share: Share = WHOLE) -> HeldOutBatches:
    """What the meta step's L_val is computed on.

    Raises:
        DataError: a language has too little text in that split.
    """
    tokens = _tokens(settings, data, settings.meta.meta_split)
    return HeldOutBatches(tokens, settings.meta, settings.batches, data.special, seed=settings.seed, share=share)


def _tokens(settings: RunSettings, data: RunData, split: str) -> dict[str, Tokens]:
    return {label: data.store.tokens(label, split) for label in settings.mixture}
