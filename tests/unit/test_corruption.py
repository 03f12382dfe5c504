"""Damaged bytes: whatever is flipped or cut in a checkpoint, a store or a record is named or passed over; numbers are never other ones."""

import json
import math
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detente.diagnosis_results.affinity import AffinityDraw, LookaheadAffinity
from detente.encoder import Encoder
from detente.errors import DetenteError, RecordError
from detente.manifests import MANIFEST_FILE
from detente.pretrain.checkpoint import CHECKSUMS, OPTIMIZER, STATE, WEIGHTS, damage, load_checkpoint, save_checkpoint
from detente.pretrain.data import RunData
from detente.pretrain.observers import MetricsLog
from detente.pretrain.optimizer import Updater, build_optimizer
from detente.pretrain.step import StepReport
from detente.results import METRICS_FILE, RECORD_FILE, RunRecord, read_metrics, read_record, write_record
from detente.settings import EncoderSettings, TrainingSettings, VocabularySettings
from detente.store import build_store
from detente.task_results import TASK_RECORD_FILE, LanguageScore, TaskRecord, read_task_record, write_task_record
from detente.treatment import TREATMENTS, TreatedEncoder, treat
from detente.vocabulary import measure_vocabulary, train_vocabulary, write_vocabulary_manifest


class Damage(NamedTuple):
    """Bytes from a place on, as a share of the file, are changed or cut out."""

    place: float
    mask: bytes
    is_cut: bool

    def of(self, content: bytes) -> bytes:
        start = min(int(self.place * len(content)), len(content) - 1)
        end = min(start + len(self.mask), len(content))
        changed = bytes(byte ^ other for byte, other in zip(content[start:end], self.mask, strict=False))
        return content[:start] + (b"" if self.is_cut else changed) + content[end:]


# One bit, one byte, or a stretch; or everything from a place on.
MASKS = st.one_of(
    st.integers(0, 7).map(lambda bit: bytes([1 << bit])),
    st.integers(1, 255).map(lambda byte: bytes([byte])),
    st.binary(min_size=1, max_size=64).filter(any),
)
DAMAGES = st.one_of(
    st.builds(Damage, st.floats(0, 1), MASKS, st.booleans()),
    st.builds(Damage, st.floats(0, 1), st.just(bytes(1 << 20)), st.just(True)),
)


def cases(number: int) -> Callable[[Callable], Callable]:
    """So many, the same each time."""
    chosen = settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    return lambda test: chosen(given(harm=DAMAGES)(test))


@contextmanager
def damaged(path: Path, harm: Damage) -> Iterator[None]:
    """The file is whole again afterwards."""
    content = path.read_bytes()
    path.write_bytes(harm.of(content))
    try:
        yield
    finally:
        path.write_bytes(content)


class Saved(NamedTuple):
    """Two checkpoints of a run, and the model that they are loaded into."""

    root: Path
    treated: TreatedEncoder
    optimizer: torch.optim.Optimizer
    good: dict[int, dict[str, torch.Tensor]]


def numbers(treated: TreatedEncoder, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Weights and moments."""
    found = {name: parameter.detach().clone() for name, parameter in treated.named_parameters()}
    for name, parameter in treated.named_parameters():
        found |= {f"{key} of {name}": value.clone() for key, value in optimizer.state.get(parameter, {}).items()}
    return found


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    root = tmp_path_factory.mktemp("checkpoints")
    shape = EncoderSettings(layers=1, width=8, heads=2, feed_forward_width=8)
    treated = treat(Encoder(shape, 20, block_length=8), TREATMENTS["adapter"], ("en", "te"))
    optimizer, good = build_optimizer(treated, TrainingSettings()), {}
    parameters = [parameter for _, parameter in treated.named_parameters()]
    for step in (1, 2):
        random = torch.Generator().manual_seed(step)
        gradients = [torch.randn(parameter.shape, generator=random) for parameter in parameters]
        Updater(optimizer, TrainingSettings(), 10).apply(step, parameters, gradients)
        save_checkpoint(root, step, treated, optimizer, {"fingerprint": "x"}, keep=2)
        good[step] = numbers(treated, optimizer)
    return Saved(root, treated, optimizer, good)


def loaded(saved: Saved) -> tuple[int, dict[str, torch.Tensor]]:
    """From whatever was there before; warnings of damage are told apart from failing."""
    saved.optimizer.state.clear()
    with torch.no_grad():
        for _, parameter in saved.treated.named_parameters():
            parameter.fill_(math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = load_checkpoint(saved.root, saved.treated, saved.optimizer)
    assert state is not None
    return state["step"], numbers(saved.treated, saved.optimizer)


@pytest.mark.parametrize("name", [WEIGHTS, OPTIMIZER, STATE, CHECKSUMS])
@cases(25)
def test_a_damaged_checkpoint_gives_the_one_before(saved: Saved, name: str, harm: Damage) -> None:
    with damaged(saved.root / "step-2" / name, harm):
        # What changes no content, a blank for another, may be read.
        is_whole = damage(saved.root / "step-2") is None
        step, found = loaded(saved)
    assert step == (2 if is_whole else 1)
    assert name == CHECKSUMS or not is_whole
    assert found.keys() == saved.good[step].keys()
    assert all(torch.equal(found[key], value) for key, value in saved.good[step].items())


@cases(10)
def test_when_both_are_damaged_that_is_said(saved: Saved, harm: Damage) -> None:
    first, second = (saved.root / f"step-{step}" / WEIGHTS for step in (1, 2))
    with (
        damaged(first, harm),
        damaged(second, harm),
        pytest.raises(DetenteError, match=r"every checkpoint in .* is damaged"),
    ):
        loaded(saved)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_corpus: Callable[..., Path], scripts: tuple[str, ...]) -> Path:
    """STUDY/data/NAME of one language."""
    folder = tmp_path_factory.mktemp("data")
    texts = [f"{text} {number}" for number in range(5) for text in scripts]
    corpus = write_corpus(folder / "corpus" / "sw", texts)
    vocabulary = train_vocabulary({"sw": corpus}, VocabularySettings(size=300), folder / "shared")
    write_vocabulary_manifest(folder / "shared", measure_vocabulary(vocabulary, {"sw": corpus}, source="here"))
    build_store("sw", corpus, vocabulary, folder / "shared" / "store")
    return folder / "shared"


def read_back(folder: Path) -> dict[str, Any]:
    """Every number that a run takes from its data."""
    opened = RunData.open(folder, ("sw",))
    opened.store.verify()
    return {
        "manifest": opened.store.manifest("sw"),
        "special": opened.special,
        "tokens": {split: opened.store.tokens("sw", split).tolist() for split in opened.store.manifest("sw").splits},
        "checksum": opened.checksum("sw"),
    }


STORE_FILES = [*(f"store/sw/{split}.bin" for split in ("train", "meta", "validation", "test")), "tokenizer.json"]


@pytest.mark.parametrize("name", [*STORE_FILES, "store/sw/manifest.json", "special_tokens_map.json"])
@cases(12)
def test_a_damaged_store_is_named(data: Path, name: str, harm: Damage) -> None:
    good = read_back(data)
    with damaged(data / name, harm):
        try:
            found = read_back(data)
        except DetenteError as error:
            assert "\n" not in str(error)
            return
    assert name not in STORE_FILES
    assert found == good


def test_a_store_copied_to_another_language_is_refused(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    shutil.copytree(data / "store" / "sw", tmp_path / "data" / "store" / "en")
    with pytest.raises(DetenteError, match="holds the tokens of `sw`"):
        RunData.open(tmp_path / "data", ("en",))


RECORD = RunRecord(
    name="en_none_seed1",
    fingerprint="0123",
    status="success",
    mixture=("en",),
    treatment="none",
    seed=1,
    settings={"training": {"steps": 16, "betas": [0.9, 0.98]}},
    steps=16,
    languages={
        "en": {
            "test": {"loss": 4.25, "perplexity": 70.105, "bits_per_character": 2.125, "targets": 512},
            "validation": {"loss": 4.5, "perplexity": 90.017, "bits_per_character": 2.25, "targets": 512},
            "baseline": {"unigram": 5.0, "bigram": 4.5},
            "early_loss": 5.75,
            "blocks_seen": 64,
            "epochs": 1.5,
            "data": "abcdef",
        }
    },
    vocabulary="fedcba",
    finished="2026-11-26T00:00:00+00:00",
)
TASK_RECORD = TaskRecord(
    task="ner",
    kind="ner",
    source="en",
    seed=1,
    fingerprint="0123",
    model="en_none_seed1",
    settings={"epochs": 1},
    labels=("O", "B-PER"),
    examples={"en": {"train": 10, "test": 5}},
    epochs=(),
    scores=(
        LanguageScore(
            language="en",
            setting="within",
            metric="f1",
            value=71.25,
            low=60.5,
            high=80.5,
            examples=5,
            trial=1,
            epoch=1,
            predictions="en.json",
        ),
    ),
    seconds=1.5,
    finished="2026-11-26T00:00:00+00:00",
)
AFFINITY = LookaheadAffinity(
    languages=("en", "sw"),
    mean=((0.125, -0.25), (0.5, 0.0625)),
    low=None,
    high=None,
    draws=(AffinityDraw(16, 0.01, ((0.125, -0.25), (0.5, 0.0625))),),
)
RECORDS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any], Any]] = {
    RECORD_FILE: (lambda folder: write_record(folder, RECORD), read_record, RECORD),
    TASK_RECORD_FILE: (
        lambda folder: write_task_record(folder, TASK_RECORD),
        lambda folder: read_task_record(folder / TASK_RECORD_FILE),
        TASK_RECORD,
    ),
    LookaheadAffinity.FILE: (AFFINITY.write, LookaheadAffinity.read, AFFINITY),
}


@pytest.mark.parametrize("name", RECORDS)
@cases(25)
def test_a_damaged_record_is_named(tmp_path_factory: pytest.TempPathFactory, name: str, harm: Damage) -> None:
    write, read, good = RECORDS[name]
    folder = tmp_path_factory.getbasetemp() / "records"
    write(folder)
    assert read(folder) == good
    with damaged(folder / name, harm):
        try:
            found = read(folder)
        except RecordError as error:
            assert str(folder / name) in str(error)
            assert "\n" not in str(error)
            return
    assert found == good


def test_a_record_of_an_older_detente_has_no_checksum(tmp_path: Path) -> None:
    (tmp_path / RECORD_FILE).write_text(json.dumps(RECORD.model_dump(mode="json")), encoding="utf-8")
    assert read_record(tmp_path) == RECORD


@pytest.mark.parametrize(
    "text", ['{"step": 1}\n', '{"step": 1, "crc": "00000000"}\n', "[1]\n", "[" * 2000 + "\n", "{}\n"]
)
def test_a_line_that_is_not_what_was_written(text: str, tmp_path: Path) -> None:
    """The first has no checksum, as an older detente wrote them."""
    (tmp_path / METRICS_FILE).write_text(text, encoding="utf-8")
    if text.startswith(('{"step": 1}', "{}")):
        assert list(read_metrics(tmp_path)) == [json.loads(text)]
        return
    with pytest.raises(RecordError, match="is damaged: line 1"):
        list(read_metrics(tmp_path))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's metrics: a line a step, and a validation after the second."""
    folder = tmp_path_factory.mktemp("run")
    log = MetricsLog(folder, start=0)
    for step in range(1, 7):
        log(step, StepReport({"en": 5.0 / step}, tokens=64, gradient_norm=1.0, learning_rate=0.1))
        if step == 2:
            log.write(kind="validation", step=step, loss={"en": 3.0}, bits_per_character={"en": 1.5})
    log.close()
    return folder


@cases(40)
def test_damaged_metrics_are_named_or_end_early(run: Path, harm: Damage) -> None:
    good = list(read_metrics(run))
    with damaged(run / METRICS_FILE, harm):
        try:
            found = list(read_metrics(run))
        except RecordError as error:
            assert f"{METRICS_FILE} is damaged: line" in str(error)
            return
    # A line that was cut at the end is no line yet.
    assert found == good[: len(found)]


@cases(40)
def test_a_run_goes_on_from_whole_metrics_only(run: Path, harm: Damage) -> None:
    good = [line for line in read_metrics(run) if line["step"] <= 4]
    with damaged(run / METRICS_FILE, harm):
        try:
            MetricsLog(run, start=4).close()
        except RecordError as error:
            assert "Delete the run's folder" in str(error)
            return
        assert list(read_metrics(run)) == good


def test_a_damaged_manifest_is_made_anew(data: Path, tmp_path: Path) -> None:
    """The fall-back: `prepare` takes it for missing."""
    shutil.copytree(data.parent, tmp_path / "data")
    store = tmp_path / "data" / "shared" / "store"
    good = (store / "sw" / MANIFEST_FILE).read_bytes()
    (store / "sw" / MANIFEST_FILE).write_bytes(good.replace(b'"records": ', b'"records": 1'))
    opened = RunData.open(data, ("sw",))
    build_store("sw", tmp_path / "data" / "corpus" / "sw", opened.vocabulary, store)
    assert (store / "sw" / MANIFEST_FILE).read_bytes() == good
