"""The exported tokenizer: the run's ids, between end tokens, with offsets that fit the text."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from detente.huggingface.tokenizer import tokenizer_files
from detente.vocabulary import SPECIAL_TOKENS, Vocabulary

Load = Callable[[Vocabulary], PreTrainedTokenizerBase]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes a vocabulary's files and lets transformers read them."""

    def write_and_load(vocabulary: Vocabulary) -> PreTrainedTokenizerBase:
        for name, content in tokenizer_files(vocabulary, 300).items():
            (tmp_path / name).write_text(content, encoding="utf-8")
        return AutoTokenizer.from_pretrained(tmp_path)

    return write_and_load


def test_texts_stand_between_end_tokens(load: Load, vocabulary: Vocabulary, scripts: tuple[str, ...]) -> None:
    tokenizer, end = load(vocabulary), vocabulary.end_id
    plain = [text for text in scripts if "<mask>" not in text]
    assert len(plain) == 7
    for text, ids in zip(plain, vocabulary.encode_batch(plain), strict=True):
        assert tokenizer(text).input_ids == [end, *ids, end]
        assert tokenizer.decode(ids) == text
    first, second = vocabulary.encode_batch(list(plain[:2]))
    pair = tokenizer(*plain[:2])
    assert pair.input_ids == [end, *first, end, *second, end]
    assert pair.sequence_ids() == [None, *[0] * len(first), None, *[1] * len(second), None]
    assert set(pair) == {"input_ids", "attention_mask"}


def test_special_tokens_are_the_runs(load: Load, vocabulary: Vocabulary) -> None:
    tokenizer = load(vocabulary)
    assert tokenizer.is_fast
    assert tokenizer.model_max_length == 300
    assert tokenizer.pad_token_id == vocabulary.pad_id
    assert tokenizer.mask_token_id == vocabulary.mask_id
    assert tokenizer.cls_token_id == tokenizer.sep_token_id == tokenizer.eos_token_id == vocabulary.end_id
    assert tokenizer.bos_token_id == vocabulary.begin_id
    assert tokenizer.unk_token == SPECIAL_TOKENS["unknown"]
    assert len(tokenizer("a " * 999, truncation=True).input_ids) == 300
    padded = tokenizer(["a", "a b c"], padding=True)
    assert padded.input_ids[0][-1] == vocabulary.pad_id
    assert padded.attention_mask[0][-1] == 0


def test_offsets_fit_the_text(load: Load, vocabulary: Vocabulary, scripts: tuple[str, ...]) -> None:
    tokenizer = load(vocabulary)
    for text in scripts:
        encoded = tokenizer(text, return_offsets_mapping=True)
        inner = encoded.offset_mapping[1:-1]
        assert encoded.offset_mapping[0] == encoded.offset_mapping[-1] == (0, 0)
        pieces = [text[start:end] for start, end in inner]
        assert all(piece == piece.strip() for piece in pieces)
        covered = {position for start, end in inner for position in range(start, end)}
        assert covered == {position for position, character in enumerate(text) if not character.isspace()}
        assert [start for start, _ in inner] == sorted(start for start, _ in inner)


def test_a_mask_swallows_the_blank_before_it(load: Load, vocabulary: Vocabulary) -> None:
    tokenizer = load(vocabulary)
    whole, masked = tokenizer("The quick brown fox").input_ids, tokenizer("The <mask> brown fox").input_ids
    position = masked.index(vocabulary.mask_id)
    assert masked[:position] == whole[:position]
    assert masked[position + 1 :] == whole[-len(masked[position + 1 :]) :]
    assert vocabulary.encode_batch(["a literal <mask>"])[0].count(vocabulary.mask_id) == 0, "the run's own is unchanged"


def test_a_vocabulary_of_another_kind(load: Load) -> None:
    """Words, not bytes; without a begin token, and with other names."""
    words = {"[PAD]": 0, "[SEP]": 1, "[UNK]": 2, "[MASK]": 3, "a": 4, "day": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad": "[PAD]", "end": "[SEP]", "unknown": "[UNK]", "mask": "[MASK]"}
    tokenizer.add_special_tokens(list(special.values()))
    loaded = load(Vocabulary.of(tokenizer, "", special))
    assert loaded("a day", "[MASK] night").input_ids == [1, 4, 5, 1, 3, 2, 1]
    assert loaded.bos_token is None
    assert loaded.unk_token_id == 2


def test_names_are_in_a_file_of_their_own_too(vocabulary: Vocabulary) -> None:
    names = json.loads(tokenizer_files(vocabulary, 300)["special_tokens_map.json"])
    assert names["cls_token"] == names["sep_token"] == "</s>"
    assert set(names) == {f"{role}_token" for role in ("pad", "mask", "eos", "cls", "sep", "bos", "unk")}
