"""Checksums inside JSON files: a flipped digit would be a wrong number that nobody notices."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

SEAL = "seal"
"""Its key; files of an older detente have none, and are taken as they are."""
_LINE_SEAL = ', "crc": "'


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """With a checksum of all the values as JSON gives them back."""
    return {**values, SEAL: _checksum(json.loads(json.dumps(values)))}


def unsealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values alone.

    Raises:
        ValueError: they are not what was written.
    """
    rest = {name: value for name, value in values.items() if name != SEAL}
    if SEAL in values and values[SEAL] != _checksum(rest):
        raise ValueError("its content does not have its checksum")
    return rest


def sealed_line(values: Mapping[str, Any]) -> str:
    """A line of JSON Lines with a checksum of its own."""
    text = json.dumps(values)[:-1]
    return f'{text}{_LINE_SEAL}{zlib.crc32(text.encode()):08x}"}}\n'


def unsealed_line(line: str) -> dict[str, Any]:
    """The values alone.

    Raises:
        ValueError: the line was cut, is not what was written, or is no JSON object.
        RecursionError: it is nested too deeply.
    """
    text, mark, found = line.rpartition(_LINE_SEAL)
    if not line.endswith("\n"):
        raise ValueError("it was cut")
    if mark and found != f'{zlib.crc32(text.encode()):08x}"}}\n':
        raise ValueError("it does not have its checksum")
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    values.pop("crc", None)
    return values


def _checksum(values: Mapping[str, Any]) -> str:
    """Whatever the order of the keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
