"""The tokenizer of an exported model: what the run was trained with, framed as its text was.

In pretraining the end token follows every record of a stream, so a text begins behind an end token and ends before one, and the begin
token is never seen. The vocabulary's own framing, `<s> A </s>`, would open every text by a token without training; the
exported tokenizer frames as XLM does, `</s> A </s>` and `</s> A </s> B </s>`.
"""

import json
from typing import Any

from tokenizers import Tokenizer, processors

from detente.vocabulary import Vocabulary


def tokenizer_files(vocabulary: Vocabulary, max_length: int) -> dict[str, str]:
    """File name -> content, as `AutoTokenizer` reads them.

    Args:
        max_length: tokens of the longest text, its frame included.
    """
    names = _names(vocabulary)
    config = {
        **names,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": max_length,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    return {
        "tokenizer.json": _framed(vocabulary).to_str(pretty=True),
        "tokenizer_config.json": json.dumps(config, indent=2, sort_keys=True) + "\n",
        "special_tokens_map.json": json.dumps(names, indent=2, sort_keys=True) + "\n",
    }


def _names(vocabulary: Vocabulary) -> dict[str, str]:
    special = vocabulary.special
    end = special["end"]
    roles = {"pad_token": special["pad"], "mask_token": special["mask"], "eos_token": end}
    optional = {"bos_token": special.get("begin"), "unk_token": special.get("unknown")}
    # What stands first, and what parts two texts, are the end token.
    return roles | {"cls_token": end, "sep_token": end} | {key: name for key, name in optional.items() if name}


def _framed(vocabulary: Vocabulary) -> Tokenizer:
    """A copy, in which special tokens in a text are special: the vocabulary reads them as text, and a user writes `<mask>`."""
    values = json.loads(vocabulary.tokenizer.to_str())
    byte_level = _byte_level(values["pre_tokenizer"] or {})
    if byte_level is not None:
        # The mask took the place of a token with the blank before it, so it swallows that blank.
        for token in values["added_tokens"]:
            token["lstrip"] = token["lstrip"] or token["content"] == vocabulary.special["mask"]
    tokenizer = Tokenizer.from_str(json.dumps(values))
    tokenizer.post_processor = _frame(vocabulary, byte_level)
    return tokenizer


def _frame(vocabulary: Vocabulary, byte_level: dict[str, Any] | None) -> processors.PostProcessor:
    end = vocabulary.special["end"]
    frame = processors.TemplateProcessing(
        single=[end, "$A", end], pair=[end, "$A", end, "$B", end], special_tokens=[(end, vocabulary.end_id)]
    )
    if byte_level is None:
        return frame
    # A token takes along the blank before it; its offsets must not, or an answer begins with a blank.
    trim = processors.ByteLevel(add_prefix_space=byte_level["add_prefix_space"], trim_offsets=True)
    return processors.Sequence([trim, frame])


def _byte_level(pre_tokenizer: dict[str, Any]) -> dict[str, Any] | None:
    """The byte-level step before the cutting into tokens, where there is one."""
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return next((step for step in steps if step.get("type") == "ByteLevel"), None)
