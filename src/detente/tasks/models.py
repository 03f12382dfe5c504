"""The model that is fine-tuned: ours, or anyone's that transformers' Auto classes load; and how it is told the language."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from detente.errors import ConfigError, DataError, did_you_mean
from detente.tasks.features import Feature

LONGEST = 512
"""Tokens, where neither the settings nor the model ask for less."""


def load_tokenizer(checkpoint: str) -> Any:
    """A fast tokenizer.

    Raises:
        DataError: there is none, or no fast one, whose offsets the tasks need.
    """
    with _said_in_a_line(checkpoint):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, use_fast=True)
    if not tokenizer.is_fast:
        raise DataError(f"{checkpoint} has no fast tokenizer (tokenizer.json), whose offsets are needed.")
    if tokenizer.pad_token_id is None:
        raise DataError(f"the tokenizer of {checkpoint} has no pad token.")
    return tokenizer


def load_config(checkpoint: str) -> Any:
    """The model's configuration.

    Raises:
        DataError: there is no such checkpoint.
    """
    with _said_in_a_line(checkpoint):
        return AutoConfig.from_pretrained(checkpoint)


@dataclass(frozen=True)
class Loaded:
    """A model.

    Attributes:
        head: names of the parameters that the checkpoint did not bring.
    """

    model: PreTrainedModel
    head: frozenset[str]


def load_model(checkpoint: str, model_class: str, labels: Sequence[str], *, seed: int) -> Loaded:
    """The checkpoint under a new head, whose weights `seed` decides; without labels the head is what the class makes it.

    Raises:
        DataError: it cannot be loaded.
    """
    torch.manual_seed(seed)
    numbered = dict(enumerate(labels))
    head = {"id2label": numbered, "label2id": {label: number for number, label in numbered.items()}} if labels else {}
    with _said_in_a_line(checkpoint):
        model, info = getattr(transformers, model_class).from_pretrained(
            checkpoint, dtype=torch.float32, output_loading_info=True, **head
        )
    return Loaded(model, frozenset(info["missing_keys"]))


def max_length(config: Any, tokenizer: Any, wanted: int | None) -> int:
    """Tokens of a sequence.

    Raises:
        ConfigError: more is asked for than the model takes.
    """
    told = [getattr(config, name, None) for name in ("block_length", "max_position_embeddings")]
    # A tokenizer that does not know says 1e30; positions of the RoBERTa family begin behind the pad id.
    known = [length for length in (*told, tokenizer.model_max_length) if length and length < 1_000_000]
    longest = min(known, default=LONGEST)
    if wanted is not None and wanted > longest:
        raise ConfigError(
            f"`max_length` is {wanted}, but the model takes {longest} tokens. Ask for less, or leave it out."
        )
    return wanted or min(longest, LONGEST)


def language_feature(config: Any, language: str) -> Feature:
    """What a model must be told of a row's language; nothing for models that do not ask.

    Raises:
        DataError: the model was not trained on the language.
    """
    if config.model_type == "detente":
        return {"language_ids": _number_of(language, list(config.languages))} if config.languages else {}
    if config.model_type == "xmod":
        codes = [code.split("_")[0] for code in config.languages]
        return {"lang_ids": _number_of(language, codes)}
    return {}


def _number_of(language: str, known: list[str]) -> int:
    if language not in known:
        raise DataError(
            f"the model was not trained on {language}: it knows {', '.join(known)}.{did_you_mean(language, known)} A language "
            "without parameters of its own cannot be scored."
        )
    return known.index(language)


def freeze_specific(model: PreTrainedModel) -> None:
    """Keep the language-specific parameters as they were pretrained.

    Raises:
        ConfigError: the model has none.
    """
    find = getattr(model, "language_specific_parameters", None)
    found = find() if find else {}
    if not found:
        raise ConfigError("`specific: frozen`, but the model has no language-specific parameters. Leave it out.")
    for parameter in found.values():
        parameter.requires_grad_(False)


@contextmanager
def _said_in_a_line(checkpoint: str) -> Iterator[None]:
    """Without transformers' tables of weights, and with its errors in one line."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    disable_progress_bar()
    try:
        yield
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())[:300]
        where = "" if Path(checkpoint).exists() else " (there is no such folder here, so it was looked for on the hub)"
        raise DataError(f"{checkpoint} could not be loaded{where}: {problem}") from None
    finally:
        logger.setLevel(before)
