"""Labelled data of a constructed language for the four tasks, in the file formats of the real data sets.

    pos/SPLIT-LABEL.conllu   CoNLL-U: form, lemma and universal part of speech; no syntax
    ner/SPLIT-LABEL.tsv      token TAB IOB2 tag (PER, LOC, ORG), a blank line after each sentence
    qa/SPLIT-LABEL.json      SQuAD 1.1; the answer is the whole phrase, one question a passage
    nli/SPLIT-LABEL.tsv      premise TAB hypothesis TAB label, no header

Languages with the same meaning seed get the same items in the same order, in their own words. No sentence (passage,
premise) stands in two splits or twice in one.
"""

import json
import random
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from detente.corpus.constructed.chance import Item, stable_random
from detente.corpus.constructed.inference import inferences
from detente.corpus.constructed.meaning import Event, Narrator, Sentence
from detente.corpus.constructed.questions import put_in_words, readings
from detente.corpus.constructed.surface import Speaker, Token, written
from detente.corpus.constructed.world import World, build_world
from detente.settings.text import ConstructedSettings


class _Source(NamedTuple):
    """What items are made from."""

    world: World
    narrator: Narrator
    rng: random.Random
    speaker: Speaker
    label: str


class _Task(NamedTuple):
    """A file format and its items, written out; items of one group belong in one split."""

    suffix: str
    groups: Callable[[_Source], Iterator[list[str]]]
    opening: str = ""
    separator: str = ""
    closing: str = ""


def write_tasks(
    settings: ConstructedSettings,
    folder: Path,
    *,
    label: str,
    train: int = 2000,
    validation: int = 250,
    test: int = 500,
    seed: int = 0,
) -> dict[str, dict[str, Path]]:
    """Writes the files and returns their paths by task (`pos`, `ner`, `qa`, `nli`) and split.

    Args:
        settings: the language; `sentences` does not matter.
        folder: made when it is not there.
        label: goes into file names and item ids.
        train: items of the training split: sentences (pos, ner), questions (qa) or pairs (nli); the others alike.
        validation: items of the validation split.
        test: items of the test split.
        seed: another seed draws other items about the same world.
    """
    world, speaker = build_world(settings.meaning_seed), Speaker(settings)
    counts = {"train": train, "validation": validation, "test": test}
    paths: dict[str, dict[str, Path]] = {}
    for name, task in _TASKS.items():
        rng = stable_random("task", name, settings.meaning_seed, seed)
        groups = task.groups(_Source(world, Narrator(world, rng), rng, speaker, label))
        paths[name] = {split: folder / name / f"{split}-{label}.{task.suffix}" for split in counts}
        for split, count in counts.items():
            items = _take(groups, count)
            _write(paths[name][split], task.opening + task.separator.join(items) + task.closing)
    return paths


def _take(groups: Iterator[list[str]], count: int) -> list[str]:
    """The items of the next groups; what is left of the last group is dropped."""
    items: list[str] = []
    while len(items) < count:
        items += next(groups)
    return items[:count]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8", newline="\n")
    unfinished.replace(path)


def _distinct(items: Iterable[Item], key: Callable[[Item], Hashable]) -> Iterator[Item]:
    seen = set()
    for item in items:
        if key(item) not in seen:
            seen.add(key(item))
            yield item


def _tagged(source: _Source) -> Iterator[list[Token]]:
    for sentence in _distinct(source.narrator.sentences(), key=lambda sentence: sentence):
        yield source.speaker.tokens(sentence)


def _pos(source: _Source) -> Iterator[list[str]]:
    for number, tokens in enumerate(_tagged(source), start=1):
        lines = [f"# sent_id = {source.label}-{number}", f"# text = {written(tokens)}"]
        for place, token in enumerate(tokens, start=1):
            space = "SpaceAfter=No" if place == len(tokens) - 1 else "_"
            fields = (str(place), token.form, token.lemma, token.part_of_speech, *"_____", space)
            lines.append("\t".join(fields))
        yield ["\n".join(lines) + "\n\n"]


def _ner(source: _Source) -> Iterator[list[str]]:
    for tokens in _tagged(source):
        yield ["".join(f"{token.form}\t{token.entity}\n" for token in tokens) + "\n"]


def _qa(source: _Source) -> Iterator[list[str]]:
    distinct = _distinct(readings(source.narrator, source.rng), key=lambda reading: reading.passage)
    for number, reading in enumerate(distinct, start=1):
        told = put_in_words(reading, source.speaker)
        answers = [{"text": told.answer, "answer_start": told.start}]
        name = f"{source.label}-{number}"
        paragraph = {"context": told.context, "qas": [{"id": name, "question": told.question, "answers": answers}]}
        yield [json.dumps({"title": name, "paragraphs": [paragraph]}, ensure_ascii=False)]


def _nli(source: _Source) -> Iterator[list[str]]:
    triples = inferences(source.narrator, source.world, source.rng)
    for triple in _distinct(triples, key=lambda triple: triple[0].premise):
        lines = ((_said(pair.premise, source), _said(pair.hypothesis, source), pair.label) for pair in triple)
        yield ["\t".join(line) + "\n" for line in lines]


def _said(event: Event, source: _Source) -> str:
    return source.speaker.text(Sentence((event,)))


_TASKS = {
    "pos": _Task("conllu", _pos),
    "ner": _Task("tsv", _ner),
    "qa": _Task("json", _qa, opening='{"version": "1.1", "data": [\n', separator=",\n", closing="\n]}\n"),
    "nli": _Task("tsv", _nli),
}
