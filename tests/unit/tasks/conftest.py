"""What the tests of tasks share: snippets that are written to a file and read, the gathered data when it is there, tokenizers, models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.tasks.read import read_examples
from detente.tasks.reading import Reading

Read = Callable[..., Reading]


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
    """Learnt from one record in each of several scripts: ours, as `detente export` writes it; like BERT's; like XLM-R's."""
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


def _word_piece(texts: tuple[str, ...]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=180, special_tokens=names, show_progress=False)
    tokenizer.train_from_iterator([*texts] * 3, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    roles = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), names, strict=True))
    columns = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=columns, **roles)


def _metaspace(texts: tuple[str, ...]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=160, special_tokens=names, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([*texts] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    roles = dict(zip(("cls_token", "pad_token", "sep_token", "unk_token", "mask_token"), names, strict=True))
    columns = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=columns, **roles)
