"""Data sets of the Hugging Face hub, streamed: `hf://owner/dataset[/configuration][:split]`; one record a row.

Only data files are read. Loading scripts are never trusted, whatever the data set asks for.
"""

import re
from collections.abc import Iterator
from typing import Any

from detente.corpus.jsonl import text_in
from detente.errors import DataError

_ADDRESS = re.compile(
    r"hf://(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(?:/(?P<configuration>[\w-][\w.-]*))?(?::(?P<split>[\w.-]+))?"
)


def read_hub(address: str, field: str) -> Iterator[str]:
    """The text of each row, in the data set's order.

    Raises:
        DataError: as `open_hub`, or a row has no such text.
    """
    for where, row in placed_rows(open_hub(address), address):
        yield text_in(row, field, where)


def open_hub(address: str) -> Any:
    """The data set as `datasets` streams it.

    Raises:
        DataError: the address is malformed, `datasets` is missing, or the data set cannot be opened.
    """
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise DataError(f"{address}: write hf://owner/dataset, hf://owner/dataset/configuration or either with :split.")
    return _load(address, parts["name"], parts["configuration"], parts["split"] or "train")


def placed_rows(data: Any, address: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row, with what a message calls its place.

    Raises:
        DataError: the data set cannot be read on.
    """
    for number, row in enumerate(_explained(iter(data), address), 1):
        yield f"{address}, row {number}", row


def _load(address: str, name: str, configuration: str | None, split: str) -> Any:
    try:
        from datasets import load_dataset
    except ImportError:
        raise DataError(f"reading {address} needs datasets: pip install 'detente[hub]'") from None
    try:
        return load_dataset(name, configuration, split=split, streaming=True)
    except Exception as error:
        raise _unreadable(address, error) from error


def _explained(rows: Iterator[dict[str, Any]], address: str) -> Iterator[dict[str, Any]]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:
            raise _unreadable(address, error) from error
        yield row


def _unreadable(address: str, error: Exception) -> DataError:
    """Every failure has its cause elsewhere (network, access, format), and no common class over the library's versions."""
    problem = " ".join(str(error).split())[:300] or type(error).__name__
    return DataError(f"{address} could not be read: {problem} Check its name, your network and your access.")
