"""The subword vocabulary of a study or a mixture: `tokenizer.json`, trained here or brought by the user.

    corpora's training text  --train-->  tokenizer.json  --load-->  Vocabulary  --measure-->  manifest.json

Byte-level BPE, so every text has ids and none is unknown.
"""

from detente.vocabulary.load import SPECIAL_TOKENS, TOKENIZER_FILE, Vocabulary
from detente.vocabulary.manifest import (
    VOCABULARY_VERSION,
    LanguageFit,
    VocabularyManifest,
    is_finished,
    read_vocabulary_manifest,
    write_vocabulary_manifest,
)
from detente.vocabulary.measure import measure_vocabulary
from detente.vocabulary.train import mixing_rates, train_vocabulary

__all__ = [
    "SPECIAL_TOKENS",
    "TOKENIZER_FILE",
    "VOCABULARY_VERSION",
    "LanguageFit",
    "Vocabulary",
    "VocabularyManifest",
    "is_finished",
    "measure_vocabulary",
    "mixing_rates",
    "read_vocabulary_manifest",
    "train_vocabulary",
    "write_vocabulary_manifest",
]
