"""Random numbers as a pure function of what they are for: no state to save, nothing depends on the order of calls."""

import hashlib

import numpy as np


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed for a purpose, such as `derive_seed(run_seed, "dropout", step)`."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*parts: str | int) -> np.random.Generator:
    """A counter-based generator for a purpose."""
    return np.random.Generator(np.random.Philox(key=derive_seed(*parts)))
