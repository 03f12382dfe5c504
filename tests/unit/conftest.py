"""Corpora written by hand, for the stages after the corpus."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from detente.corpus.manifest import SPLITS, CorpusManifest, SplitCounts, split_path, write_manifest

# Accents, right to left, no spaces, combining marks, joiners, emoji of several code points, a special token as text.
SCRIPTS = (
    "The quick brown fox jumps over the lazy dog, 42 times.",
    "O\u00f9 est l'\u00e9t\u00e9? \u00dcber Stra\u00dfe, na\u00efve fa\u00e7ade.",
    "\u0627\u0644\u0642\u0637\u064f\u0651 \u064a\u062c\u0644\u0633\u064f \u0639\u0644\u0649 \u0627\u0644\u0633\u062c\u0627\u062f\u0629\u060c \u0623\u0644\u064a\u0633 \u0643\u0630\u0644\u0643\u061f",
    "\u0c24\u0c46\u0c32\u0c41\u0c17\u0c41 \u0c2d\u0c3e\u0c37\u0c32\u0c4b \u0c35\u0c4d\u0c30\u0c3e\u0c38\u0c3f\u0c28 \u0c12\u0c15 \u0c1a\u0c3f\u0c28\u0c4d\u0c28 \u0c35\u0c3e\u0c15\u0c4d\u0c2f\u0c02.",
    "\u0915\u094d\u200d\u092f\u093e \u0906\u092a \u0939\u093f\u0928\u094d\u0926\u0940 \u091c\u093e\u0928\u0924\u0947 \u0939\u0948\u0902?",
    "\u4eca\u65e5\u306f\u3068\u3066\u3082\u826f\u3044\u5929\u6c17\u3067\u3059\u306d\u3002",
    "Emoji \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1f0\U0001f1ea \u2764\ufe0f done",
    "a literal </s> and <mask> in the text",
)

WriteCorpus = Callable[..., Path]


def _counts(records: Sequence[str]) -> SplitCounts:
    return SplitCounts(
        records=len(records),
        words=sum(len(record.split()) for record in records),
        characters=sum(map(len, records)),
        bytes=sum(len(record.encode()) + 1 for record in records),
    )


@pytest.fixture(scope="session")
def scripts() -> tuple[str, ...]:
    """One record in each of several scripts."""
    return SCRIPTS


@pytest.fixture(scope="session")
def write_corpus() -> WriteCorpus:
    """Writes a corpus folder: train records, and as `meta`, `validation`, `test` the given ones or all scripts."""

    def write(folder: Path, train: Sequence[str], *, source: str = "here", **held_out: Sequence[str]) -> Path:
        records = {"train": train, **{split: held_out.get(split, SCRIPTS) for split in SPLITS[1:]}}
        folder.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            split_path(folder, split).write_bytes("".join(f"{record}\n" for record in records[split]).encode())
        manifest = CorpusManifest(
            label=folder.name,
            code="en",
            name="English",
            script="Latn",
            source=source,
            records_read=sum(map(len, records.values())),
            cuts=0,
            empty=0,
            duplicates=0,
            not_sampled=0,
            splits={split: _counts(records[split]) for split in SPLITS},
            scripts={"Latn": 1.0},
        )
        write_manifest(folder, manifest)
        return folder

    return write
