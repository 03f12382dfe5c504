"""Text of one language: read, cleaned, without duplicates, split into four parts that never share a record.

    paths, hf:// or a constructed language  --read-->  raw records  --clean-->  one line each
        --split-->  train, meta, validation, test  --build-->  LABEL/{split}.txt and LABEL/manifest.json

A record is a line (text), a document (JSONL, Parquet, hub), a sentence (CoNLL-U) or a paragraph (Wikipedia).
"""

from detente.corpus.build import build_corpus
from detente.corpus.manifest import SPLITS, CorpusManifest, SplitCounts, read_manifest
from detente.corpus.read import read_text

__all__ = ["SPLITS", "CorpusManifest", "SplitCounts", "build_corpus", "read_manifest", "read_text"]
