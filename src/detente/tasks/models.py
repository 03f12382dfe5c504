"""The model that is fine-tuned: ours, or anyone's that transformers' Auto classes load; and how it is told the language."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from detente.errors import ConfigError, DataError, DetenteError, did_you_mean
from detente.tasks.features import PER_TOKEN, Feature

LONGEST = 512
"""Tokens, where neither the settings nor the model ask for less."""
SHORTEST = 16
"""Tokens that hold a question and some words of its passage."""


def load_tokenizer(checkpoint: str) -> Any:
    """A fast tokenizer.

    Raises:
        DataError: there is none, or no fast one, whose offsets the tasks need.
    """
    with _said_in_a_line(checkpoint):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, use_fast=True, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise DataError(f"{checkpoint} has no fast tokenizer (tokenizer.json), whose offsets are needed.")
    # Without files transformers makes up one that knows its special tokens only.
    if tokenizer.vocab_size <= len(tokenizer.all_special_ids):
        raise DataError(f"{checkpoint} has no tokenizer. Save the model's own beside it (tokenizer.json).")
    if tokenizer.pad_token_id is None:
        raise DataError(f"the tokenizer of {checkpoint} has no pad token.")
    return tokenizer


def load_config(checkpoint: str) -> Any:
    """The model's configuration.

    Raises:
        DataError: there is no such checkpoint.
    """
    with _said_in_a_line(checkpoint):
        return AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)


@dataclass(frozen=True)
class Loaded:
    """A model.

    Attributes:
        head: names of the parameters of the task, and of others that the checkpoint did not bring (BERT's pooler).
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
        # A head of another task may be there: one of another size is made anew.
        model, info = getattr(transformers, model_class).from_pretrained(
            checkpoint,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
            weights_only=True,
            **head,
        )
    return Loaded(model, _head(model, info, checkpoint))


def _head(model: PreTrainedModel, info: Mapping[str, Any], checkpoint: str) -> frozenset[str]:
    body = f"{model.base_model_prefix}."
    names, new = {name for name, _ in model.named_parameters()}, set(info["missing_keys"])
    unfit = [name for name, *_ in info["mismatched_keys"] if name.startswith(body)]
    if unfit or {name for name in names if name.startswith(body)} <= new:
        found = f"`{sorted(unfit)[0]}` has another shape" if unfit else "it holds another kind of model"
        raise DataError(f"{checkpoint} could not be loaded: its weights do not fit its config.json ({found}).")
    return frozenset(name for name in names if name in new or not name.startswith(body))


def max_length(config: Any, tokenizer: Any, wanted: int | None) -> int:
    """Tokens of a sequence.

    Raises:
        ConfigError: more is asked for than the model takes, or it takes next to none.
    """
    # A tokenizer that does not know says 1e30.
    known = [length for length in (_positions(config), tokenizer.model_max_length) if length and length < 1_000_000]
    longest = min(known, default=LONGEST)
    if wanted is not None and wanted > longest:
        raise ConfigError(
            f"`max_length` is {wanted}, but the model takes {longest} tokens. Ask for less, or leave it out."
        )
    if longest < SHORTEST:
        raise ConfigError(f"the model takes {longest} tokens, but a task needs {SHORTEST} at least.")
    return wanted or min(longest, LONGEST)


def _positions(config: Any) -> int | None:
    """Tokens that have a position; None where the configuration does not say."""
    number: int | None = getattr(config, "max_position_embeddings", None)
    # Positions of the RoBERTa family begin behind the pad id.
    begins_behind = any(family in config.model_type for family in ("roberta", "camembert", "xmod"))
    return number - config.pad_token_id - 1 if number and begins_behind else number


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
    if config.model_type == "xlm" and config.use_lang_emb and config.n_langs > 1:
        _number_of(language, list(config.lang2id))
        return {PER_TOKEN: config.lang2id[language]}
    return {}


def _number_of(language: str, known: list[str]) -> int:
    if language not in known:
        raise DataError(
            f"the model was not trained on {language}: it knows {', '.join(known)}.{did_you_mean(language, known)} A language "
            "without parameters of its own cannot be scored."
        )
    return known.index(language)


def freeze_specific(model: PreTrainedModel) -> None:
    """Keep the language-specific parameters as they were pretrained; untreated models of ours have none.

    Raises:
        ConfigError: the model is not ours.
    """
    find = getattr(model, "language_specific_parameters", None)
    if find is None:
        raise ConfigError("`specific: frozen` is for models that detente has trained. Leave it out.")
    for parameter in find():
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
    except DetenteError:
        raise
    except Exception as error:  # a damaged file raises anything, down to bare Exception
        said = str(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
        problem = " ".join(said.split())[:300]
        where = "" if Path(checkpoint).exists() else " (there is no such folder here, so it was looked for on the hub)"
        raise DataError(f"{checkpoint} could not be loaded{where}: {problem}") from None
    finally:
        logger.setLevel(before)
