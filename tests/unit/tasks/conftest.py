"""What the tests of tasks share: snippets that are written to a file and read, the gathered data when it is there, tokenizers, models."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from detente.tasks.read import read_examples
from detente.tasks.reading import Reading

Read = Callable[..., Reading]
MakeCheckpoint = Callable[..., str]


@pytest.fixture(name="read")
def _read(tmp_path: Path) -> Read:
    """`read(task, text, name=..., **options)` writes the text to a file and reads it."""

    def read(task: str, text: str | bytes, name: str = "snippet", **options: object) -> Reading:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_examples(task, path, **options)

    return read


@pytest.fixture(name="shared_data", scope="session")
def _shared_data() -> Path:
    """The gathered data beside the repository; its README says what it is."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "shared" / "data" / "README.md").is_file():
            return folder / "shared" / "data"
    pytest.skip("there is no shared/data folder beside the repository")


@pytest.fixture(name="tokenizers", scope="session")
def _tokenizers(scripts: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of one record in each of several scripts: ours, as `detente export` writes it; like BERT's; like XLM-R's."""
    from transformers import AutoTokenizer

    from detente.huggingface.tokenizer import tokenizer_files
    from detente.vocabulary import SPECIAL_TOKENS, Vocabulary
    from detente.vocabulary.train import _learn

    ours = Vocabulary.of(_learn([*scripts] * 3, 420), "", dict(SPECIAL_TOKENS))
    folder = tmp_path_factory.mktemp("tokenizer")
    for name, content in tokenizer_files(ours, 512).items():
        (folder / name).write_text(content, encoding="utf-8")
    return {
        "byte-level": AutoTokenizer.from_pretrained(folder),
        "word-piece": _word_piece(scripts),
        "metaspace": _metaspace(scripts),
    }


PIECES = ("th", "the", "qu", "ick", "br", "ow", "fox", "ov", "over", "do", "mp", "ti", "tim", "es", "az", "za", "one")
"""Beside single characters. Written down, since trainers break ties by chance."""


def _word_piece(texts: tuple[str, ...]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*sorted(set("".join(texts)) - {" "}), *PIECES]
    vocabulary = {piece: n for n, piece in enumerate([*names, *pieces, *(f"##{piece}" for piece in pieces)])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    roles = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), names, strict=True))
    columns = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=columns, **roles)


def _metaspace(texts: tuple[str, ...]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names, blank = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "\u2581"
    single = [(character, -6.0) for character in (blank, *sorted(set("".join(texts)) - {" "}))]
    longer = [(start + piece, -7.0) for piece in PIECES for start in ("", blank)]
    tokenizer = Tokenizer(models.Unigram([*((name, 0.0) for name in names), *single, *longer], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    roles = dict(zip(("cls_token", "pad_token", "sep_token", "unk_token", "mask_token"), names, strict=True))
    columns = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=columns, **roles)


@pytest.fixture(name="one_thread", scope="session")
def _one_thread() -> Iterator[None]:
    """Sums are split by threads: the same bits are promised for the same number of threads only."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(name="make_checkpoint", scope="session")
def _make_checkpoint(tokenizers: dict[str, Any], one_thread: None) -> MakeCheckpoint:
    """`make_checkpoint(folder, family, **configuration)` writes a tiny model with random weights, and its tokenizer."""
    import torch
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()

    def make(folder: Path, family: str, **changes: object) -> str:
        torch.manual_seed(3)
        if family == "detente":
            _tiny_detente(len(tokenizers["byte-level"]), changes).save_pretrained(folder)
            tokenizers["byte-level"].save_pretrained(folder)
            return str(folder)
        name, kind, shape = _FAMILIES[family]
        size = {"vocab_size": len(tokenizers[kind])}
        config = getattr(transformers, f"{name}Config")(**{**shape, **size, **changes})
        model = "XLMWithLMHeadModel" if family == "xlm" else f"{name}ForMaskedLM"
        getattr(transformers, model)(config).save_pretrained(folder)
        tokenizers[kind].save_pretrained(folder)
        return str(folder)

    return make


_BERT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
_BERT |= {"max_position_embeddings": 64, "pad_token_id": 0}
_ROBERTA = {**_BERT, "pad_token_id": 1}
_FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("Bert", "word-piece", _BERT),
    "roberta": ("XLMRoberta", "metaspace", _ROBERTA),
    "xmod": ("Xmod", "metaspace", {**_ROBERTA, "languages": ["en_XX", "sw_KE"], "adapter_reduction_factor": 2}),
    "xlm": (
        "XLM",
        "metaspace",
        {"emb_dim": 16, "n_layers": 1, "n_heads": 2, "max_position_embeddings": 64, "pad_index": 1, "pad_token_id": 1},
    ),
}


def _tiny_detente(vocabulary_size: int, changes: dict[str, Any]) -> Any:
    """With phi away from where adapters begin, which is the identity."""
    import torch

    from detente.huggingface import DetenteConfig, DetenteForMaskedLM

    shape = {"layers": 1, "width": 32, "heads": 2, "feed_forward_width": 32, "dropout": 0.0}
    own = {"treatment": "adapter", "languages": ("qaa", "qab"), "adapter_settings": {"width": 8}, "block_length": 32}
    config = DetenteConfig(
        **{"encoder_settings": shape, "vocab_size": vocabulary_size, "pad_token_id": 0, **own, **changes}
    )
    model = DetenteForMaskedLM(config)
    with torch.no_grad():
        for parameter in model.language_specific_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model
