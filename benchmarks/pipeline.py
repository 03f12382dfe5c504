"""What comes before the steps, beside the least it could take: text to store, vocabulary training; and batches beside a step.

    python benchmarks/pipeline.py --out benchmarks/results/pipeline.json

Text is a Zipf-distributed choice of random words, or that of `--text FILE`. Ratios are medians over rounds of (time / the other's of the same
round); one of each runs a round, in a shuffled order.

- store: `build_store` (tokens, checksums, journal, baselines), the encoding alone, and reading and cleaning (`build_corpus`). `share` is the time
  of one call of `tokenizers`' `encode_batch` over theirs; it has all lines in memory already, and its encodings are freed outside its time.
  Memory: how much a fresh process grows, on the text and on one four times as large; `encode_batch` reads the lines too.
- vocabulary: `train_vocabulary` over `tokenizers`' own trainer with the same settings on the same lines, in memory or read by it from the file.
- batches: made and masked, over the whole plain step.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meta_cost import CPU, Bench, machine
from rounds import interleaved, over
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from zipf import zipf_text

from detente.corpus import SPLITS, build_corpus
from detente.corpus.manifest import split_path
from detente.machine import num_cores, peak_memory, reset_peak_memory, resident_memory
from detente.results import now, write_json
from detente.settings import LanguageSettings, SplitSettings, VocabularySettings
from detente.store import build_store
from detente.store.encode import encode_file
from detente.vocabulary import SPECIAL_TOKENS, Vocabulary, train_vocabulary

SEED = 0


def main() -> None:
    """Measure, print and write; as a child, the memory of one program."""
    options = _options()
    if options.memory_of:
        print(grown(options.memory_of, Path(options.text), options.scratch))
        return
    record: dict[str, Any] = {"date": now(), "machine": machine() | {"cores": str(num_cores())}, "seed": SEED}
    record |= {name: getattr(options, name) for name in ("megabytes", "vocabulary_size", "rounds")}
    record["text"] = "a file" if options.text else "zipf"
    with tempfile.TemporaryDirectory(prefix="pipeline-") as scratch:
        pipeline = Pipeline(Path(scratch), options)
        for part in ("store", "vocabulary", "batches"):
            record[part] = getattr(pipeline, part)(options.rounds)
            print(json.dumps({part: record[part]}, indent=1))
    if options.out:
        write_json(options.out, record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, help="lines of UTF-8; its beginning is taken")
    parser.add_argument("--megabytes", type=float, default=8, help="of text; memory is taken on four times as much too")
    parser.add_argument("--vocabulary-size", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--preset", default="mini", help="of the step that batches are compared with")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


class Pipeline:
    """A text and one four times as large, both as corpora, and a vocabulary."""

    def __init__(self, scratch: Path, options: argparse.Namespace) -> None:
        self.scratch, self.options = scratch, options
        size = int(options.megabytes * 2**20)
        text = options.text.read_bytes()[: 4 * size] if options.text else zipf_text(4 * size, SEED)
        for name, part in (("small", text[:size]), ("large", text)):
            (scratch / f"{name}.txt").write_bytes(part[: part.rfind(b"\n") + 1])
            self.read(scratch / name)
        self.settings = VocabularySettings(size=options.vocabulary_size)
        self.corpus = scratch / "small"
        self.learnt = train_vocabulary({"a": self.corpus}, self.settings, scratch / "vocabulary")

    def read(self, folder: Path, *, source: str = "") -> None:
        """A text becomes a corpus, anew."""
        paths = (str(self.scratch / f"{source or folder.name}.txt"),)
        build_corpus("a", LanguageSettings(name="A", script="Latn", paths=paths), SplitSettings(), fresh(folder))

    def store(self, rounds: int) -> dict[str, Any]:
        """Time on the small text, memory on both."""
        lines, encode = lines_of(self.corpus), self.learnt.tokenizer.encode_batch
        programs: dict[str, Callable[[], Any]] = {
            "encode_batch": lambda: encode(lines, add_special_tokens=False),
            "encoding": lambda: encoded(self.corpus, self.learnt, self.scratch),
            "build_store": lambda: build_store("a", self.corpus, self.learnt, fresh(self.scratch / "store")),
            "build_corpus": lambda: self.read(self.scratch / "again", source="small"),
        }
        seconds = interleaved(programs, rounds)
        share = {name: over(seconds["encode_batch"], taken) for name, taken in seconds.items()}
        memory = {name: {size: self.memory(name, size) for size in ("small", "large")} for name in MEASURED}
        return {"lines": len(lines), "share": share, "memory_bytes": memory}

    def memory(self, name: str, size: str) -> int:
        """Bytes that a fresh process grows by."""
        command = [sys.executable, __file__, "--memory-of", name, "--text", size, "--scratch", str(self.scratch)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])

    def vocabulary(self, rounds: int) -> dict[str, Any]:
        """Ours over both ways of theirs."""
        train = split_path(self.corpus, "train")
        lines = train.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        ours = fresh(self.scratch / "learnt")
        programs: dict[str, Callable[[], Any]] = {
            "detente": lambda: train_vocabulary({"a": self.corpus}, self.settings, ours),
            "in memory": lambda: self.theirs(lambda tokenizer, trainer: tokenizer.train_from_iterator(lines, trainer)),
            "from the file": lambda: self.theirs(lambda tokenizer, trainer: tokenizer.train([str(train)], trainer)),
        }
        assert programs["detente"]().tokenizer.get_vocab() == programs["in memory"]().get_vocab(), "the same is learnt"
        seconds = interleaved(programs, rounds)
        return {f"over {name}": over(seconds["detente"], seconds[name]) for name in programs if name != "detente"}

    def theirs(self, train: Callable[[Tokenizer, trainers.BpeTrainer], None]) -> Tokenizer:
        """As a user of `tokenizers` trains what `train_vocabulary` trains."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = self.learnt.tokenizer.normalizer
        tokenizer.pre_tokenizer = self.learnt.tokenizer.pre_tokenizer
        trainer = trainers.BpeTrainer(
            vocab_size=self.settings.size,
            min_frequency=2,
            show_progress=False,
            special_tokens=list(SPECIAL_TOKENS.values()),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        )
        train(tokenizer, trainer)
        return tokenizer

    def batches(self, rounds: int) -> dict[str, Any]:
        """As large as the preset's."""
        bench = Bench(self.options.preset, 2, 32)
        plain, numbers = bench.step("plain", {}), iter(range(10**6))
        programs = {"batches": lambda: list(bench.batches.train(next(numbers))), "step": lambda: plain(next(numbers))}
        seconds = interleaved(programs, 2 * rounds)
        return {"preset": self.options.preset, "over a step": over(seconds["batches"], seconds["step"])}


def encoded(corpus: Path, learnt: Vocabulary, scratch: Path) -> None:
    """Every split's file of ids, anew."""
    folder = fresh(scratch / "encoded")
    for split in SPLITS:
        encode_file(
            split_path(corpus, split), folder / f"{split}.bin", learnt, key="benchmark", progress=lambda _: None
        )


def fresh(folder: Path) -> Path:
    """Empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def lines_of(corpus: Path) -> list[str]:
    """Of all splits."""
    return [line for split in SPLITS for line in split_path(corpus, split).read_text(encoding="utf-8").split("\n")[:-1]]


MEASURED: dict[str, Callable[[Path, Vocabulary, Path], Any]] = {
    "encode_batch": lambda corpus, learnt, _: learnt.tokenizer.encode_batch(lines_of(corpus), add_special_tokens=False),
    "encoding": encoded,
    "build_store": lambda corpus, learnt, scratch: build_store("a", corpus, learnt, fresh(scratch / "store")),
}


def grown(name: str, size: Path, scratch: Path) -> int:
    """Bytes, at the peak, over what the process had with everything imported and the vocabulary loaded."""
    learnt = Vocabulary.load(scratch / "vocabulary")
    reset_peak_memory(CPU)
    before = resident_memory()
    MEASURED[name](scratch / size, learnt, scratch)
    return peak_memory(CPU) - before


if __name__ == "__main__":
    main()
