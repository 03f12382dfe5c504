"""Which parameters share a gate: attention and feed-forward matrices by rows, heads, neurons, whole, or single weights.

Embeddings, norms and heads of tasks are never gated. A matrix is stored as `torch.nn.Linear` stores it, a row for each output.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from detente.diagnose.places import KINDS, place_of
from detente.diagnosis_results.masks import GatedPart
from detente.errors import ConfigError, did_you_mean

Parameters = Mapping[str, Tensor]
Piece = tuple[GatedPart, dict[str, Tensor]]
"""A part, and for each of its parameters the gates within the part, in a shape that broadcasts against the parameter."""

# The last words of a matrix's name, in our encoder and in Hugging Face's.
QUERY_KEY_VALUE = re.compile(r"^((?:.*\.)?)(?:query|key|value|[qkv]_lin|[qkv]_proj|w?[qkv])\.weight$")
INNER = re.compile(r"^((?:.*\.)?)(?:inner|gate|intermediate\.dense|lin1|fc1|up_proj|gate_proj)\.weight$")


@dataclass(frozen=True)
class Grouping:
    """How one vector of gates spreads over parameters.

    Attributes:
        parts: in the order of their gates.
        gate_of: parameter -> numbers of its gates, in a shape that broadcasts against it.
    """

    parts: tuple[GatedPart, ...]
    gate_of: Mapping[str, Tensor]

    @property
    def num_groups(self) -> int:
        return sum(part.num_groups for part in self.parts)

    def masked(self, parameters: Parameters, gates: Float[Tensor, " groups"]) -> dict[str, Tensor]:
        """The gated parameters, each times its gates; gradients reach the gates and no parameter."""
        return {
            name: parameters[name].detach() * gates.to(parameters[name].dtype)[numbers]
            for name, numbers in self.gate_of.items()
        }


def grouping_of(parameters: Parameters, groups: str = "rows", *, heads: int | None = None) -> Grouping:
    """The grouping of that name.

    Args:
        groups: a key of `GROUPINGS`.
        heads: attention heads of a layer; needed for heads only.

    Raises:
        ConfigError: there is no such grouping, or the parameters' names or shapes do not allow it.
    """
    if groups not in GROUPINGS:
        raise ConfigError(f"groups is one of {', '.join(GROUPINGS)}; found {groups}.{did_you_mean(groups, GROUPINGS)}")
    device = next(iter(parameters.values())).device
    parts: list[GatedPart] = []
    gate_of: dict[str, Tensor] = {}
    start = 0
    for part, numbers in GROUPINGS[groups](parameters, heads):
        parts.append(part)
        gate_of |= {name: (some + start).to(device) for name, some in numbers.items()}
        start += part.num_groups
    return Grouping(tuple(parts), gate_of)


def rows(parameters: Parameters, heads: int | None) -> Iterator[Piece]:  # noqa: ARG001 - one signature for all
    """One gate for each output of a matrix: its row, and its bias where there is one (the source's groups)."""
    for name, matrix in _matrices(parameters).items():
        yield _part(name, name, len(matrix)), _by_output(parameters, name, torch.arange(len(matrix)))


def by_heads(parameters: Parameters, heads: int | None) -> Iterator[Piece]:
    """One gate for each attention head: its rows of query, key and value."""
    if heads is None:
        raise ConfigError("heads is not given: masks of heads need the number of attention heads of a layer.")
    for module, names in _together(parameters, QUERY_KEY_VALUE, "query, key and value").items():
        num_rows = len(parameters[names[0]])
        if heads < 1 or num_rows % heads:
            raise ConfigError(f"heads must divide the {num_rows} rows of {names[0]}, found {heads}.")
        numbers = torch.arange(heads).repeat_interleave(num_rows // heads)
        yield _part(module, names[0], heads), _all_by_output(parameters, names, numbers)


def neurons(parameters: Parameters, heads: int | None) -> Iterator[Piece]:  # noqa: ARG001
    """One gate for each inner neuron of a feed-forward block: its rows of the inner matrix and of the one that gates it."""
    for module, names in _together(parameters, INNER, "inner feed-forward").items():
        num_rows = len(parameters[names[0]])
        yield _part(module, names[0], num_rows), _all_by_output(parameters, names, torch.arange(num_rows))


def matrices(parameters: Parameters, heads: int | None) -> Iterator[Piece]:  # noqa: ARG001
    """One gate for each matrix and its bias."""
    for name, matrix in _matrices(parameters).items():
        yield _part(name, name, 1), _by_output(parameters, name, torch.zeros(len(matrix), dtype=torch.long))


def weights(parameters: Parameters, heads: int | None) -> Iterator[Piece]:  # noqa: ARG001
    """One gate for each entry of a matrix; biases have none."""
    for name, matrix in _matrices(parameters).items():
        yield _part(name, name, matrix.numel()), {name: torch.arange(matrix.numel()).view(matrix.shape)}


GROUPINGS: dict[str, Callable[[Parameters, int | None], Iterator[Piece]]] = {
    "rows": rows,
    "heads": by_heads,
    "neurons": neurons,
    "matrices": matrices,
    "weights": weights,
}


def _part(name: str, member: str, num_groups: int) -> GatedPart:
    return GatedPart(name, *place_of(member), num_groups)


def _matrices(parameters: Parameters) -> dict[str, Tensor]:
    """Of attention and feed-forward, by name."""
    found = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.dim() == 2 and place_of(name).kind in {"attention", "ffn"}
    }
    if not found:
        words = ", ".join((*KINDS["attention"], *KINDS["ffn"]))
        raise ConfigError(
            f"no matrix has a name with one of {words}, so there is nothing to mask. {_names(parameters)}"
        )
    return found


def _together(parameters: Parameters, pattern: re.Pattern[str], what: str) -> dict[str, list[str]]:
    """Module -> its matrices that the pattern names, of equal numbers of rows."""
    found: dict[str, list[str]] = {}
    for name in _matrices(parameters):
        if match := pattern.match(name):
            found.setdefault(match[1].rstrip("."), []).append(name)
    if not found:
        raise ConfigError(f"no matrix is known as {what} by its name. {_names(parameters)}")
    for names in found.values():
        if len({len(parameters[name]) for name in names}) > 1:
            sizes = ", ".join(f"{name} {len(parameters[name])}" for name in names)
            raise ConfigError(f"matrices that share gates need equally many rows, found {sizes}. Mask rows instead.")
    return found


def _all_by_output(parameters: Parameters, names: list[str], numbers: Tensor) -> dict[str, Tensor]:
    return {member: gates for name in names for member, gates in _by_output(parameters, name, numbers).items()}


def _by_output(parameters: Parameters, name: str, numbers: Tensor) -> dict[str, Tensor]:
    """A number for each row of a matrix, and for the bias beside it."""
    bias = name.removesuffix("weight") + "bias"
    if bias not in parameters:
        return {name: numbers[:, None]}
    if len(parameters[bias]) != len(numbers):
        raise ConfigError(
            f"{bias} has {len(parameters[bias])} values and {name} {len(numbers)} rows. Masks need a row for each output: "
            "give transposed matrices (GPT-2 stores columns)."
        )
    return {name: numbers[:, None], bias: numbers}


def _names(parameters: Parameters) -> str:
    names = [name for name, parameter in parameters.items() if parameter.dim() == 2]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"The matrices here are: {', '.join(names[:8]) or 'none'}{more}."
