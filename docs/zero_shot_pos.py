"""Zero-shot part-of-speech tagging with the runs of a study on constructed languages.

    python docs/zero_shot_pos.py STUDY_FOLDER docs/results/NAME/pos.jsonl

For each joint run and each of its languages as source: a linear head on the first subword of each word, the whole network (theta and
the source's phi) fine-tuned on the source's 2,000 training sentences, then scored on the source's test sentences (within) and on
the other language's (zero-shot), which goes through its own phi. Sentences are packed into blocks, as in pretraining.
Writes a line a run and source, and prints the table of means and intervals over seeds. Runs that are in the file already are
not done again.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from conllu import parse_incr
from torch import Tensor, nn
from torch.func import functional_call

from detente.corpus.constructed import write_tasks
from detente.pretrain import build_model
from detente.pretrain.checkpoint import load_weights, newest_checkpoint
from detente.report.statistics import estimate
from detente.results import RunRecord, read_records
from detente.settings import ConstructedSettings, RunSettings
from detente.treatment import TreatedEncoder
from detente.vocabulary import Vocabulary

EPOCHS, BLOCKS, RATE = 4, 16, 1e-3
TAGS = (
    "ADJ",
    "ADP",
    "ADV",
    "AUX",
    "CCONJ",
    "DET",
    "NOUN",
    "NUM",
    "PART",
    "PRON",
    "PROPN",
    "PUNCT",
    "SCONJ",
    "VERB",
    "X",
)
IGNORED = -100

Blocks = tuple[Tensor, Tensor]
"""Token ids and tags, a row a block."""


class Tagger(nn.Module):
    """The encoder without its masked-LM head, under a linear head; parameters are passed in."""

    def __init__(self, treated: TreatedEncoder, seed: int) -> None:
        super().__init__()
        self.encoder = treated.encoder
        self.head = nn.Linear(treated.encoder.settings.width, len(TAGS))
        nn.init.normal_(self.head.weight, std=0.02, generator=torch.Generator().manual_seed(seed))
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, language: int) -> Tensor:
        scores: Tensor = self.head(self.encoder.encode(tokens, language))
        return scores


def main(study: Path, output: Path) -> None:
    """Do what is missing, then print."""
    known = yaml.safe_load((study / "study.yaml").read_text(encoding="utf-8"))["languages"]
    output.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["run"], row["source"]) for row in rows_of(output)}
    with tempfile.TemporaryDirectory() as folder:
        for record in read_records(study):
            if len(record.mixture) < 2 or record.status != "success":
                continue
            for source in record.mixture:
                if (record.name, source) in done:
                    continue
                scores = score(study, record, source, known, Path(folder))
                row = {"run": record.name, "system": record.system, "seed": record.seed, "source": source, **scores}
                with output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    print("\n".join(table(list(rows_of(output)))))


def score(
    study: Path, record: RunRecord, source: str, known: dict[str, dict[str, object]], folder: Path
) -> dict[str, float]:
    """Accuracy of a run within the source language and zero-shot on every other language."""
    torch.manual_seed(record.seed)
    settings = RunSettings.model_validate(record.settings)
    vocabulary = Vocabulary.load(study / "data" / settings.vocabulary)
    treated = build_model(settings, vocabulary.size)
    run = next(study.glob(f"runs/{record.name}-{record.fingerprint[:8]}"))
    load_weights(newest_checkpoint(run / "checkpoints"), treated)
    data = {label: _blocks_of(known[label], label, vocabulary, settings, folder) for label in record.mixture}
    tagger = Tagger(treated, record.seed)
    fine_tune(tagger, treated, source, data[source]["train"], record.seed)
    return {label: accuracy(tagger, treated, label, data[label]["test"]) for label in record.mixture}


def fine_tune(tagger: Tagger, treated: TreatedEncoder, source: str, blocks: Blocks, seed: int) -> None:
    """Theta, the source's phi and the head, by AdamW with a linear decay."""
    parameters = [*treated.shared.values(), *treated.specific[source].values(), *tagger.head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    tokens, tags = blocks
    steps = EPOCHS * -(-len(tokens) // BLOCKS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    random = torch.Generator().manual_seed(seed)
    tagger.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(tokens), generator=random).split(BLOCKS):
            loss = F.cross_entropy(_scores(tagger, treated, source, tokens[rows]).flatten(0, 1), tags[rows].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def accuracy(tagger: Tagger, treated: TreatedEncoder, label: str, blocks: Blocks) -> float:
    """Share of words tagged right, through the language's own parameters."""
    tagger.eval()
    tokens, tags = blocks
    found = torch.cat([_scores(tagger, treated, label, part).argmax(-1) for part in tokens.split(64)])
    counted = tags != IGNORED
    return float((found == tags)[counted].double().mean())


def table(rows: list[dict[str, object]]) -> list[str]:
    """Markdown: mean and half the 95 % interval over seeds, of the mean over sources."""
    systems: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for row in rows:
        own = float(str(row[str(row["source"])]))
        known = {"run", "system", "seed", "source", str(row["source"])}
        others = [float(str(value)) for key, value in row.items() if key not in known]
        systems.setdefault(str(row["system"]), {}).setdefault(int(str(row["seed"])), []).append(
            (own, sum(others) / len(others))
        )
    lines = ["| system | within | zero-shot | seeds |", "| --- | ---: | ---: | ---: |"]
    for system, seeds in systems.items():
        cells = []
        for column in (0, 1):
            found = estimate([sum(pair[column] for pair in pairs) / len(pairs) for pairs in seeds.values()])
            half = "" if found.high is None else f" ± {100 * (found.high - found.mean):.1f}"
            cells.append(f"{100 * found.mean:.1f}{half}")
        lines.append(f"| {system} | {cells[0]} | {cells[1]} | {len(seeds)} |")
    return lines


def _scores(tagger: Tagger, treated: TreatedEncoder, label: str, tokens: Tensor) -> Tensor:
    parameters: dict[str, Tensor] = {
        f"encoder.{name}": p for name, p in {**treated.shared, **treated.specific[label]}.items()
    }
    scores: Tensor = functional_call(tagger, parameters, (tokens, treated.languages.index(label)), strict=False)
    return scores


def _blocks_of(
    language: dict[str, object], label: str, vocabulary: Vocabulary, settings: RunSettings, folder: Path
) -> dict[str, Blocks]:
    constructed = ConstructedSettings.model_validate(language["constructed"])
    paths = write_tasks(constructed, folder / label, label=label)["pos"]
    length = settings.batches.block_length
    return {split: _packed(path, vocabulary, length) for split, path in paths.items() if split != "validation"}


def _packed(path: Path, vocabulary: Vocabulary, length: int) -> Blocks:
    tokens, tags = [], []
    with path.open(encoding="utf-8") as file:
        for sentence in parse_incr(file):
            for token, tag in _subwords([(word["form"], word["upos"]) for word in sentence], vocabulary):
                tokens.append(token)
                tags.append(tag)
            tokens.append(vocabulary.end_id)
            tags.append(IGNORED)
    whole = len(tokens) // length * length
    return torch.tensor(tokens[:whole]).view(-1, length), torch.tensor(tags[:whole]).view(-1, length)


def _subwords(words: list[tuple[str, str]], vocabulary: Vocabulary) -> Iterator[tuple[int, int]]:
    """Subwords of a sentence, each with its word's tag on the first."""
    for place, (form, tag) in enumerate(words):
        ids = vocabulary.encode_batch([form if place == 0 else f" {form}"])[0]
        for number, token in enumerate(ids):
            yield token, TAGS.index(tag) if number == 0 else IGNORED


def rows_of(output: Path) -> Iterator[dict[str, object]]:
    """The lines written so far."""
    if output.exists():
        for line in output.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
