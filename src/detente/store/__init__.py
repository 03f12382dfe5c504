"""Token ids on disk: every record of a corpus in its order, each followed by the end token, memory-mapped for reading.

    corpus/LABEL/{split}.txt  --encode-->  store/LABEL/{split}.bin  --build-->  store/LABEL/manifest.json  --read-->  Store

Records stay in the corpus's order, which may be by source: batches draw blocks in random order.
"""

from detente.store.build import build_store, is_current
from detente.store.manifest import SplitTokens, StoreManifest, read_store_manifest
from detente.store.read import Store

__all__ = ["SplitTokens", "Store", "StoreManifest", "build_store", "is_current", "read_store_manifest"]
