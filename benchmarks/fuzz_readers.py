"""Fuzz every reader: bytes and values of good files are changed by hypothesis, and each must be read or refused by a named error.

python benchmarks/fuzz_readers.py --minutes 10 --seed 1 --out benchmarks/results/fuzz_readers.json

What is neither (a traceback, more than ten seconds, more than 1 GiB beyond what the libraries take) is printed and counted; the exit code
is 1 then.
"""

import argparse
import bz2
import copy
import gzip
import json
import lzma
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from detente.corpus.clean import clean_record
from detente.corpus.parallel import read_parallel
from detente.corpus.read import read_text
from detente.errors import DetenteError
from detente.pretrain.opened_run import read_run_settings
from detente.report import summary_table
from detente.results import read_metrics, read_record
from detente.seal import sealed_line
from detente.settings import RunSettings, load_study
from detente.settings.load_tasks import load_tasks
from detente.settings.text import LanguageSettings
from detente.task_results import read_task_record
from detente.tasks.read import read_examples
from detente.vocabulary import SPECIAL_TOKENS, Vocabulary
from detente.vocabulary.train import _learn

SECONDS, MEMORY = 10, 1 << 30
"""Limits of one case."""
EXAMPLES = 100
"""Of a reader at a time."""

ODD_BYTES = [
    *(
        b"\x00",
        b"\xff",
        b"\r",
        b"\n",
        b"\n\n",
        b"\t",
        b" ",
        b'"',
        b"{",
        b"[",
        b"]",
        b"}",
        b"<",
        b">",
        b"&",
        b"#",
        b"-",
        b"_",
        b"|",
        b"=",
    ),
    *(
        b"[" * 5000,
        b'{"a":' * 5000,
        b"{{" * 2000,
        b"[[" * 2000,
        b"''" * 500,
        b"<ref>" * 500,
        b"9" * 5000,
        b"x" * 100_000,
        b"1-9\t",
    ),
    *(
        b"\\ud800",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"null",
        b"true",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xc2",
        b"\x1f\x8b",
        b"\xe2\x80\xa8",
    ),
    *(
        b"*a",
        b"&a ",
        b"<<: *a",
        b"!!python/object/apply:os.getcwd []",
        b"!!timestamp x",
        b"!!int ''",
        b"2026-13-45",
        b"? [1]\n: 2",
        b"~nobody/x",
    ),
    *(
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"&b;",
        b"<page>",
        b"</page>",
        b"<id>x</id>",
        b"../../x",
        b"B-",
        b"I-PER",
        b"\xd9\xa3",
    ),
]
ODD_VALUES = [
    *(
        None,
        True,
        -1,
        0,
        2,
        10**30,
        1.5,
        float("nan"),
        float("inf"),
        "",
        " ",
        "x",
        "\ud800",
        "\x00",
        "../../x",
        "9" * 5000,
        "~nobody/x",
    ),
    *(
        [],
        {},
        [[]],
        {"a": 1},
        [None],
        ["x", "x"],
        "x" * 10_000,
        "<mask>",
        "none",
        4_000_000_000,
        "hf://a/b",
        "2026-13-45",
        -(10**400),
    ),
]

Reader = Callable[[Path], object]


class Hang(BaseException):
    """A case took too long; no `except Exception` may keep it."""


@contextmanager
def limited() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# How bytes and values are changed.


@st.composite
def changed_bytes(draw: st.DrawFn, good: bytes) -> bytes:
    """One to four edits: odd bytes put in or over, a stretch left out or repeated, or everything after a place left out."""
    content = good
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        put = draw(st.one_of(st.sampled_from(ODD_BYTES), st.binary(max_size=12)))
        kind = draw(st.sampled_from(("over", "in", "out", "twice", "cut")))
        middle = {"over": put, "in": put + content[start:end], "out": b"", "twice": content[start:end] * 2, "cut": b""}[
            kind
        ]
        content = content[:start] + middle + (b"" if kind == "cut" else content[end:])
    return content


@st.composite
def changed_values(draw: st.DrawFn, good: Any) -> Any:
    """One to three values anywhere in a JSON value are replaced, left out, or get a neighbour."""
    whole = [copy.deepcopy(good)]
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(whole))
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        odd = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
        kind = draw(st.sampled_from(("replace", "replace", "remove", "add")))
        if kind == "replace" or holder is whole:
            holder[key] = odd
        elif kind == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from(("x", "version", "", "text")))] = odd
        else:
            holder.insert(key, odd)
    return whole[0]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(pairs):
        yield value, key
        if isinstance(child, dict | list):
            yield from _places(child)


def as_json(good: Any) -> st.SearchStrategy[bytes]:
    """Of a JSON file: changed values or changed bytes."""
    return st.one_of(
        changed_values(good).map(lambda value: json.dumps(value).encode()), changed_bytes(json.dumps(good).encode())
    )


def as_json_lines(good: list[Any]) -> st.SearchStrategy[bytes]:
    lines = changed_values(good).map(
        lambda rows: "\n".join(map(json.dumps, rows if isinstance(rows, list) else [rows])).encode()
    )
    return st.one_of(lines, changed_bytes("\n".join(map(json.dumps, good)).encode()))


# Readers, and good files of them.


def text(**chosen: Any) -> Reader:
    def read(path: Path) -> None:
        for record in read_text(LanguageSettings.model_validate({"paths": [str(path)], **chosen})):
            clean_record(record).encode()

    return read


def labelled(task: Any, **chosen: Any) -> Reader:
    return lambda path: [repr(example).encode("utf-8") for example in read_examples(task, path, **chosen).examples]


def tokenizer(path: Path) -> None:
    loaded = Vocabulary.load(path)
    assert loaded.size < 10**7, "an embedding of terabytes"
    loaded.encode_batch(["a small text, \u00e9\u4e2d", ""])


def record(path: Path) -> None:
    path.rename(path.with_name("record.json"))
    read_record(path.parent)


def task_record(path: Path) -> None:
    found = read_task_record(path)
    assert not {"/", "\\"} & set(found.task), "a name that leads out of its folder"


def metrics(path: Path) -> None:
    path.rename(path.with_name("metrics.jsonl"))
    list(read_metrics(path.parent))


def run_settings(path: Path) -> None:
    path.rename(path.with_name("settings.yaml"))
    read_run_settings(path.parent)


def study(path: Path) -> None:
    repr(load_study(path).model_dump(mode="json")).encode()


def report(path: Path) -> None:
    """A plan, and two records of which one is changed."""
    values = json.loads(path.read_text())
    for number, one in enumerate(values["records"]):
        folder = path.parent / "runs" / f"run{number}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(one), encoding="utf-8")
    (path.parent / "plan.json").write_text(json.dumps(values["plan"]), encoding="utf-8")
    summary_table(path.parent)


def hub(path: Path) -> None:
    """Rows as the library would stream them; their text cannot hold half characters."""
    rows = json.loads(path.read_text())
    sys.modules["datasets"] = module = ModuleType("datasets")
    module.load_dataset = lambda *_, **__: rows  # type: ignore[attr-defined]
    list(read_text(LanguageSettings.model_validate({"paths": ["hf://a/b"]})))


def hub_tags(path: Path) -> None:
    rows = json.loads(path.read_text())
    sys.modules["datasets"] = module = ModuleType("datasets")
    module.load_dataset = lambda *_, **__: rows  # type: ignore[attr-defined]
    read_examples("ner", "hf://a/b")


def parallel(path: Path) -> None:
    other = path.with_name("other.txt")
    other.write_text("one\ntwo\nthree\n", encoding="utf-8")
    read_parallel({"en": path, "sw": other})


PLAIN = "A first line of text.\nHabari ya asubuhi, \u00e9t\u00e9 \u4e2d\u6587.\n\nThe last one.\n".encode()
CONLLU = (
    b"# text = Du vin\n1-2\tDu\t_\t_\t_\t_\t_\t_\t_\t_\n1\tde\tde\tADP\t_\t_\t_\t_\t_\t_\n2\tle\tle\tDET\t_\t_\t_\t_\t_\t_\n"
    b"3\tvin\tvin\tNOUN\t_\t_\t_\t_\t_\tSpaceAfter=No\n\n1\tOui\toui\tINTJ\t_\t_\t_\t_\t_\t_\n\n"
)
DUMP = b"""<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
<siteinfo><sitename>W</sitename><dbname>w</dbname><namespaces><namespace key="0" case="first-letter" /><namespace key="6" case="first-letter">File</namespace></namespaces></siteinfo>
<page><title>One</title><ns>0</ns><id>1</id><revision><id>2</id><timestamp>2020-01-01T00:00:00Z</timestamp><contributor><username>U</username><id>3</id></contributor><model>wikitext</model><format>text/x-wiki</format>
<text xml:space="preserve">'''One''' is [[two|a word]] {{t|a={{b}}}} &lt;ref&gt;x&lt;/ref&gt; (, ).
{| class="wikitable"
| cell
|}
* an item [http://x y] &amp;nbsp; [[File:a.png|thumb|b [[c]]]]</text><sha1>x</sha1></revision></page></mediawiki>"""
COLUMNS = b"The\tO\nfox\tB-PER\nruns\tI-PER\n\nOver\tO\nParis\tB-LOC\n\n"
SQUAD = {"data": [{"title": "t", "paragraphs": [{"context": "A fox runs.", "qas": [{"id": "1", "question": "Who?", "answers": [{"text": "fox", "answer_start": 2}]}]}]}]}  # fmt: skip
PAIRS = b"premise\thypothesis\tlabel\tlanguage\nA fox.\tAn animal.\tentailment\ten\nA fox.\tA cat.\tcontradiction\ten\n"
STUDY = {
    "name": "s",
    "preset": "tiny",
    "languages": {"en": {"paths": ["a.txt"]}, "sw": {"constructed": {"sentences": 10}}},
    "mixtures": ["mono", ["en", "sw"]],
    "treatments": ["none", "meta-adapter"],
    "variants": {"v": {"treatment": "adapter", "adapter": {"width": 4}}},
    "seeds": [1, 2],
    "splits": {"meta": 0.1},
    "training": {"steps": 10, "betas": [0.9, 0.98]},
    "tasks": {"ner": {"data": {"en": {"train": "t.tsv", "test": ["u.tsv"]}}, "tags": {"A": "B"}, "batch_sizes": [4]}},
}
RECORD = {
    "version": 1,
    "name": "en_none_seed1",
    "fingerprint": "0",
    "status": "success",
    "mixture": ["en"],
    "treatment": "none",
    "seed": 1,
    "settings": {"training": {"steps": 3}},
    "steps": 3,
    "languages": {
        "en": {
            "test": {"loss": 4.2, "perplexity": 66.7, "bits_per_character": 2.1, "targets": 9},
            "validation": {"loss": 4.2, "perplexity": 66.7, "bits_per_character": 2.1, "targets": 9},
            "baseline": {"unigram": 5.0, "bigram": 4.5},
            "early_loss": 5.0,
            "blocks_seen": 4,
            "epochs": 0.5,
            "data": "x",
        }
    },
    "parameters": {"shared": 10, "specific": 0},
    "vocabulary": "v",
    "finished": "2026-01-01T00:00:00+00:00",
    "machine": {"cpu": "x"},
}
PLAN = {"runs": [{"name": "en_none_seed1", "mixture": ["en"], "treatment": "none", "variant": "", "seed": s, "folder": f"run{s}"} for s in (0, 1)]}  # fmt: skip
TASK_RECORD = {
    "version": 1,
    "task": "ner",
    "kind": "ner",
    "source": "en",
    "seed": 1,
    "fingerprint": "0",
    "model": "m",
    "settings": {},
    "labels": ["O"],
    "examples": {"en": {"train": 1}},
    "epochs": [
        {"trial": 1, "epoch": 1, "batch_size": 4, "learning_rate": 0.1, "head_learning_rate": 0.1, "loss": 1.0, "validation": {"en": 1.0}}
    ],
    "scores": [
        {"language": "en", "setting": "within", "metric": "f1", "value": 1.0, "low": None, "high": None, "examples": 1, "trial": 1, "epoch": 1, "predictions": "p"}
    ],
    "seconds": 1.0,
    "finished": "x",
}  # fmt: skip
METRICS = [{"kind": "train", "step": 1, "loss": {"en": 5.0}}, {"kind": "train", "step": 2, "loss": {"en": 4.0}}]
ROWS = [{"text": "one", "id": 1}, {"text": "two", "id": 2}]
TAGGED_ROWS = [{"tokens": ["A", "fox"], "ner_tags": ["O", "B-PER"]}]


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": ["one", None, "three " * 20], "id": [1, 2, 3]}), sink)
    return sink.getvalue().to_pybytes()


def readers() -> dict[str, tuple[str, Reader, st.SearchStrategy[bytes]]]:
    """Name -> name of the file, reader, what it is given."""
    words = json.loads(
        Vocabulary.of(_learn(["a small text of some words"] * 3, 270), "", dict(SPECIAL_TOKENS)).tokenizer.to_str()
    )
    # Fewer entries, so that changes reach the rest.
    words["model"]["vocab"] = dict(list(words["model"]["vocab"].items())[:12])
    words["model"]["merges"] = []
    lines = "".join(map(sealed_line, METRICS)).encode()
    return {
        "plain text": ("a.txt", text(), changed_bytes(PLAIN)),
        "plain text, replacing": ("a.txt", text(errors="replace"), changed_bytes(PLAIN)),
        "gzip": ("a.txt.gz", text(), changed_bytes(gzip.compress(PLAIN * 9, mtime=0))),
        "bzip2": ("a.txt.bz2", text(), changed_bytes(bz2.compress(PLAIN * 9))),
        "xz": ("a.txt.xz", text(), changed_bytes(lzma.compress(PLAIN * 9))),
        "zstandard": ("a.txt.zst", text(), changed_bytes(zstandard.compress(PLAIN * 9))),
        "jsonl": ("a.jsonl", text(), as_json_lines(ROWS)),
        "parquet": ("a.parquet", text(), changed_bytes(parquet())),
        "parquet.gz": ("a.parquet.gz", text(), changed_bytes(parquet()).map(gzip.compress)),
        "conllu": ("a.conllu", text(), changed_bytes(CONLLU)),
        "wikipedia": ("a.xml", text(), changed_bytes(DUMP)),
        "hub": ("a.json", hub, changed_values(ROWS).filter(lambda v: isinstance(v, list) and all(isinstance(r, dict) for r in v)).map(_json)),
        "parallel": ("a.txt", parallel, changed_bytes(b"eins\nzwei\ndrei\n")),
        "ner columns": ("a.tsv", labelled("ner"), changed_bytes(COLUMNS)),
        "pos conllu": ("a.conllu", labelled("pos"), changed_bytes(CONLLU)),
        "squad": ("a.json", labelled("qa"), as_json(SQUAD)),
        "pairs": ("a.tsv", labelled("nli", language="en"), changed_bytes(PAIRS)),
        "pairs as jsonl": ("a.jsonl", labelled("nli"), as_json_lines([{"premise": "A", "hypothesis": "B", "label": 1}])),
        "tags on the hub": ("a.json", hub_tags, changed_values(TAGGED_ROWS).filter(lambda v: isinstance(v, list) and all(isinstance(r, dict) for r in v)).map(_json)),
        "tokenizer": ("tokenizer.json", tokenizer, as_json(words)),
        "study": ("study.yaml", study, as_json(STUDY)),
        "tasks file": ("tasks.yaml", load_tasks, as_json(STUDY)),
        "run settings": ("x.yaml", run_settings, as_json(json.loads(RunSettings(mixture=("en",)).model_dump_json()))),
        "record": ("x.json", record, as_json(RECORD)),
        "task record": ("x.json", task_record, as_json(TASK_RECORD)),
        "metrics": ("x.jsonl", metrics, st.one_of(changed_bytes(lines), as_json_lines(METRICS))),
        "plan and records": ("x.json", report, changed_values({"records": [RECORD, {**RECORD, "seed": 0}], "plan": PLAN}).filter(lambda v: isinstance(v, dict) and isinstance(v.get("records"), list) and "plan" in v).map(_json)),
    }  # fmt: skip


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def cases_of(name: str, reader: tuple[str, Reader, st.SearchStrategy[bytes]], number: int, found: "Found") -> Any:
    """Does some cases of one reader when called."""
    file, read, contents = reader

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(contents)
    def case(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / file
            path.write_bytes(content)
            found.add(name, content, path, read)

    return case


class Found:
    """Cases so far, and those that ended in neither way."""

    def __init__(self) -> None:
        self.ends: dict[str, Counter[str]] = {}
        self.failures: dict[str, dict[str, str]] = {}

    def add(self, name: str, content: bytes, path: Path, read: Reader) -> None:
        ends = self.ends.setdefault(name, Counter())
        try:
            with limited():
                read(path)
            ends["read"] += 1
        except DetenteError:
            ends["refused"] += 1
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of a Rust library is no Exception
            ends["failed"] += 1
            self._keep(name, error, content)

    def _keep(self, name: str, error: BaseException, content: bytes) -> None:
        """The shortest content of each kind of failure."""
        places = [
            f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-3:]
        ]
        key = f"{name}: {type(error).__name__}: {str(error)[:120]} at {' < '.join(reversed(places))}"
        known = self.failures.get(key)
        if known is None:
            print(key, repr(content[:300]), flush=True)
        if known is None or len(content) < len(known["content"]):
            self.failures[key] = {"content": repr(content[:400])}


def limit_memory() -> None:
    """To what is taken now and `MEMORY` more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of processor time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="name of one reader")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    known = {name: parts for name, parts in readers().items() if chosen.only in (None, name)}
    limit_memory()
    found, begun = Found(), time.process_time()
    for number in count(chosen.seed):
        for name, reader in known.items():
            cases_of(name, reader, number, found)()
        if time.process_time() - begun > 60 * chosen.minutes:
            break
    values = {
        "date": datetime.now(UTC).date().isoformat(),
        "seed": chosen.seed,
        "rounds": number - chosen.seed + 1,
        "cpu_seconds": round(time.process_time() - begun),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "limits": {"seconds": SECONDS, "memory_mb": MEMORY >> 20},
        "cases": sum(ends.total() for ends in found.ends.values()),
        "readers": {name: dict(sorted(ends.items())) for name, ends in found.ends.items()},
        "failures": sorted(found.failures),
    }
    print(json.dumps(values, indent=1))
    if chosen.out:
        chosen.out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main()
