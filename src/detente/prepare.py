"""From a study's settings to everything its runs read: corpus, vocabulary, token store.

Each stage is skipped where its result is there and was made from the same inputs: a second call is free, and after a
change of text, settings or vocabulary only what hangs on it is made again.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from detente.corpus import SPLITS, build_corpus
from detente.corpus.manifest import read_manifest
from detente.disk import told_when_full
from detente.errors import DataError
from detente.lock import locked
from detente.settings import StudySettings, VocabularySettings
from detente.store import StoreManifest, build_store
from detente.vocabulary import (
    VOCABULARY_VERSION,
    Vocabulary,
    is_finished,
    measure_vocabulary,
    train_vocabulary,
    write_vocabulary_manifest,
)

Counter = Callable[[str, str, int | None], Callable[[int], None]]
"""Given what is counted, its unit and about how much there is (None: not known), gives what is told how much more is done."""
ELSEWHERE = "Make room, or put the study elsewhere (`folder`), and run the same command again."


def prepare(
    study: StudySettings, folder: Path, *, mixtures: Iterable[tuple[str, ...]], progress: Counter | None = None
) -> dict[str, Path]:
    """Make what is missing of a study's data.

    Args:
        folder: of the study.
        mixtures: of the runs to come. A shared vocabulary is learnt from all the study's languages, whichever these name.
        progress: opened for each stage that has something to do.

    Returns:
        Vocabulary name -> STUDY/data/NAME.

    Raises:
        DataError: a text cannot be read or is too small for a batch, the disk is full, or another process is preparing.
        ConfigError: the vocabulary is too large for the text, or a ready tokenizer lacks a token.
    """
    data, counter = folder / "data", progress or (lambda *_: lambda _: None)
    groups = _languages_of_vocabularies(study, mixtures)
    with told_when_full("the study's data", data, then=ELSEWHERE), locked(data):
        wanted = {label for learnt_from, _ in groups.values() for label in learnt_from}
        corpora = {label: data / "corpus" / label for label in study.languages if label in wanted}
        for label, corpus in corpora.items():
            opened = _opened_late(counter, f"reading {label}", "records", None)
            build_corpus(label, study.languages[label], study.splits, corpus, progress=opened)
        for name, (learnt_from, encoded) in groups.items():
            chosen = {label: corpora[label] for label in learnt_from}
            vocabulary = _make_vocabulary(name, study.vocabulary, chosen, data / name, counter)
            _build_stores(study, vocabulary, {label: corpora[label] for label in encoded}, data / name, counter)
    return {name: data / name for name in groups}


def vocabulary_name(study: StudySettings, mixture: tuple[str, ...]) -> str:
    """Of the vocabulary that a mixture's runs use, in the study's data folder."""
    return "shared" if study.vocabulary.scope == "study" else "+".join(mixture)


def _languages_of_vocabularies(
    study: StudySettings, mixtures: Iterable[tuple[str, ...]]
) -> dict[str, tuple[list[str], list[str]]]:
    """Vocabulary name -> (labels that it is learnt from, labels that are encoded with it)."""
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for mixture in mixtures:
        # Were a shared vocabulary learnt from the mixtures asked for, a later run of another one would change it.
        learnt_from = list(study.languages) if study.vocabulary.scope == "study" else list(mixture)
        _, encoded = groups.setdefault(vocabulary_name(study, mixture), (learnt_from, []))
        encoded.extend(label for label in mixture if label not in encoded)
    return groups


def _make_vocabulary(
    name: str, settings: VocabularySettings, corpora: Mapping[str, Path], folder: Path, counter: Counter
) -> Vocabulary:
    """The vocabulary in `folder`; made first where it is missing or its settings or corpora are others."""
    ready = None if settings.path is None else Vocabulary.load(settings.path)
    source = _fingerprint(settings, corpora, ready)
    if is_finished(folder, source):
        return Vocabulary.load(folder)
    if ready is not None:
        vocabulary = ready.save(folder)
    else:
        total = sum(read_manifest(corpus).splits["train"].characters for corpus in corpora.values())
        opened = _opened_late(counter, f"vocabulary {name}", "characters", min(total, settings.characters))
        vocabulary = train_vocabulary(corpora, settings, folder, progress=opened)
    write_vocabulary_manifest(folder, measure_vocabulary(vocabulary, corpora, source=source))
    return vocabulary


def _fingerprint(settings: VocabularySettings, corpora: Mapping[str, Path], ready: Vocabulary | None) -> str:
    """Of all that decides a vocabulary and its manifest."""
    texts = {label: read_manifest(corpus).source for label, corpus in corpora.items()}
    if ready is not None:
        made_from: dict[str, object] = {"ready": ready.checksum, "special": dict(ready.special)}
    else:
        made_from = settings.model_dump(include={"size", "temperature", "characters"})
    content = json.dumps([VOCABULARY_VERSION, texts, made_from], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _build_stores(
    study: StudySettings, vocabulary: Vocabulary, corpora: Mapping[str, Path], folder: Path, counter: Counter
) -> None:
    problems: list[str] = []
    for label, corpus in corpora.items():
        total = sum(read_manifest(corpus).splits[split].bytes for split in SPLITS)
        opened = _opened_late(counter, f"tokens {folder.name}/{label}", "bytes", total)
        manifest = build_store(label, corpus, vocabulary, folder / "store", progress=opened)
        problems.extend(_shortages(study, manifest))
    if problems:
        raise DataError("\n".join(problems))


def _shortages(study: StudySettings, manifest: StoreManifest) -> Iterator[str]:
    """What is too short to train or to score on."""
    length = study.batches.block_length
    # An epoch begins at a random offset and gives up a block for it.
    needed = {"train": study.batches.blocks + 1, "validation": 1, "test": 1}
    if study.needs_meta_split:
        needed["meta"] = 2
    for split, blocks in needed.items():
        found = manifest.splits[split].tokens // length
        if found < blocks:
            yield _too_short(manifest.label, split, found, blocks, length)


def _too_short(label: str, split: str, found: int, needed: int, length: int) -> str:
    cure = "lower `batches.blocks`" if split == "train" else f"raise `splits.{split}`"
    if split == "meta":
        cure += ", set `meta.meta_split: train`"
    return (
        f"`{label}`: the {split} split has {found} blocks of {length} tokens, {needed} are needed. Give more text, {cure}, or "
        "lower `batches.block_length`."
    )


def _opened_late(counter: Counter, description: str, unit: str, total: int | None) -> Callable[[int], None]:
    """A counter that appears when there is something to count, so that a stage that is skipped shows nothing."""
    opened: list[Callable[[int], None]] = []

    def advance(more: int) -> None:
        if not opened:
            opened.append(counter(description, unit, total))
        opened[0](more)

    return advance
