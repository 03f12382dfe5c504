"""The values of a YAML text: plain ones only, not too many, and whatever is wrong said in one line."""

from typing import Any

import yaml

MOST_CHARACTERS = 1 << 20
MOST_VALUES = 100_000
"""Aliases written out: a few lines of aliases of aliases can stand for billions."""


def read_yaml(text: str) -> Any:
    """What the text holds; None when it is empty. Tags that make objects are refused.

    Raises:
        ValueError: it is not YAML, a value does not fit its tag, or it is too long.
    """
    try:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"it has more than {MOST_CHARACTERS:,} characters")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if _count(node, {}) > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES:,} values, aliases written out")
        return None if node is None else loader.construct_document(node)
    except Exception as error:  # besides its own errors, PyYAML raises whatever a value makes Python raise
        said = str(error) if isinstance(error, yaml.YAMLError | ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(" ".join(said.split())) from None


def _count(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Values, aliases written out."""
    if id(node) in known:
        return known[id(node)]
    # Of a node that holds itself there is no end.
    known[id(node)] = MOST_VALUES + 1
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.ScalarNode):
        # An escape can name half a character, which no file can hold.
        node.value.encode()
    known[id(node)] = 1 + sum(_count(child, known) for child in children)
    return known[id(node)]
