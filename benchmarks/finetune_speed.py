"""Fine-tuning for NER against transformers' own way: seconds a sentence, one epoch, side by side.

    python benchmarks/finetune_speed.py --train wikiann/train-en.tsv.gz --out benchmarks/results/finetune_speed.json

Theirs: the loop of their `run_ner` example, which is Trainer with `DataCollatorForTokenClassification` over batches in random order, on a
`BertForTokenClassification`. Ours: `detente.tasks`, on the `mini` preset's encoder with an adapter for each language. Both have as many
layers, the same width and heads, about as many parameters in a block, the same tokenizer, sentences, batch size and optimizer; both
start from random weights, which costs the same as any. A round is one epoch of each, in shuffled order; the ratio is the median over the
rounds of ours over theirs. Tokenization is inside, reading the file is not.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from rounds import interleaved, over
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from detente.huggingface import DetenteConfig, DetenteForTokenClassification
from detente.machine import machine
from detente.results import now, write_json
from detente.settings.presets import PRESETS
from detente.settings.tasks import TaskSettings
from detente.tasks.examples import TaggedSentence
from detente.tasks.features import Features, Frame
from detente.tasks.models import Loaded
from detente.tasks.read import read_examples
from detente.tasks.tagging import Tagging
from detente.tasks.trainer import FineTuner

BATCH, RATE = 32, 3e-4
MINI = PRESETS["mini"]["encoder"]
LENGTH = PRESETS["mini"]["batches"]["block_length"]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="a column file of NER")
    parser.add_argument("--sentences", type=int, default=4000, help="in an epoch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    sentences = read_examples("ner", options.train).examples[: options.sentences]
    with tempfile.TemporaryDirectory() as folder:
        record = measure(sentences, _tokenizer(sentences), options.rounds, Path(folder))
    print(f"ours {record['ours']:.4f} s, theirs {record['theirs']:.4f} s a sentence; ratio {record['ratio']:.2f}")
    if options.out:
        write_json(options.out, record)


def measure(sentences: Sequence[TaggedSentence], tokenizer: Any, rounds: int, folder: Path) -> dict[str, object]:
    """Seconds a sentence, and their ratio."""
    labels = Tagging().labels(sentences)
    ways = {
        "ours": lambda: _ours(sentences, tokenizer, labels, folder),
        "theirs": lambda: _theirs(sentences, tokenizer, labels, folder),
    }
    seconds = interleaved(ways, rounds)
    ratio = over(seconds["ours"], seconds["theirs"])
    return {
        "date": now(),
        "machine": machine(torch.device("cpu")),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "sentences": len(sentences),
        "rounds": rounds,
        "ours": statistics.median(seconds["ours"]) / len(sentences),
        "theirs": statistics.median(seconds["theirs"]) / len(sentences),
        "ratio": ratio["median"],
        "quartiles": [ratio["low"], ratio["high"]],
    }


def _ours(sentences: Sequence[TaggedSentence], tokenizer: Any, labels: Sequence[str], folder: Path) -> None:
    config = DetenteConfig(
        encoder_settings=MINI,
        treatment="adapter",
        languages=["en", "sw"],
        vocab_size=len(tokenizer),
        block_length=LENGTH,
        num_labels=len(labels),
        pad_token_id=tokenizer.pad_token_id,
    )
    encoded = Tagging().encode(sentences, Frame(tokenizer, LENGTH), labels)
    FineTuner(
        Loaded(DetenteForTokenClassification(config), frozenset()),
        Features(encoded, {"language_ids": 0}),
        settings=TaskSettings(epochs=1),
        batch_size=BATCH,
        rates=(RATE, RATE),
        reduce=lambda logits: logits,
        pad_id=tokenizer.pad_token_id,
        seed=1,
        folder=folder,
        use_cpu=True,
    ).train()


def _theirs(sentences: Sequence[TaggedSentence], tokenizer: Any, labels: Sequence[str], folder: Path) -> None:
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=MINI["width"],
        num_hidden_layers=MINI["layers"],
        num_attention_heads=MINI["heads"],
        # Two matrices where the gated feed-forward has three.
        intermediate_size=MINI["feed_forward_width"] * 3 // 2,
        max_position_embeddings=LENGTH,
        num_labels=len(labels),
        pad_token_id=tokenizer.pad_token_id,
    )
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    Trainer(
        BertForTokenClassification(config),
        arguments,
        train_dataset=_tokenized(sentences, tokenizer, labels),
        data_collator=DataCollatorForTokenClassification(tokenizer),
    ).train()


def _tokenized(
    sentences: Sequence[TaggedSentence], tokenizer: Any, labels: Sequence[str]
) -> list[dict[str, list[int]]]:
    """As `run_ner` does it: all sentences at once, a label at each word's first token."""
    words = [list(sentence.words) for sentence in sentences]
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=LENGTH)
    number_of = {label: number for number, label in enumerate(labels)}
    rows = []
    for row, sentence in enumerate(sentences):
        aligned, before = [], None
        for word in encoded.word_ids(row):
            aligned.append(-100 if word is None or word == before else number_of[sentence.tags[word]])
            before = word
        rows.append(
            {
                "input_ids": encoded["input_ids"][row],
                "attention_mask": encoded["attention_mask"][row],
                "labels": aligned,
            }
        )
    return rows


def _tokenizer(sentences: Sequence[TaggedSentence]) -> Any:
    """BPE of the sentences' own text, as large as the preset's vocabulary at most."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = ["<pad>", "</s>", "<unk>"]
    size = PRESETS["mini"]["vocabulary"]["size"]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator((" ".join(sentence.words) for sentence in sentences), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="</s> $A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", cls_token="</s>", sep_token="</s>", unk_token="<unk>"
    )


if __name__ == "__main__":
    main()
