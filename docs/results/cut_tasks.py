"""Cut small task files for a study of many runs, evenly spaced through the large ones.

    python docs/results/cut_tasks.py ner/wikiann/train-en.tsv.gz 2000 tasks/ner/en-train.tsv

takes 2,000 sentences. Blank lines part the sentences of `.tsv`, `.txt` and `.conllu`; of `nli` files each line is an example, with
`--lines`. Questions (`.json`) are cut by passage, in SQuAD's format.
"""

import argparse
import gzip
import json
from pathlib import Path
from typing import TypeVar

Example = TypeVar("Example")


def spaced(examples: list[Example], number: int) -> list[Example]:
    """So many of them, or all: every k-th, since files lie in order of source or topic."""
    if len(examples) <= number:
        return examples
    return [examples[index * len(examples) // number] for index in range(number)]


def cut(source: Path, number: int, *, by_lines: bool) -> str:
    """The text of the smaller file."""
    raw = source.read_bytes()
    text = (gzip.decompress(raw) if source.suffix == ".gz" else raw).decode("utf-8")
    if ".json" in source.suffixes:
        articles = json.loads(text)["data"]
        passages = [passage for article in articles for passage in article["paragraphs"]]
        return json.dumps({"data": [{"paragraphs": spaced(passages, number)}]}, ensure_ascii=False)
    if by_lines:
        return "\n".join(spaced(text.splitlines(), number)) + "\n"
    sentences = [sentence.strip("\n") for sentence in text.split("\n\n") if sentence.strip()]
    return "\n\n".join(spaced(sentences, number)) + "\n\n"


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("number", type=int, help="examples; passages of questions")
    parser.add_argument("goal", type=Path)
    parser.add_argument("--lines", action="store_true", help="one example a line")
    chosen = parser.parse_args()
    chosen.goal.parent.mkdir(parents=True, exist_ok=True)
    chosen.goal.write_text(cut(chosen.source, chosen.number, by_lines=chosen.lines), encoding="utf-8")


if __name__ == "__main__":
    main()
