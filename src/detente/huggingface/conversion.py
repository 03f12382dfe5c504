"""A run's model as a Hugging Face model: in our format, or in transformers' own XLM format where that holds it."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import XLMConfig, XLMWithLMHeadModel

from detente.huggingface.config import DetenteConfig
from detente.huggingface.heads import DetenteForMaskedLM
from detente.settings import RunSettings
from detente.treatment import TreatedEncoder
from detente.vocabulary import Vocabulary

# Our names of a block's parts -> XLM's, where `{}` stands for the block's number.
XLM_BLOCK = {
    "attention.query": "attentions.{}.q_lin",
    "attention.key": "attentions.{}.k_lin",
    "attention.value": "attentions.{}.v_lin",
    "attention.output": "attentions.{}.out_lin",
    "attention_norm": "layer_norm1.{}",
    "feed_forward.inner": "ffns.{}.lin1",
    "feed_forward.output": "ffns.{}.lin2",
    "feed_forward_norm": "layer_norm2.{}",
}


def to_huggingface(settings: RunSettings, treated: TreatedEncoder, vocabulary: Vocabulary) -> DetenteForMaskedLM:
    """A copy of a run's model, with the head of pretraining, on the CPU."""
    model = DetenteForMaskedLM(_config(settings, vocabulary))
    model.load_state_dict(_state(treated))
    return model


def to_xlm(settings: RunSettings, treated: TreatedEncoder, vocabulary: Vocabulary) -> XLMWithLMHeadModel:
    """The same in transformers' own XLM format, where `fits_xlm`."""
    model = XLMWithLMHeadModel(_xlm_config(settings, vocabulary))
    model.load_state_dict(_xlm_state(settings, treated.shared))
    return model


def fits_xlm(settings: RunSettings) -> bool:
    """Whether the model is what transformers calls XLM: nothing is added, and the feed-forward is four times as wide."""
    encoder = settings.encoder
    is_xlm = settings.treatment == "none" and encoder.variant == "xlm"
    return is_xlm and encoder.feed_forward_width == 4 * encoder.width


def special_token_ids(vocabulary: Vocabulary) -> dict[str, Any]:
    """By the names of Hugging Face's configurations. As in XLM, the end token opens and parts texts (`detente.huggingface.tokenizer`)."""
    unknown = vocabulary.special.get("unknown")
    return {
        "pad_token_id": vocabulary.pad_id,
        "bos_token_id": vocabulary.begin_id,
        "eos_token_id": vocabulary.end_id,
        "cls_token_id": vocabulary.end_id,
        "sep_token_id": vocabulary.end_id,
        "mask_token_id": vocabulary.mask_id,
        "unk_token_id": None if unknown is None else vocabulary.tokenizer.token_to_id(unknown),
    }


def _config(settings: RunSettings, vocabulary: Vocabulary) -> DetenteConfig:
    languages = settings.mixture
    return DetenteConfig(
        encoder_settings=settings.encoder.model_dump(mode="json"),
        adapter_settings=settings.adapter.model_dump(mode="json"),
        treatment=settings.treatment,
        languages=languages,
        # There is no other that a row could be meant to be in.
        default_language=languages[0] if len(languages) == 1 else None,
        vocab_size=vocabulary.size,
        block_length=settings.batches.block_length,
        **special_token_ids(vocabulary),
    )


def _state(treated: TreatedEncoder) -> dict[str, Tensor]:
    """Theta and every phi, by the names of `DetenteForMaskedLM`."""
    state = {f"detente.encoder.{name}": parameter.detach() for name, parameter in treated.shared.items()}
    for index, phi in enumerate(treated.specific.values()):
        state |= {f"detente.specific.{index}.{name}": parameter.detach() for name, parameter in phi.items()}
    return state


def _xlm_config(settings: RunSettings, vocabulary: Vocabulary) -> XLMConfig:
    encoder, languages = settings.encoder, settings.mixture
    ids = special_token_ids(vocabulary)
    others: dict[str, Any] = {f"{role}_index": ids[f"{role}_token_id"] for role in ("pad", "bos", "eos", "unk", "mask")}
    others["lang2id"] = {language: index for index, language in enumerate(languages)}
    others["id2lang"] = {str(index): language for index, language in enumerate(languages)}
    return XLMConfig(
        vocab_size=vocabulary.size,
        emb_dim=encoder.width,
        n_layers=encoder.layers,
        n_heads=encoder.heads,
        dropout=encoder.dropout,
        attention_dropout=encoder.attention_dropout,
        max_position_embeddings=settings.batches.block_length,
        n_langs=len(languages),
        use_lang_emb=encoder.language_embedding and len(languages) > 1,
        embed_init_std=0.02,
        init_std=0.02,
        **ids,
        **others,
    )


def _xlm_state(settings: RunSettings, theta: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Theta by XLM's names."""
    names = {
        "token_embedding.weight": "transformer.embeddings.weight",
        "position_embedding.weight": "transformer.position_embeddings.weight",
        "language_embedding.weight": "transformer.lang_embeddings.weight",
        "embedding_norm.weight": "transformer.layer_norm_emb.weight",
        "embedding_norm.bias": "transformer.layer_norm_emb.bias",
        "output_bias": "pred_layer.proj.bias",
    }
    for block in range(settings.encoder.layers):
        for ours, theirs in XLM_BLOCK.items():
            for kind in ("weight", "bias"):
                names[f"blocks.{block}.{ours}.{kind}"] = f"transformer.{theirs.format(block)}.{kind}"
    state = {names[name]: parameter.detach() for name, parameter in theta.items()}
    state["pred_layer.proj.weight"] = state["transformer.embeddings.weight"]
    if len(settings.mixture) == 1 and settings.encoder.language_embedding:
        # XLM embeds languages from two on. One language's vector stands at every position, so it is added to them.
        language = state.pop("transformer.lang_embeddings.weight")
        state["transformer.position_embeddings.weight"] = state["transformer.position_embeddings.weight"] + language
    return state
