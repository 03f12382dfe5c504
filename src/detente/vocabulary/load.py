"""A tokenizer file and the special tokens that masked language modelling needs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from detente.errors import ConfigError, DataError
from detente.results import write_atomic

TOKENIZER_FILE = "tokenizer.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
SPECIAL_TOKENS = {"pad": "<pad>", "begin": "<s>", "end": "</s>", "unknown": "<unk>", "mask": "<mask>"}

# Role -> keys of Hugging Face's special_tokens_map.json, the likelier first: an encoder's separator ends a text.
_DECLARED_KEYS = {
    "pad": ("pad_token",),
    "begin": ("cls_token", "bos_token"),
    "end": ("sep_token", "eos_token"),
    "unknown": ("unk_token",),
    "mask": ("mask_token",),
}
_USUAL_NAMES = {
    "pad": ("<pad>", "[PAD]", "<|pad|>", "<|padding|>"),
    "begin": ("<s>", "[CLS]", "<cls>", "<bos>", "<|startoftext|>", "<|begin_of_text|>"),
    "end": ("</s>", "[SEP]", "<sep>", "<eos>", "<|endoftext|>", "<|end_of_text|>"),
    "unknown": ("<unk>", "[UNK]", "<|unk|>"),
    "mask": ("<mask>", "[MASK]", "<|mask|>"),
}
_NEEDED = ("pad", "end", "mask")
# Sizes are rounded up, and some ids are kept free.
_MOST_ROWS_PER_ENTRY, _ROWS_BESIDES = 2, 1024
_RARE = "\U0002a6d6"
"""A Han letter of Unicode's extension B: hardly a vocabulary knows it."""


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and the ids that pretraining needs to know.

    Attributes:
        checksum: SHA-256 of the tokenizer file; what a token store is bound to.
        size: rows that an embedding needs, the largest id plus one.
        special: role (pad, begin, end, unknown, mask) -> token.
        special_ids: never a masking target, never drawn as a random token.
    """

    tokenizer: Tokenizer
    checksum: str
    size: int
    special: Mapping[str, str]
    special_ids: frozenset[int]

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """The vocabulary of a `tokenizer.json`, or of a folder that holds one (ours or Hugging Face's).

        Raises:
            DataError: there is no such file, or it is no tokenizer.
            ConfigError: it lacks a mask, end or pad token.
        """
        file = _tokenizer_file(Path(path))
        content = file.read_bytes()
        tokenizer = _parse(content, file)
        _refuse_gaps(tokenizer, file)
        _refuse_unencodable(tokenizer, file)
        return cls.of(tokenizer, hashlib.sha256(content).hexdigest(), _special_tokens(tokenizer, file))

    @classmethod
    def of(cls, tokenizer: Tokenizer, checksum: str, special: Mapping[str, str]) -> "Vocabulary":
        """A vocabulary from its parts."""
        # Files of sentence encoders bring these along; a cut record would be lost text.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        # `</s>` in a web page is text, not the end of a record.
        tokenizer.encode_special_tokens = True
        marked = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        special_ids = frozenset(marked | {_id(tokenizer, token) for token in special.values()})
        return cls(tokenizer, checksum, max(tokenizer.get_vocab().values()) + 1, special, special_ids)

    @property
    def pad_id(self) -> int:
        return _id(self.tokenizer, self.special["pad"])

    @property
    def begin_id(self) -> int:
        """The end token's where the tokenizer has no begin token."""
        return _id(self.tokenizer, self.special.get("begin", self.special["end"]))

    @property
    def end_id(self) -> int:
        """Follows every record in a token store."""
        return _id(self.tokenizer, self.special["end"])

    @property
    def mask_id(self) -> int:
        return _id(self.tokenizer, self.special["mask"])

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, no special tokens added. Uses all cores."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def save(self, folder: Path) -> "Vocabulary":
        """Write `tokenizer.json` and the names of its special tokens, as Hugging Face reads them.

        Returns:
            The vocabulary as `load` will find it there.
        """
        content = self.tokenizer.to_str(pretty=True).encode()
        names = {
            key: self.special[role] for role, keys in _DECLARED_KEYS.items() if role in self.special for key in keys
        }
        write_atomic(folder / SPECIAL_TOKENS_FILE, json.dumps(names, indent=1, sort_keys=True).encode() + b"\n")
        write_atomic(folder / TOKENIZER_FILE, content)
        return Vocabulary.of(self.tokenizer, hashlib.sha256(content).hexdigest(), self.special)


def _tokenizer_file(path: Path) -> Path:
    file = path / TOKENIZER_FILE if path.is_dir() else path
    if file.is_file():
        return file
    if not path.is_dir():
        raise DataError(f"there is no tokenizer {path}. `vocabulary.path` takes a tokenizer.json or a folder with one.")
    found = ", ".join(sorted(child.name for child in path.iterdir())[:8]) or "nothing"
    raise DataError(
        f"there is no {TOKENIZER_FILE} in {path} (it holds {found}). Write one with transformers: "
        f"`AutoTokenizer.from_pretrained('{path}').save_pretrained('{path}')`."
    )


def _parse(content: bytes, file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # tokenizers raises bare Exception
        problem = " ".join(str(error).split())[:200]
        raise DataError(f"{file} is no tokenizer of the Hugging Face format ({problem}).") from None


def _refuse_gaps(tokenizer: Tokenizer, file: Path) -> None:
    """An embedding has a row for every number up to the largest id: one damaged id would ask for terabytes."""
    ids = tokenizer.get_vocab().values()
    if max(ids, default=0) >= _MOST_ROWS_PER_ENTRY * len(ids) + _ROWS_BESIDES:
        raise DataError(f"{file} is damaged: it has {len(ids):,} entries, but ids up to {max(ids):,}.")


def _refuse_unencodable(tokenizer: Tokenizer, file: Path) -> None:
    """A model may name an unknown token that its vocabulary lacks: it fails at the first character that it does not know."""
    try:
        tokenizer.encode(_RARE, add_special_tokens=False)
    except Exception as error:  # tokenizers raises bare Exception
        problem = " ".join(str(error).split())[:200]
        raise DataError(
            f"{file} cannot encode every text ({problem}). Add its unknown token to `model.vocab`, or take another tokenizer."
        ) from None


def _special_tokens(tokenizer: Tokenizer, file: Path) -> dict[str, str]:
    """Role -> token: as declared beside the file, else by the usual names."""
    declared = _declared(file.parent)
    candidates = {
        role: [*(declared[key] for key in keys if key in declared), *_USUAL_NAMES[role]]
        for role, keys in _DECLARED_KEYS.items()
    }
    known = {role: [n for n in names if tokenizer.token_to_id(n) is not None] for role, names in candidates.items()}
    missing = [role for role in _NEEDED if not known[role]]
    if missing:
        raise ConfigError(_lacks(file, missing))
    return {role: names[0] for role, names in known.items() if names}


def _lacks(file: Path, missing: list[str]) -> str:
    names = "; ".join(f"{role}: {', '.join(_USUAL_NAMES[role])}" for role in missing)
    return (
        f"`vocabulary.path`: {file} has no {' and no '.join(missing)} token, which masked language modelling needs (looked for "
        f"{names}). Name it in {SPECIAL_TOKENS_FILE} beside it, or take the tokenizer of a masked model such as XLM-R or BERT."
    )


def _declared(folder: Path) -> dict[str, str]:
    declared: dict[str, str] = {}
    for name in ("tokenizer_config.json", SPECIAL_TOKENS_FILE):
        for key, value in _read_json(folder / name).items():
            token = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(token, str):
                declared[key] = token
    return declared


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}). Mend it, or remove it.") from None
    return values if isinstance(values, dict) else {}


def _id(tokenizer: Tokenizer, token: str) -> int:
    number = tokenizer.token_to_id(token)
    assert number is not None, f"{token} is not in the tokenizer"
    return number
