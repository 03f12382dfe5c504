"""Cut a test part from TyDiQA-GoldP's training files, whose published dev files come without answers in some copies.

    python docs/results/split_tydiqa.py qa/tydiqa_goldp/tydiqa.goldp.en.train.json.gz qa/tydiqa-en

writes `qa/tydiqa-en-train.json` and `qa/tydiqa-en-test.json`. A passage, with all of its questions, is in one of them: a quarter goes
to the test, chosen by the passage's hash.
"""

import gzip
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

TEST_SHARE = 4
"""One passage of so many."""


def is_test(paragraph: dict[str, Any]) -> bool:
    """By the passage alone, so that another order of the file changes nothing."""
    return hashlib.blake2b(paragraph["context"].encode(), digest_size=8).digest()[0] % TEST_SHARE == 0


def main(source: Path, goal: str) -> None:
    """Write both parts."""
    articles = json.loads(gzip.decompress(source.read_bytes()))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    for part, wanted in (("train", False), ("test", True)):
        chosen = [{"paragraphs": [paragraph]} for paragraph in paragraphs if is_test(paragraph) is wanted]
        Path(f"{goal}-{part}.json").write_text(json.dumps({"data": chosen}, ensure_ascii=False), encoding="utf-8")
        print(f"{goal}-{part}.json: {sum(len(each['paragraphs'][0]['qas']) for each in chosen)} questions")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
