"""Encoder and treatment as a Hugging Face model, with a language for each row.

Theta is `encoder.NAME`, phi of the i-th language `specific.i.NAME`, under the names that the encoder has. Languages are numbered
in names of parameters, since a code may be a part of a module's name (`te` of `adapter`) or a method of a module (`to`).
"""

import math
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils.generic import ModelOutput

from detente.encoder import Encoder, HiddenStates
from detente.encoder.blocks import Rotary
from detente.errors import ConfigError
from detente.huggingface.config import DetenteConfig
from detente.treatment import TREATMENTS, treat

DEVIATION = 0.02
Output = ModelOutput | tuple[Tensor, ...]


class DetentePreTrainedModel(PreTrainedModel):
    """What `DetenteModel` and those with a head have in common."""

    config: DetenteConfig
    config_class = DetenteConfig
    base_model_prefix = "detente"
    _supports_sdpa = True

    @property
    def needs_language(self) -> bool:
        """Whether the output depends on a row's language."""
        return self._body.encoder.language_embedding is not None or bool(self._body.owned)

    def set_default_language(self, language: str) -> None:
        """Take `language` for rows whose language is not given, as pipelines leave them; it is saved with the model.

        Raises:
            ConfigError: the model has no such language.
        """
        self.config.language_id(language)
        self.config.default_language = language

    def language_specific_parameters(self, language: str | None = None) -> list[nn.Parameter]:
        """Phi of one language, or of all; the language embedding is in theta.

        Raises:
            ConfigError: the model has no such language.
        """
        specific = self._body.specific
        return list((specific if language is None else specific[self.config.language_id(language)]).parameters())

    def resize_token_embeddings(self, *_: Any, **__: Any) -> nn.Embedding:
        """Refused: the vocabulary is that of pretraining."""
        raise ConfigError("the vocabulary of a detente model is that of its pretraining and cannot be resized.")

    @property
    def _body(self) -> "DetenteModel":
        body = self.base_model
        assert isinstance(body, DetenteModel)
        return body

    def _encoded(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        language_ids: Tensor | None,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
    ) -> Any:
        """What a head is given: as `BaseModelOutput`."""
        return self._body(
            input_ids,
            attention_mask,
            language_ids,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )

    def _packed(self, output: ModelOutput, return_dict: bool | None) -> Output:
        wanted = self.config.return_dict if return_dict is None else return_dict
        return output if wanted else output.to_tuple()

    def _init_weights(self, module: nn.Module) -> None:
        """As encoder and adapters begin in pretraining, drawn from torch's own generator; heads from N(0, 0.02).

        Transformers calls this for modules of which something is in no file; what is in a file stays, parameter by parameter.
        """
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=self._body.deviations.get(module, DEVIATION))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.ones_(parameter)
        if isinstance(module, Rotary):
            # Its tables are in no file, and `from_pretrained` first makes a model without memory.
            length, head_width = module.cosine_TK.shape
            fresh = Rotary(head_width, length)
            module.cosine_TK.copy_(fresh.cosine_TK)
            module.sine_TK.copy_(fresh.sine_TK)


class DetenteModel(DetentePreTrainedModel):
    """Hidden states, no head.

    Attributes:
        encoder: the template with theta; it has no parameters where each language has its own.
        specific: phi of each language, in the order of `config.languages`.
        owned: names of phi, the same for every language.
        deviations: of fresh matrices, where it is not 0.02.
    """

    def __init__(self, config: DetenteConfig) -> None:
        super().__init__(config)
        languages = tuple(config.languages)
        encoder = Encoder(
            config.encoder, config.vocab_size, block_length=config.block_length, num_languages=len(languages)
        )
        treated = treat(encoder, TREATMENTS[config.treatment], languages, config.adapter)
        self.encoder = treated.encoder
        self.specific = nn.ModuleList(_tree(phi) for phi in treated.specific.values())
        self.owned = tuple(treated.specific[languages[0]])
        for name in self.owned:
            path, _, last = name.rpartition(".")
            # Never used; it would be saved, counted and trained.
            self.encoder.get_submodule(path).register_parameter(last, None)
        self.deviations = _deviations(self)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Output:
        """`last_hidden_state`: "B T D"; `hidden_states`: the embeddings and the output of every block, the last after the final norm.

        Args:
            input_ids: "B T".
            attention_mask: "B T", 1 where a token is real.
            language_ids: "B", each row's place in `config.languages`; rows of several languages may stand in one batch.
            output_attentions: refused.

        Raises:
            ConfigError: a row is too long, or its language is not given or not known.
        """
        if output_attentions or self.config.output_attentions:
            raise ConfigError("attentions are not available: fused attention does not keep them.")
        if input_ids.shape[1] > self.config.block_length:
            raise ConfigError(
                f"a row has {input_ids.shape[1]} tokens, but the model takes {self.config.block_length}. Tokenize with "
                "`truncation=True`."
            )
        states = self._states(input_ids, attention_mask, language_ids)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = BaseModelOutput(last_hidden_state=states[-1], hidden_states=states if wanted else None)
        return self._packed(output, return_dict)

    def get_input_embeddings(self) -> nn.Module:
        """The token embedding, which is the output projection too."""
        return self.encoder.token_embedding

    def _states(self, tokens: Tensor, mask: Tensor | None, language_ids: Tensor | None) -> tuple[Tensor, ...]:
        """Rows of each language under its parameters, put back in order: "B T D" after each block."""
        if not self.needs_language:
            return self._states_of(0, tokens, mask)
        ids = _row_languages(self.config, language_ids, tokens)
        present = ids.unique().tolist()
        if len(present) == 1:
            return self._states_of(present[0], tokens, mask)
        groups = [(ids == index).nonzero().flatten() for index in present]
        parts = [
            self._states_of(index, tokens[rows], None if mask is None else mask[rows])
            for index, rows in zip(present, groups, strict=True)
        ]
        back = torch.cat(groups).argsort()
        return tuple(torch.cat(states)[back] for states in zip(*parts, strict=True))

    def _states_of(self, index: int, tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, ...]:
        # By attribute: the replicas of nn.DataParallel list no parameters.
        phi: dict[str, Tensor] = {f"encoder.{name}": attrgetter(name)(self.specific[index]) for name in self.owned}
        return functional_call(HiddenStates(self.encoder), phi, (tokens, index, mask), strict=False)


def _row_languages(config: DetenteConfig, language_ids: Tensor | None, tokens: Tensor) -> Tensor:
    """A language for each row, checked: "B"."""
    known = ", ".join(f"{index} ({language})" for index, language in enumerate(config.languages))
    if language_ids is None:
        if config.default_language is None:
            raise ConfigError(
                f"the language of the rows is not given. Give `language_ids`, for each row one of {known}, or call "
                "`set_default_language`."
            )
        return tokens.new_full(tokens.shape[:1], config.language_id(config.default_language))
    if language_ids.shape != tokens.shape[:1]:
        raise ConfigError(
            f"`language_ids` must hold one number for each of the {tokens.shape[0]} rows, found shape "
            f"{tuple(language_ids.shape)}."
        )
    unknown = sorted(set(language_ids.tolist()) - set(range(len(config.languages))))
    if unknown:
        raise ConfigError(f"`language_ids` has {unknown[0]}, but the languages of the model are {known}.")
    return language_ids.to(tokens.device)


def _tree(phi: Mapping[str, nn.Parameter]) -> nn.Module:
    """Phi of one language as nested modules, whose parameters have the template's names."""
    root = nn.Module()
    for name, parameter in phi.items():
        *path, last = name.split(".")
        place = root
        for part in path:
            if part not in dict(place.named_children()):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.register_parameter(last, parameter)
    return root


def _deviations(model: DetenteModel) -> dict[nn.Module, float]:
    """As in pretraining: what writes to the residual path is smaller with depth, and adapters begin as the identity."""
    settings = model.config.encoder
    own = {"output": DEVIATION / math.sqrt(2 * settings.layers), "down": settings.width**-0.5, "up": 0.0}
    last_parts = ((name.rpartition(".")[2], module) for name, module in model.named_modules())
    return {module: own[last] for last, module in last_parts if last in own}
