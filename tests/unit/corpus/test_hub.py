"""hf:// addresses, with a stand-in for the library: no test reaches for the network."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from detente.errors import DataError

Read = Callable[..., list[str]]

Hub = Callable[[Any], list[tuple[tuple[Any, ...], dict[str, Any]]]]


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Puts a `datasets` in place that gives these rows (or raises this error), and returns how it was called."""

    def install(rows: Any) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def load_dataset(*arguments: Any, **options: Any) -> Any:
            calls.append((arguments, options))
            if isinstance(rows, Exception):
                raise rows
            return rows

        module = ModuleType("datasets")
        module.load_dataset = load_dataset  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "datasets", module)
        return calls

    return install


@pytest.mark.parametrize(
    ("address", "arguments", "split"),
    [
        ("hf://owner/data-set", ("owner/data-set", None), "train"),
        ("hf://owner/set.v2/20231101.sw", ("owner/set.v2", "20231101.sw"), "train"),
        ("hf://owner/set:validation", ("owner/set", None), "validation"),
        ("hf://owner/set/sw:test", ("owner/set", "sw"), "test"),
    ],
)
def test_rows_are_streamed_and_no_script_is_trusted(
    hub: Hub, read: Read, address: str, arguments: tuple[Any, ...], split: str
) -> None:
    calls = hub([{"text": "one"}, {"text": None}, {"text": "two"}])
    assert read(address) == ["one", "", "two"]
    assert calls == [(arguments, {"split": split, "streaming": True})]


@pytest.mark.parametrize(
    "address",
    ["hf://", "hf://owner", "hf://owner/../secret", "hf://a/b/c/d", "hf://a/b:", "hf:///etc/passwd", "hf://a b/c"],
)
def test_malformed_address(hub: Hub, read: Read, address: str) -> None:
    calls = hub([])
    with pytest.raises(DataError, match=r"write hf://owner/dataset"):
        read(address)
    assert calls == []


def test_missing_field(hub: Hub, read: Read) -> None:
    hub([{"text": "one"}, {"content": "two"}])
    with pytest.raises(DataError, match=r"hf://o/d, row 2: there is no field `text`; the fields are `content`"):
        read("hf://o/d")


@pytest.mark.parametrize(
    "error", [ConnectionError("no route\nto host"), ValueError("Unknown split"), RuntimeError("script")]
)
def test_unreadable(hub: Hub, read: Read, error: Exception) -> None:
    hub(error)
    with pytest.raises(
        DataError, match=r"hf://o/d could not be read: .* Check its name, your network and your access"
    ) as caught:
        read("hf://o/d")
    assert "\n" not in str(caught.value)


def test_connection_lost_on_the_way(hub: Hub, read: Read) -> None:
    def rows() -> Iterator[dict[str, str]]:
        yield {"text": "one"}
        raise TimeoutError("timed out")

    hub(rows())
    with pytest.raises(DataError, match="hf://o/d could not be read: timed out"):
        read("hf://o/d")


def test_without_datasets(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"reading hf://o/d needs datasets: pip install 'detente\[hub\]'"):
        read("hf://o/d")
