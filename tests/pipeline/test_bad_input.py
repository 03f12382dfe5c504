"""Everything that can be wrong with what a user brings, in one table: a broken input, what is called, and the one line that is said.

Never a traceback, and nothing half written is left. Settings have a table of their own below, since one study file is wrong in each.
"""

import bz2
import gzip
import json
import lzma
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
import zstandard

from detente.corpus import decompress, lines
from detente.corpus.parallel import read_parallel
from detente.errors import DataError, DetenteError
from detente.lock import locked
from detente.manifests import MANIFEST_FILE
from detente.pretrain.checkpoint import CHECKSUMS, OPTIMIZER, STATE, WEIGHTS
from detente.pretrain.checkpoint import _checksum as checksum
from detente.results import read_metrics, read_record
from detente.seal import sealed
from detente.settings import study_from_mapping
from detente.study import run_study
from detente.task_results import read_task_record
from detente.tasks import text as labelled_text
from detente.tasks.read import read_examples
from detente.vocabulary import Vocabulary

Run = Callable[..., tuple[int, str, str]]
IS_ROOT = os.geteuid() == 0

TEXT = b"".join(b"Sentence number %d is about nothing in particular.\n" % number for number in range(300))
DUMP = b'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="te">%s</mediawiki>'
LAUGHS = b'<!DOCTYPE m [<!ENTITY a "ha">%s]><mediawiki>&z;</mediawiki>' % b"".join(
    b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 50) for n in range(25)
)
ROW = b"1\tle\tle\tDET\t_\t_\t_\t_\t_\t_\n"


def parquet(**columns: list[Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


class Corpus(NamedTuple):
    """A file of running text that cannot be used."""

    name: str
    content: bytes | Callable[[Path], object] | None
    """Of the file; or what makes it; None for no file."""
    words: str


LATIN = TEXT + "l'été\n".encode("latin-1")
PACKED = {".gz": gzip.compress(TEXT), ".bz2": bz2.compress(TEXT), ".xz": lzma.compress(TEXT), ".zst": zstandard.compress(TEXT)}  # fmt: skip
CORPORA = [
    Corpus("none.txt", None, "there is no file .*none.txt. Correct `paths`"),
    Corpus("folder/none.txt", None, r"Its folder .* is missing too"),
    Corpus("text.txt", b"", "text.txt is empty"),
    Corpus("latin.txt", LATIN, r"line 301: byte \d+ \(0xe9\) is not UTF-8"),
    Corpus("utf16.txt", TEXT.decode().encode("utf-16"), "It looks like UTF-16: save it as UTF-8"),
    Corpus("binary.txt", bytes(range(256)) * 9, "line 2: byte 128 .* is not UTF-8"),
    Corpus("late.txt", TEXT + b"\xe4\xb8", "is not UTF-8"),
    Corpus("nul.txt", b"\0" * 500 + b"\n\0\n", "no text is left of 2 records"),
    Corpus("blank.txt", b"\n\n   \n", "no text is left"),
    Corpus("line.txt", b"one line only\n", r"none of its 1 records fell into \w+"),
    Corpus("same.txt", b"the same again\n" * 500, r"none of its 1 records fell into \w+"),
    *(Corpus("packed.txt", content, f"It looks like .*: name it {suffix}") for suffix, content in PACKED.items()),
    Corpus("zip.txt", b"PK\x03\x04\xff", "It looks like a zip archive: unpack it"),
    Corpus("pdf.txt", b"%PDF-1.7\n\xff", "It looks like a PDF: extract its text"),
    *(Corpus(f"cut.txt{suffix}", content[:-9], "is truncated") for suffix, content in PACKED.items()),
    *(Corpus(f"plain.txt{suffix}", TEXT, r"is not sound \w+ data") for suffix in PACKED),
    *(Corpus(f"empty.txt{suffix}", b"", "is empty") for suffix in PACKED),
    Corpus("bytes.parquet", TEXT, "is not sound Parquet"),
    Corpus("cut.parquet", parquet(text=["a", "b"])[:-30], "is not sound Parquet"),
    Corpus("other.parquet", parquet(texts=["a"]), "there is no field `text`.* Did you mean `texts`"),
    Corpus("number.parquet", parquet(text=[1]), "column `text` must hold text, found int64"),
    Corpus("field.jsonl", b'{"content": "a"}\n', "line 1: there is no field `text`; the fields are `content`"),
    Corpus("broken.jsonl", b'{"text": "a"}\n{"text": \n', "line 2: not valid JSON"),
    Corpus("list.jsonl", b'["a"]\n', "line 1: must be an object"),
    Corpus("number.jsonl", b'{"text": 3}\n', "`text` must hold text, found int"),
    Corpus("deep.jsonl", b"[" * 100_000, "not readable as JSON"),
    Corpus("long.jsonl.zst", zstandard.compress(b'"' + b"x" * (1 << 22)), "longer than 1,048,576"),
    Corpus("nine.conllu", ROW.replace(b"\t_\n", b"\n"), "a CoNLL-U word has 10 columns"),
    Corpus("huge.conllu", b"9" * 5000 + ROW, "a CoNLL-U word has 10 columns parted by tabs, a number first"),
    Corpus("page.xml", b"<html></html>", "its root is <html>, not <mediawiki>"),
    Corpus("cut.xml", DUMP[:60], "is not a sound MediaWiki dump"),
    Corpus("none.xml", DUMP % b"<siteinfo></siteinfo>", "no text is left of 0 records"),
    Corpus("id.xml", DUMP % b"<siteinfo></siteinfo><page><title>T</title><id>x</id></page>", "is not a sound MediaWiki"),
    Corpus("tag.xml", DUMP % b"<siteinfo><namespaces><x/></namespaces></siteinfo>", "is not a sound MediaWiki dump"),
    Corpus("laughs.xml", LAUGHS, "is not a sound MediaWiki dump"),
    Corpus("text.doc", TEXT, "does not tell its format"),
    Corpus("folder.txt", Path.mkdir, "is a folder. Name its files in `paths`"),
    Corpus("loop.txt", lambda path: path.symlink_to(path), "leads to no file|there is no file"),
    Corpus("gone.txt", lambda path: path.symlink_to("nowhere"), "there is no file"),
    Corpus("pipe.txt", os.mkfifo, "is not a regular file"),
    Corpus("*.none", None, r"no file matches .*\*.none"),
    Corpus("n" * 300, None, "could not be looked up: File name too long|leads to no file"),
    Corpus("nul\0.txt", None, "leads to no file .*null byte"),
    Corpus("~nobody-of-that-name/text.txt", None, "leads to no file"),
    Corpus("../../../nowhere/text.txt", None, "there is no file"),
    Corpus("text.txt/text.txt", None, "there is no file"),
]  # fmt: skip
if not IS_ROOT:
    CORPORA.append(Corpus("secret.txt", lambda path: path.touch(0o000), "could not be read: Permission denied"))


def study_file(folder: Path, values: Any) -> Path:
    path = folder / "study.yaml"
    text = values if isinstance(values, bytes) else yaml.safe_dump(values, sort_keys=False).encode()
    path.write_bytes(text)
    return path


def refused(detente: Run, words: str, *arguments: str | Path, lines: int | None = 1) -> None:
    """Exit code 2, and one line with the words."""
    code, output, errors = detente(*arguments)
    assert (code, re.search(words, errors) is not None) == (2, True), errors or output
    assert "Traceback" not in errors + output
    assert lines is None or len(errors.strip().splitlines()) == lines, errors
    assert errors.startswith("detente: ")


def assert_nothing_half_written(folder: Path) -> None:
    """Files on the way to their name begin with a point."""
    left = [path.name for path in folder.rglob(".*") if path.name != ".lock"]
    assert left == []
    assert not list(folder.glob(f"data/corpus/*/{MANIFEST_FILE}"))


@pytest.mark.parametrize("case", CORPORA, ids=[f"{case.name[:30]!r}: {case.words[:40]}" for case in CORPORA])
def test_corpora(
    case: Corpus, detente: Run, study_values: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long a line as is refused would take seconds.
    monkeypatch.setattr(lines, "_MAX_LINE_CHARACTERS", 1 << 20)
    path = tmp_path / case.name
    if isinstance(case.content, bytes):
        path.write_bytes(case.content)
    elif case.content is not None:
        case.content(path)
    languages = {"te": {"paths": case.name}}
    study = study_file(tmp_path, study_values(languages=languages, mixtures=["mono"], treatments=["none"]))
    refused(detente, case.words, "prepare", study, "--folder", tmp_path / "out")
    assert_nothing_half_written(tmp_path / "out")


@pytest.mark.parametrize("suffix", PACKED)
def test_a_bomb_is_refused_while_it_is_read(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a smaller allowance than people have; none of the bomb is written."""
    monkeypatch.setattr(decompress, "_ALWAYS_ALLOWED_BYTES", 1 << 20)
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}[suffix]
    (tmp_path / f"bomb.txt{suffix}").write_bytes(pack(bytes(1 << 24)))
    with pytest.raises(DataError, match="grows more than 250-fold when it is decompressed"):
        read_parallel({"en": tmp_path / f"bomb.txt{suffix}", "te": tmp_path / f"bomb.txt{suffix}"})


def test_a_labelled_file_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_text, "MOST_BYTES", 1 << 20)
    (tmp_path / "bomb.tsv.gz").write_bytes(gzip.compress(bytes(1 << 22)))
    with pytest.raises(DataError, match=r"labelled files are read whole. Part it in several"):
        read_examples("ner", tmp_path / "bomb.tsv.gz")


BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))])
MERGED = "\n".join(
    ["a0: &a0 {k: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12))]
)
TEXTS = [
    ("", "must hold settings as `name: value` lines, found NoneType"),
    ("languages: [", "is not valid YAML"),
    ("- 1", "must hold settings as `name: value` lines, found list"),
    ("3", "found int"),
    ("a: b: c", "is not valid YAML: mapping values are not allowed here"),
    ("a:\n\tb: 1", "is not valid YAML"),
    ("name: !!python/object/apply:os.mkdir [made]", "could not determine a constructor for the tag .*python"),
    ("name: !!python/name:os.system", "could not determine a constructor"),
    ("name: !mine x", "could not determine a constructor for the tag '!mine'"),
    (BOMB, "it holds more than 100,000 values, aliases written out"),
    (MERGED, "it holds more than 100,000 values, aliases written out"),
    ("languages: &a {te: *a}", "it holds more than 100,000 values"),
    ("name: *nowhere", "found undefined alias"),
    ("name: 2026-13-45", "is not valid YAML: month must be in 1..12"),
    ("name: !!int ''", "is not valid YAML"),
    ("name: !!timestamp x", "is not valid YAML"),
    ("? [1]\n: 2", "found unhashable key"),
    ("name: " + "x" * (1 << 20), "it has more than 1,048,576 characters"),
    ("- " * 3000, "is not valid YAML: RecursionError"),
    ('name: "\\ud800"', "surrogates not allowed"),
    ("name: a\x07b", "special characters are not allowed"),
    ("1: 2", "`1`"),
    (LATIN.decode("latin-1").encode("latin-1"), r"is not UTF-8 \(byte"),
]


@pytest.mark.parametrize(("text", "words"), TEXTS, ids=[f"{text[:30]!r}" for text, _ in TEXTS])
def test_study_files(
    text: str | bytes, words: str, detente: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = text if isinstance(text, bytes) else text.encode()
    refused(detente, words, "study", study_file(tmp_path, content), lines=None)
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


@pytest.mark.parametrize(
    ("path", "words"), [("none.yaml", "there is no study file"), (".", "is a folder; give the study file in it")]
)
def test_no_study_file(path: str, words: str, detente: Run, tmp_path: Path) -> None:
    refused(detente, words, "check", tmp_path / path)


@pytest.mark.parametrize("value", ["[", "2026-13-45", "!!python/name:os.system", "&a [*a]", '"\\ud800"'])
def test_settings_on_the_command_line(value: str, detente: Run, study_values: Callable, tmp_path: Path) -> None:
    study = study_file(tmp_path, study_values())
    refused(detente, "the value is not valid YAML", "study", study, "--set", f"training.steps={value}")


BAD_STUDIES: list[tuple[dict[str, Any], str]] = [
    ({"preset": "huge"}, "`preset`: it should be 'tiny', 'mini' or 'paper', found 'huge'"),
    ({"trainings": {}}, "`trainings` is not a setting. Did you mean `training`?"),
    ({"training": {"stpes": 3}}, "`training.stpes` is not a setting. Did you mean `training.steps`?"),
    ({"steps": 3}, "`steps` is not a setting. Did you mean `training.steps`?"),
    ({"training": {"steps": 0}}, "`training.steps`: it should be greater than 0, found 0"),
    ({"training": {"learning_rate": float("nan")}}, "`training.learning_rate`: it should be a finite number"),
    ({"mixtures": ["monno"]}, "`mixtures`: `monno` is none of mono, pairs, joint. Did you mean `mono`?"),
    ({"mixtures": [["te", "enn"]]}, "`mixtures`: `enn` is not among `languages`. Did you mean `en`?"),
    ({"mixtures": [["te", "te"]]}, "must name one or more different languages"),
    ({"treatments": ["adaptor"]}, "`treatments.0`: it should be 'none', 'ffn'"),
    ({"languages": {"zz": {"paths": "x"}}}, "`languages.zz`: `zz` is not a language code we know"),
    ({"languages": {"te": {}}}, "`languages.te`: give either `paths` (text files) or `constructed`"),
    ({"languages": {"../te": {"code": "te", "paths": "x"}}}, "a label has ASCII letters"),
    ({"languages": {}}, "`languages`"),
    ({"encoder": {"width": 30, "heads": 4}}, "`encoder`: `width` 30 is not a multiple of `heads` 4"),
    ({"splits": {"test": 0.4, "validation": 0.4, "meta": 0.3}}, "leave at least a tenth for training"),
    ({"splits": {"meta": 0}}, "`splits.meta` is 0, but the `meta-adapter` treatment needs held-out text"),
    (
        {"budget": "examples", "batches": {"temperature": 2}},
        "`batches.temperature` has no effect with `budget: examples`",
    ),
    ({"name": "../x"}, "`name`"),
    ({"vocabulary": {"size": 100_000}}, "`vocabulary.size`"),
    ({"batches": {"block_length": 4000}}, "batches.block_length"),
    ({"seeds": [1, 1]}, "`seeds`: [1, 1] names one twice"),
    ({"treatments": ["none", "none"]}, "`treatments`: ['none', 'none'] names one twice"),
    ({"mixtures": []}, "`mixtures`"),
    ({"training": {"steps": 5, "warmup_steps": 5}}, "the rate would never leave its warm-up, found 5 of 5 steps"),
    (
        {"training": {"checkpoint_every": 5, "keep_every": 12}},
        "`keep_every` 12 is not a multiple of `checkpoint_every` 5",
    ),
    ({"training": {"betas": [1.5, 0.9]}}, "`training.betas.0`: it should be less than 1, found 1.5"),
    ({"vocabulary": {"size": 400, "path": "x"}}, "`vocabulary.size` has no effect with `vocabulary.path`"),
    ({"tasks": {"../x": {"task": "ner"}}}, "a task's name has ASCII letters"),
    ({"tasks": {"nre": {}}}, "`tasks.nre`: say what it asks, `task:` one of ner, pos, qa, nli. Did you mean `ner`?"),
    ({"tasks": {"ner": {"data": {"fr": {"train": "x"}}}}}, "`tasks.ner.data.fr`: `fr` is not among `languages`"),
    ({"variants": {"../x": {"treatment": "adapter"}}}, "a variant has a name of its own"),
    ({"variants": {"v": {"treatment": "adapter", "adapter": {"wdth": 3}}}}, "`adapter.wdth` is not a setting"),
    ({"training": None}, "`training`"),
    ({"languages": {"te": {"paths": [3]}}}, "`languages.te.paths.0`: it should be a valid string, found 3"),
    (
        {"languages": {"te": {"paths": "hf://owner"}, "en": {"paths": "hf://owner"}}},
        "hf://owner: write hf://owner/dataset",
    ),
    (
        {"training": {"device": "cuda", "steps": 9, "warmup_steps": 0}},
        "`training.device` is cuda, but torch finds no GPU",
    ),
]


@pytest.mark.parametrize(("changes", "words"), BAD_STUDIES, ids=[words[:40] for _, words in BAD_STUDIES])
def test_settings(changes: dict, words: str, detente: Run, study_values: Callable, tmp_path: Path) -> None:
    if changes.get("training") and changes["training"].get("device") == "cuda":
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
    study = study_file(tmp_path, study_values(**changes))
    code, output, errors = detente("study", study, "--folder", tmp_path / "out")
    assert words in errors + output
    assert code == (1 if "cuda" in words else 2)
    assert "Traceback" not in errors + output


def test_all_problems_are_told_at_once(detente: Run, study_values: Callable, tmp_path: Path) -> None:
    study = study_file(tmp_path, study_values(trainings={}, seed=[1], preset="tiny", budget="time"))
    refused(detente, "trainings", "study", study, lines=3)


def squad(*answers: dict[str, Any] | None, context: Any = "A fox runs from a dog to a dog.", **row: Any) -> bytes:
    row = {"id": "1", "question": "Who?", "answers": list(answers), **row}
    return json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [row]}]}]}).encode()


PAIR = b"A fox.\tAn animal.\tentailment\n"
NAMED = b"premise\thypothesis\tlabel\tlanguage\nA\tB\tneutral\ten\nA\tB\tneutral\tsw\n"
LABELLED: list[tuple[str, bytes, dict[str, Any], str]] = [
    ("ner", b"", {}, "is empty"),
    ("ner", b"\n\n\n", {}, "holds no sentences"),
    ("ner", b"The\tO\nfox\tx\tB-PER\n", {}, "line 2: expected 2 columns as in the first line"),
    ("ner", b"The\tO\nfox\t\n", {}, r"line 2: .*found 'fox"),
    ("ner", b"The\nfox\n\n", {}, "has no labels"),
    ("ner", b"The O\nfox B-PER x y\na b c d e\nf g h i j\nk l m n o\n", {}, "Part the columns by tabs"),
    ("ner", b"The\tO\nfox\tPERSON\n", {}, "PERSON"),
    ("ner", b"The\tDET\nfox\tNOUN\n", {}, "parts of speech"),
    ("ner", b"The\tO\nfox\tI-PER\nA\tO\ndog\tB-PER\n", {"strict": True}, "`I-PER` after `O` is not valid IOB2"),
    ("ner", b"The\tO\nfox\tB-PER\n", {"tags": {"PER": "B-X"}}, "an entity type is mapped to a type"),
    ("ner", ROW + b"\n", {}, "is CoNLL-U, which has no entities"),
    ("ner", "fox\tB-PER\n".encode("utf-16"), {}, "is not UTF-8"),
    ("pos", b"The\tDET\nfox\tNUON\n", {}, "NUON"),
    ("pos", b"The\tO\nfox\tB-PER\n", {}, "named entities"),
    ("pos", ROW.replace(b"DET", b"DTE") + b"\n", {}, "DTE"),
    ("pos", ROW.replace(b"DET", b"_") + b"\n", {}, "has no labels"),
    ("pos", ROW + ROW.replace(b"\t_\n", b"\n"), {}, "line 2: a row of CoNLL-U has 10 columns"),
    ("pos", ROW + b"9" * 5000 + ROW, {}, "line 2: a row of CoNLL-U"),
    ("pos", ROW + ROW.replace(b"DET", b"_") + b"\n" + ROW, {"strict": True}, "have words tagged `_`"),
    ("qa", b"{", {}, "line 1: not valid JSON"),
    ("qa", b"[" * 100_000, {}, "not readable as JSON"),
    ("qa", b'{"a": 1}', {}, "is not the JSON of SQuAD"),
    ("qa", b"3", {}, "is not the JSON of SQuAD"),
    ("qa", b"[]", {}, "holds no questions"),
    ("qa", squad(), {}, "has no labels"),
    ("qa", squad({"text": "cat", "answer_start": 2}), {}, "No question is left"),
    ("qa", squad({"text": "dog", "answer_start": 3}), {}, "No question is left"),
    ("qa", squad({"text": "fox", "answer_start": 3}), {"strict": True}, "Leave `strict` out"),
    ("qa", squad({"text": "fox", "answer_start": "2"}), {}, "an answer is text and a number of characters"),
    ("qa", squad({"text": "fox"}), {}, "an answer has `text` and `answer_start`"),
    ("qa", squad(None), {}, "an answer has `text` and `answer_start`"),
    ("qa", squad(context=3), {}, "`context` must hold text, found 3"),
    ("qa", squad({"text": "fox", "answer_start": 2}, question=None), {}, "`question` must hold text, found None"),
    ("qa", squad({"text": "\ud800", "answer_start": 0}), {}, "surrogates not allowed"),
    ("nli", b"A fox.\tAn animal.\n", {}, "has no labels"),
    ("nli", PAIR + b"A fox.\n", {}, "line 2: expected 3 columns parted by tabs, found 1"),
    ("nli", PAIR.replace(b"entail", b"entitle"), {}, "found 'entitlement'. Did you mean `entailment`"),
    ("nli", b"premise\thypothesis\tverdict\nA\tB\tx\n", {}, "there is no `gold_label` or `label`"),
    ("nli", NAMED, {}, "holds the languages en, sw, and which one is meant is not said"),
    ("nli", NAMED, {"language": "te"}, "has no pairs in `te`, only in en, sw"),
    ("nli", b"\tAn animal.\tentailment\n", {}, "each labelled pair lacks a sentence"),
    ("nli", b'{"premise": "A", "hypothesis": ["B"], "label": 1}\n', {}, "`hypothesis` must hold text, found list"),
    ("nli", b'{"premise": "A"\n', {}, "line 1: not readable as JSON"),
    ("nli", b"premise\thypothesis\tlabel\n", {}, "holds no pairs"),
]


@pytest.mark.parametrize(
    ("task", "content", "options", "words"), LABELLED, ids=[f"{case[0]} {case[3][:40]}" for case in LABELLED]
)
def test_labelled_files(task: Any, content: bytes, options: dict, words: str, tmp_path: Path) -> None:
    path = tmp_path / "labelled"
    path.write_bytes(content)
    with pytest.raises(DetenteError, match=words) as said:
        read_examples(task, path, **options)
    assert "\n" not in str(said.value)
    assert len(str(said.value)) < 600 + len(str(path))


# What a finished study is made of, and what can become of it.


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, study_values: Callable) -> Path:
    """A study of two short runs, which is copied and then broken; beside it its study file."""
    folder = tmp_path_factory.mktemp("good")
    values = study_values(
        treatments=["none", "adapter"],
        mixtures=["joint"],
        training={"steps": 4, "warmup_steps": 1, "checkpoint_every": 2, "validate_every": 4, "keep_checkpoints": 2},
    )
    study_file(folder, values)
    assert all(outcome.record for outcome in run_study(study_from_mapping(values), folder / "study"))
    return folder


@pytest.fixture
def copied(good: Path, tmp_path: Path) -> Path:
    """Of `good`."""
    return Path(shutil.copytree(good, tmp_path / "copied"))


def run_of(folder: Path, system: str = "none") -> Path:
    return next((folder / "study").glob(f"runs/te+en_{system}_seed1-*"))


def change_vocabulary(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A ready tokenizer made from the study's."""
    path = folder / "study" / "data" / "shared" / "tokenizer.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    goal = folder / "tokenizer.json"
    goal.write_text(json.dumps(values), encoding="utf-8")
    return goal


def without_mask(values: dict[str, Any]) -> None:
    """By another name that nobody would look for."""
    values["added_tokens"] = [token for token in values["added_tokens"] if token["content"] != "<mask>"]
    values["model"]["vocab"]["<msk>"] = values["model"]["vocab"].pop("<mask>")


def with_a_gap(values: dict[str, Any]) -> None:
    values["model"]["vocab"]["far"] = 4_000_000_000


def without_unknown(values: dict[str, Any]) -> None:
    """A byte is missing, and so is the token that would stand for it."""
    del values["model"]["vocab"]["ð"]
    values["model"] |= {"unk_token": "<nowhere>", "merges": []}


TOKENIZERS: list[tuple[str, Callable[[Path], Path], str]] = [
    ("missing", lambda folder: folder / "none.json", "there is no tokenizer"),
    ("outside", lambda folder: folder / "../../nowhere", "there is no tokenizer"),
    ("a folder without one", lambda folder: folder / "study" / "runs", "there is no tokenizer.json in"),
    ("not JSON", lambda folder: folder / "study.yaml", "is no tokenizer of the Hugging Face format"),
    ("other JSON", lambda folder: folder / "study" / "plan.json", "is no tokenizer of the Hugging Face format"),
    ("bytes", lambda folder: folder / "study" / "data" / "shared" / "store" / "te" / "train.bin", "is no tokenizer"),
    ("no mask token", lambda folder: change_vocabulary(folder, without_mask), "has no mask token"),
    ("an id far off", lambda folder: change_vocabulary(folder, with_a_gap), "is damaged: it has .* but ids up to 4,0"),
    ("no unknown", lambda folder: change_vocabulary(folder, without_unknown), "cannot encode every text .*<nowhere>"),
    ("no model", lambda folder: change_vocabulary(folder, lambda v: v.pop("model")), "is no tokenizer"),
    ("no vocabulary", lambda folder: change_vocabulary(folder, lambda v: v["model"]["vocab"].clear()), "tokenizer"),
]


@pytest.mark.parametrize(("make", "words"), [case[1:] for case in TOKENIZERS], ids=[case[0] for case in TOKENIZERS])
def test_tokenizers(make: Callable[[Path], Path], words: str, copied: Path) -> None:
    with pytest.raises(DetenteError, match=words) as said:
        Vocabulary.load(make(copied))
    assert "\n" not in str(said.value)


def test_a_tokenizer_by_its_path(detente: Run, study_values: Callable, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    study = study_file(tmp_path, study_values(vocabulary={"path": "."}))
    refused(detente, "is no tokenizer of the Hugging Face format", "prepare", study, "--folder", tmp_path / "out")
    assert not (tmp_path / "out" / "data" / "shared").exists()


def damage_all(run: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    for path in run.glob(f"checkpoints/step-*/{name}"):
        path.write_bytes(change(path.read_bytes()))


def resave(run: Path, name: str, content: bytes) -> None:
    """As if another program had written it, with its checksum."""
    for folder in run.glob("checkpoints/step-*"):
        (folder / name).write_bytes(content)
        sums = json.loads((folder / CHECKSUMS).read_text()) | {name: checksum(content)}
        (folder / CHECKSUMS).write_text(json.dumps(sums))


def take(run: Path, other: Path, name: str) -> None:
    resave(run, name, next(other.glob(f"checkpoints/step-*/{name}")).read_bytes())


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def edit(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert before != after
    path.write_text(after, encoding="utf-8")


RUNS: list[tuple[str, Callable[[Path], object], str]] = [
    ("no checkpoints", lambda run: shutil.rmtree(run / "checkpoints"), "there is no undamaged checkpoint"),
    *((f"cut {name}", lambda run, name=name: damage_all(run, name, lambda c: c[:-9]), "there is no undamaged checkpoint") for name in (WEIGHTS, OPTIMIZER, STATE, CHECKSUMS)),
    *((f"flipped {name}", lambda run, name=name: damage_all(run, name, flip), "there is no undamaged checkpoint") for name in (WEIGHTS, OPTIMIZER, STATE)),
    ("checksums of another kind", lambda run: damage_all(run, CHECKSUMS, lambda _: b"[]"), "there is no undamaged checkpoint"),
    ("another run's state", lambda run: take(run, run_of(run.parents[2], "adapter"), STATE), "is not what the run was trained on"),
    ("another run's weights", lambda run: take(run, run_of(run.parents[2], "adapter"), WEIGHTS), "is of another model"),
    ("an older state", lambda run: resave(run, STATE, b'{"step": 4}'), "is not what the run was trained on"),
    ("weights that are none", lambda run: resave(run, WEIGHTS, b"x" * 99), "cannot be read"),
    ("no settings", lambda run: (run / "settings.yaml").unlink(), "is no run: it has no settings.yaml"),
    ("settings with a tag", lambda run: (run / "settings.yaml").write_text("!!python/name:os.system"), "could not determine a constructor"),
    ("settings of another version", lambda run: edit(run / "settings.yaml", lambda t: t + "newer: 1\n"), "does not hold the settings of a run of this version"),
    ("other settings", lambda run: edit(run / "settings.yaml", lambda t: t.replace("seed: 1", "seed: 2")), "is not what the run was trained on"),
    ("settings in Latin-1", lambda run: (run / "settings.yaml").write_bytes(LATIN), "does not hold the settings"),
    ("no data", lambda run: shutil.rmtree(run.parents[1] / "data"), "the data of the run is missing"),
    ("a count flipped", lambda run: damage_file(run, "store/en/manifest.json", lambda c: c.replace(b'"records": ', b'"records": 1')), "manifest.json is damaged"),
    ("no store", lambda run: shutil.rmtree(run.parents[1] / "data" / "shared" / "store" / "en"), "there is no finished token store of `en`"),
    ("another tokenizer", lambda run: damage_file(run, "tokenizer.json", lambda c: c.replace(b'"ignore_merges": false', b'"ignore_merges": true')), "was written with vocabulary"),
    ("another mask", lambda run: damage_file(run, "special_tokens_map.json", lambda c: c.replace(b"<mask>", b"<unk>")), "is not as it was written"),
]  # fmt: skip
BESIDE_THE_MODEL = [
    ("another run's moments", lambda run: take(run, run_of(run.parents[2], "adapter"), OPTIMIZER), "is of another model"),
    ("a token flipped", lambda run: damage_file(run, "store/en/train.bin", flip), "train.bin is damaged: its checksum is"),
    ("tokens cut", lambda run: damage_file(run, "store/en/train.bin", lambda c: c[:-2]), "train.bin is damaged: it has"),
]  # fmt: skip
"""What an export does not look at."""


def damage_file(run: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    path = run.parents[1] / "data" / "shared" / name
    before = path.read_bytes()
    path.write_bytes(change(before))
    assert path.read_bytes() != before


@pytest.mark.parametrize(("harm", "words"), [case[1:] for case in RUNS], ids=[case[0] for case in RUNS])
def test_checkpoints_and_what_stands_beside_them(
    harm: Callable[[Path], object], words: str, detente: Run, copied: Path
) -> None:
    run = run_of(copied)
    harm(run)
    refused(detente, words, "export", run, copied / "model", lines=None)
    assert not (copied / "model").exists()
    assert not list(copied.glob(".model*"))


@pytest.mark.parametrize(("harm", "words"), [c[1:] for c in BESIDE_THE_MODEL], ids=[c[0] for c in BESIDE_THE_MODEL])
def test_what_diagnoses_read_besides(harm: Callable[[Path], object], words: str, detente: Run, copied: Path) -> None:
    run = run_of(copied)
    harm(run)
    refused(detente, words, "diagnose", run, "--affinity", lines=None)
    assert not (run / "diagnosis").exists()


FOLDERS: list[tuple[tuple[str, ...], str]] = [
    (("report", "none"), "there are no runs in"),
    (("report", "study.yaml"), "there are no runs in"),
    (("diagnose", "none"), "there is no folder .*none"),
    (("diagnose", "study/runs"), "is no run: .* Some: "),
    (("check-meta", "study"), "is no run: it has no settings.yaml"),
    (("export", "none", "model"), "there is no folder"),
    (("export", "study", "model"), "is no run"),
    (("export", "RUN", "study"), "holds other files"),
    (("export", "RUN", "study.yaml"), "is a file. Give a folder"),
    (("diagnose", "RUN", "--similarity", "--parallel", "te"), "--parallel: te names no file. Write te=FILE"),
    (("diagnose", "RUN", "--similarity", "--parallel", "te=none,en=none"), "none could not be read: No such file"),
    (("check-meta", "RUN"), "RUN|treatment|adapter"),
    (("finetune", "none", "--task", "ner"), "--data: give a YAML file with `tasks`"),
    (("finetune", "RUN", "--task", "nre"), "--task nre: there is none of that name"),
    (("finetune", "RUN", "--task", "ner", "--data", "study.yaml"), "has no `tasks`"),
    (("finetune", "RUN", "--task", "ner", "--data", "none.yaml"), "there is no study file"),
]


@pytest.mark.parametrize(("arguments", "words"), FOLDERS, ids=[" ".join(case[0]) for case in FOLDERS])
def test_folders(
    arguments: tuple[str, ...], words: str, detente: Run, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(good)
    run = str(run_of(Path()))
    before = sorted(good.rglob("*"))
    refused(detente, words, *(run if part == "RUN" else part for part in arguments), lines=None)
    assert sorted(good.rglob("*")) == before


def change_record(**changes: Any) -> Callable[[Path], object]:
    """With a checksum that fits: as another program would write it."""

    def change(path: Path) -> None:
        values = json.loads(path.read_text(encoding="utf-8"))
        del values["seal"]
        path.write_text(json.dumps(sealed(values | changes)), encoding="utf-8")

    return change


RECORDS: list[tuple[str, Callable[[Path], object], str]] = [
    ("missing", Path.unlink, "there is no record.json"),
    ("empty", lambda path: path.write_text(""), "is damaged"),
    ("cut", lambda path: path.write_bytes(path.read_bytes()[:-99]), "is damaged"),
    ("a digit flipped", lambda path: edit(path, lambda t: t.replace('"steps": 4', '"steps": 5')), "does not have its checksum"),
    ("another version", change_record(version=99), "has record version 99, this detente reads 1"),
    ("no version", change_record(version=None), "has record version None"),
    ("not a number", change_record(train_seconds=float("nan")), "train_seconds .*finite number"),
    ("infinite", change_record(total_seconds=float("inf")), "total_seconds .*finite number"),
    ("another type", change_record(steps="many"), "is damaged .*steps"),
    ("a list", lambda path: path.write_text("[1]"), "is damaged"),
    ("too deep", lambda path: path.write_text("[" * 100_000), "is damaged"),
    ("unknown", change_record(losses=3), "is damaged .*losses"),
    ("Latin-1", lambda path: path.write_bytes(LATIN), "is damaged"),
    ("an unknown status", change_record(status="won"), "is damaged .*status"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "words"), [case[1:] for case in RECORDS], ids=[case[0] for case in RECORDS])
def test_records(harm: Callable[[Path], object], words: str, good: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(run_of(good) / "record.json", tmp_path))
    harm(path)
    with pytest.raises(DetenteError, match=words) as said:
        read_record(tmp_path)
    assert "\n" not in str(said.value)


PLANS = ["", "[]", "{}", '{"runs": 3}', '{"runs": [3]}', '{"runs": [{"name": "x"}]}', "[" * 100_000]


@pytest.mark.parametrize("text", PLANS, ids=[text[:30] or "empty" for text in PLANS])
def test_plans(text: str, detente: Run, good: Path, tmp_path: Path) -> None:
    shutil.copytree(run_of(good), tmp_path / "runs" / "run")
    (tmp_path / "plan.json").write_text(text)
    refused(detente, "plan.json is damaged", "report", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "plan.json", "runs"]


def test_task_records_cannot_leave_their_folder(tmp_path: Path) -> None:
    values = {
        "version": 1,
        "task": "../../x",
        "kind": "ner",
        "source": "en",
        "seed": 1,
        "fingerprint": "0",
        "model": "m",
    }
    (tmp_path / "task.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DetenteError, match=r"is damaged .* task String should match"):
        read_task_record(tmp_path / "task.json")


def test_metrics(good: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(run_of(good) / "metrics.jsonl", tmp_path))
    edit(path, lambda text: text.replace('"step": 2', '"step": 3', 1))
    with pytest.raises(DetenteError, match=r"metrics.jsonl is damaged: line 2 \(it does not have its checksum\)"):
        list(read_metrics(tmp_path))


STUDIES: list[tuple[str, Callable[[Path], object], str]] = [
    ("a file in its place", lambda folder: (shutil.rmtree(folder), folder.touch()), "study"),
    ("other settings", lambda folder: edit(folder / "study.yaml", lambda t: t.replace("width: 16", "width: 18")), r"holds runs of a study with other settings \(encoder\)"),
    ("settings that are none", lambda folder: (folder / "study.yaml").write_text("languages: ["), "study.yaml is not valid YAML"),
    ("settings that are a list", lambda folder: (folder / "study.yaml").write_text("- 1"), "must hold settings"),
    ("settings with a tag", lambda folder: (folder / "study.yaml").write_text("!!python/name:os.system"), "could not determine a constructor"),
    ("training that is none", lambda folder: edit(folder / "study.yaml", lambda t: re.sub(r"training:\n(  .*\n)+", "training: 3\n", t)), "with other settings"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "words"), [case[1:] for case in STUDIES], ids=[case[0] for case in STUDIES])
def test_study_folders(harm: Callable[[Path], object], words: str, detente: Run, copied: Path) -> None:
    harm(copied / "study")
    refused(detente, words, "study", copied / "study.yaml", "--folder", copied / "study")


def test_a_locked_folder(detente: Run, copied: Path) -> None:
    with locked(copied / "study" / "data"):
        words = r"is in use by process \d+ on .* Wait for it, or stop it"
        refused(detente, words, "prepare", copied / "study.yaml", "--folder", copied / "study")


@pytest.mark.skipif(IS_ROOT, reason="nothing is forbidden to root")
def test_a_read_only_folder(detente: Run, copied: Path) -> None:
    (copied / "locked").mkdir(mode=0o500)
    refused(detente, "Permission denied", "prepare", copied / "study.yaml", "--folder", copied / "locked" / "study")


def test_a_record_twice_counts_once(good: Path, tmp_path: Path) -> None:
    from detente.report.inventory import read_study

    for name in ("one", "two"):
        shutil.copytree(run_of(good), tmp_path / "runs" / name)
    study = read_study(tmp_path)
    assert len(study.runs) == 1
    assert [(gap.name, gap.status) for gap in study.gaps] == [("one", "left out")]


class Bomb:
    """What it is when it is unpickled is a folder that somebody made."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("made",)


def test_a_model_of_others_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a pickle in its weights nor Python files beside its configuration."""
    from detente.tasks.models import load_config, load_model

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code = "import os; os.mkdir('made')\nclass C: pass\n"
    (tmp_path / "code.py").write_text(code)
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.C"}}
    (tmp_path / "config.json").write_text(json.dumps(own))
    with pytest.raises(DataError, match=r"could not be loaded: .* contains custom code"):
        load_config(str(tmp_path))
    shape = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 9}
    (tmp_path / "config.json").write_text(json.dumps(shape | {"intermediate_size": 8}))
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match="could not be loaded"):
        load_model(str(tmp_path), "AutoModelForTokenClassification", ["O"], seed=1)
    assert not (tmp_path / "made").exists()
