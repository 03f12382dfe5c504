"""An encoder under treatment: one template module, theta, and phi of every language under the same names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from detente.encoder import Encoder, HiddenStates
from detente.settings import AdapterSettings
from detente.treatment.adapter import SLOTS

Parameters = Mapping[str, Tensor]


class Treatment(Protocol):
    """How capacity is split. A new one is a class in this package and a line in `TREATMENTS`."""

    def install(self, encoder: Encoder, settings: AdapterSettings, generator: torch.Generator) -> None:
        """Fill the encoder's slots with the modules that this treatment needs; its output must not change."""

    def owned_modules(self, encoder: Encoder) -> Iterator[str]:
        """Paths of the modules of which each language has a copy of its own."""


@dataclass(frozen=True)
class TreatedEncoder:
    """Theta and phi beside the module that they are called through.

    Attributes:
        encoder: the template; its own weights in the owned modules are not used.
        shared: theta, by the template's names.
        specific: language -> phi_i, every language under the same names.
        compiled: training passes go through `torch.compile`.
    """

    encoder: Encoder
    shared: dict[str, nn.Parameter]
    specific: dict[str, dict[str, nn.Parameter]]
    compiled: bool = False

    @property
    def languages(self) -> tuple[str, ...]:
        """In the order of the language embedding's rows."""
        return tuple(self.specific)

    def logits(
        self,
        language: str,
        tokens: Int[Tensor, "B T"],
        positions: Int[Tensor, "B M"] | None = None,
        *,
        shared: Parameters | None = None,
        specific: Parameters | None = None,
    ) -> Float[Tensor, "B M V"]:
        """A forward pass of `language`, with its own parameters or with those given in their place."""
        own = self.parameters_of(language, shared=shared, specific=specific)
        return functional_call(self.encoder, own, (tokens, self.languages.index(language), positions), strict=False)

    def parameters_of(
        self, language: str, *, shared: Parameters | None = None, specific: Parameters | None = None
    ) -> dict[str, Tensor]:
        """Theta and phi_i by the template's names, or those given in their place."""
        theta = self.shared if shared is None else shared
        phi = self.specific[language] if specific is None else specific
        return {**theta, **phi}

    def hidden_states(
        self, language: str, tokens: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T D"], ...]:
        """The embeddings and the output of every block, as `language` has them; the mask is False at padding."""
        own = {f"encoder.{name}": p for name, p in self.parameters_of(language).items()}
        arguments = (tokens, self.languages.index(language), mask)
        return functional_call(HiddenStates(self.encoder), own, arguments, strict=False)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """`shared/NAME` and `specific/LANGUAGE/NAME`, in a fixed order: the names used in checkpoints."""
        yield from ((f"shared/{name}", parameter) for name, parameter in self.shared.items())
        for language, phi in self.specific.items():
            yield from ((f"specific/{language}/{name}", parameter) for name, parameter in phi.items())

    def count(self) -> tuple[int, int]:
        """Parameters shared by all, and those of one language."""
        one = next(iter(self.specific.values()))
        return sum(p.numel() for p in self.shared.values()), sum(p.numel() for p in one.values())


def treat(
    encoder: Encoder,
    treatment: Treatment,
    languages: tuple[str, ...],
    settings: AdapterSettings | None = None,
    *,
    seed: int = 0,
) -> TreatedEncoder:
    """Apply `treatment` to `encoder`. Right after it, every language's output is the untreated encoder's.

    Args:
        encoder: becomes the template; its slots may be filled.
        languages: those that get parameters of their own.
        seed: of new modules' weights.
    """
    treatment.install(encoder, settings or AdapterSettings(), torch.Generator().manual_seed(seed))
    owned = _parameters_below(encoder, treatment.owned_modules(encoder))
    shared = {name: parameter for name, parameter in encoder.named_parameters() if name not in owned}
    specific = {language: {name: _copy(parameter) for name, parameter in owned.items()} for language in languages}
    return TreatedEncoder(encoder, shared, specific)


def remove_treatment(treated: TreatedEncoder) -> Encoder:
    """The template with its adapter slots empty again, as `treat` found it (theta as trained since)."""
    for block in treated.encoder.blocks:
        for slot in SLOTS:
            setattr(block, slot, nn.Identity())
    return treated.encoder


def _parameters_below(encoder: Encoder, modules: Iterator[str]) -> dict[str, nn.Parameter]:
    """Picked by module, never by a language's code in a name: `te` is part of `adapter`."""
    return {
        f"{path}.{name}": parameter
        for path in modules
        for name, parameter in encoder.get_submodule(path).named_parameters()
    }


def _copy(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.detach().clone())
