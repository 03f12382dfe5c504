"""From a study's settings to everything its runs read: corpus, vocabulary, token store.

Each stage is skipped where its result is there and was made from the same inputs: a second call is free, and after a
change of text, settings or vocabulary only what hangs on it is made again.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from detente.corpus import SPLITS, build_corpus
from detente.corpus.manifest import read_manifest, split_path
from detente.errors import DataError
from detente.results import write_json
from detente.settings import StudySettings, VocabularySettings
from detente.store import StoreManifest, build_store
from detente.vocabulary import Vocabulary, measure_vocabulary, read_vocabulary_manifest, train_vocabulary
from detente.vocabulary.manifest import MANIFEST_FILE, VOCABULARY_VERSION


@dataclass(frozen=True)
class Advance:
    """How far a stage has come.

    Attributes:
        name: the language's label, or the vocabulary's name.
        done: in `unit`, since the stage began.
        total: about so many in all; None when not known.
        is_finished: the last report of this stage and name; the first, too, where nothing had to be done.
    """

    stage: Literal["corpus", "vocabulary", "store"]
    name: str
    done: int
    total: int | None
    unit: Literal["records", "characters", "bytes"]
    is_finished: bool = False


Progress = Callable[[Advance], None]


def prepare(
    study: StudySettings, folder: Path, *, mixtures: Iterable[tuple[str, ...]], progress: Progress | None = None
) -> dict[str, Path]:
    """Make what is missing of a study's data.

    Args:
        folder: of the study.
        mixtures: of the runs to come. A shared vocabulary is learnt from all the study's languages, whichever these name.

    Returns:
        Vocabulary name -> STUDY/data/NAME.

    Raises:
        DataError: a text cannot be read, is too small for a batch, or the disk is full.
        ConfigError: the vocabulary is too large for the text, or a ready tokenizer lacks a token.
    """
    report = progress or (lambda _: None)
    data = folder / "data"
    with _told_when_full(data):
        groups = vocabulary_groups(study, mixtures)
        corpora = _build_corpora(study, data / "corpus", groups, report)
        for name, (learnt_from, encoded) in groups.items():
            vocabulary = _make_vocabulary(name, study.vocabulary, _pick(corpora, learnt_from), data / name, report)
            _build_stores(study, vocabulary, _pick(corpora, encoded), data / name / "store", report)
    return {name: data / name for name in groups}
