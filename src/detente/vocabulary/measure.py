"""Whom a vocabulary suits: tokens per word of each language, scripts of its entries."""

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from detente.corpus.manifest import split_path
from detente.languages import script_of
from detente.vocabulary.load import Vocabulary
from detente.vocabulary.manifest import LanguageFit, VocabularyManifest

# Enough for three digits of a fertility.
_MEASURED_RECORDS = 5_000


def measure_vocabulary(vocabulary: Vocabulary, corpora: Mapping[str, Path], *, source: str) -> VocabularyManifest:
    """The manifest of a vocabulary.

    Args:
        corpora: label -> folder of a corpus.
        source: fingerprint of what the vocabulary was made from.
    """
    return VocabularyManifest(
        size=vocabulary.size,
        checksum=vocabulary.checksum,
        source=source,
        special=dict(vocabulary.special),
        languages={label: language_fit(vocabulary, folder) for label, folder in corpora.items()},
        scripts=entry_scripts(vocabulary),
    )


def language_fit(vocabulary: Vocabulary, corpus_folder: Path) -> LanguageFit:
    """Tokens per word and characters per token on the head of the validation text."""
    with split_path(corpus_folder, "validation").open(encoding="utf-8", newline="\n") as file:
        texts = [line.rstrip("\n") for line in islice(file, _MEASURED_RECORDS)]
    encoded = vocabulary.encode_batch(texts)
    tokens = sum(map(len, encoded))
    unknown = vocabulary.tokenizer.token_to_id(vocabulary.special.get("unknown", ""))
    return LanguageFit(
        fertility=tokens / max(sum(len(text.split()) for text in texts), 1),
        characters_per_token=sum(map(len, texts)) / max(tokens, 1),
        unknown=sum(ids.count(unknown) for ids in encoded) / max(tokens, 1) if unknown is not None else 0.0,
    )


def entry_scripts(vocabulary: Vocabulary) -> dict[str, float]:
    """Share of the entries by the script of their first letter; bytes, digits and signs are `other`."""
    ids = [number for number in range(vocabulary.size) if number not in vocabulary.special_ids]
    texts = vocabulary.tokenizer.decode_batch([[number] for number in ids])
    counts = Counter(_script(text) for text in texts)
    return {script: count / len(ids) for script, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


def _script(text: str) -> str:
    return next(filter(None, map(script_of, text)), None) or "other"
