"""A study folder with made-up but plausible numbers: what the report sees, without training anything."""

import json
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detente.diagnosis_results.affinity import AffinityDraw, affinity_of
from detente.diagnosis_results.base import FOLDER
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.gradients import GradientConflict, GradientGroup, Interval, RegionIntervals, regions_of
from detente.diagnosis_results.masks import GatedPart, MaskRun, ParameterMasks
from detente.diagnosis_results.similarity import LayerSimilarity, PairSimilarity, RepresentationSimilarity
from detente.report import write_report
from detente.report.inventory import Study, read_study
from detente.results import (
    Baseline,
    LanguageResult,
    MetaTerms,
    Parameters,
    Revision,
    RunRecord,
    Score,
    read_record,
    write_json,
    write_record,
)
from detente.settings import MetaSettings
from detente.task_results import LanguageScore, TaskRecord, write_task_record

TREATMENTS = ("none", "ffn", "attention", "adapter", "shared-adapter", "meta-adapter")
# Bits per character that a treatment leaves of an untreated mixture's interference.
REMAINS = {"none": 1.0, "ffn": 0.25, "attention": 0.5, "adapter": 0.6, "shared-adapter": 0.95, "meta-adapter": 0.35}
CHARACTERS_PER_TOKEN = 4.0
STEPS = 600


@dataclass(frozen=True)
class FakeStudy:
    """How to make one up."""

    languages: tuple[str, ...] = ("en", "sw")
    mixtures: tuple[tuple[str, ...], ...] | None = None
    treatments: tuple[str, ...] = TREATMENTS
    untreated: tuple[tuple[str, ...], ...] = ()
    """Mixtures without treatments and variants."""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Name -> what differs from a plain meta-adapter: `treatment`, `meta` (settings), `remains` (as in `REMAINS`)."""
    terms: Mapping[str, MetaTerms] = field(default_factory=dict)
    """System -> what its runs measured of the meta step; nothing for systems that are not named."""
    seeds: tuple[int, ...] = (1, 2, 3)
    mono_bits: float = 2.0
    interference: Mapping[str, float] = field(default_factory=lambda: {"en": 0.09, "sw": -0.06})
    noise: float = 0.004
    stuck: frozenset[str] = frozenset()
    """Names of runs that stay on the unigram plateau."""
    absent: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    has_plan: bool = True

    @property
    def runs(self) -> Iterable[tuple[tuple[str, ...], str, int]]:
        joint = self.mixtures if self.mixtures is not None else (self.languages,)
        for seed in self.seeds:
            yield from (((label,), "none", seed) for label in self.languages)
            for mixture in joint:
                systems = ("none",) if mixture in self.untreated else (*self.treatments, *self.variants)
                yield from ((mixture, system, seed) for system in systems)

    def treatment_of(self, system: str) -> str:
        return str(self.variants[system].get("treatment", "meta-adapter")) if system in self.variants else system

    def remains(self, system: str) -> float:
        return float(self.variants.get(system, {}).get("remains", REMAINS[self.treatment_of(system)]))

    def meta_settings(self, system: str) -> dict[str, Any]:
        """As a study's plan resolves them."""
        return MetaSettings().model_dump(mode="json") | dict(self.variants.get(system, {}).get("meta", {}))


def run_name(mixture: tuple[str, ...], system: str, seed: int) -> str:
    return f"{'+'.join(mixture)}_{system}_seed{seed}"


def write_fake_study(folder: Path, fake: FakeStudy) -> Path:
    """Records, metrics and plan."""
    plan = []
    for number, (mixture, system, seed) in enumerate(fake.runs):
        name = run_name(mixture, system, seed)
        # A label need not be a file name; a fingerprint always is.
        run_folder = folder / "runs" / f"run{number:03d}-0123abcd"
        planned = {"name": name, "mixture": mixture, "treatment": fake.treatment_of(system), "seed": seed}
        plan.append({**planned, "variant": system if system in fake.variants else "", "folder": run_folder.name})
        if name not in fake.absent:
            write_run(run_folder, fake, mixture, system, seed)
    if fake.has_plan:
        write_json(folder / "plan.json", {"runs": plan})
    return folder


def write_run(run_folder: Path, fake: FakeStudy, mixture: tuple[str, ...], system: str, seed: int) -> None:
    """One run folder."""
    name = run_name(mixture, system, seed)
    record = make_record(fake, mixture, system, seed)
    if name in fake.failed:
        record = record.model_copy(
            update={"status": "failed", "error": "loss is not finite at step 12", "languages": {}}
        )
    write_record(run_folder, record)
    write_metrics(run_folder, record, seed)


def make_record(fake: FakeStudy, mixture: tuple[str, ...], system: str, seed: int) -> RunRecord:
    """A record whose scores follow from the fake's interference and a little noise."""
    treatment = fake.treatment_of(system)
    name = run_name(mixture, system, seed)
    results = {label: make_result(fake, mixture, system, seed, label) for label in mixture}
    specific = {"ffn": 120_000, "attention": 60_000, "adapter": 30_000, "meta-adapter": 30_000}.get(treatment, 0)
    seconds = 50.0 * (3.1 if treatment == "meta-adapter" else 1.0)
    return RunRecord(
        name=name,
        fingerprint="0123abcd" * 8,
        status="success",
        mixture=mixture,
        treatment=treatment,
        variant=system if system in fake.variants else "",
        seed=seed,
        settings={
            "mixture": list(mixture),
            "treatment": treatment,
            "variant": system if system in fake.variants else "",
            "seed": seed,
            "meta": fake.meta_settings(system),
            "encoder": {"layers": 2, "width": 96},
            "training": {"steps": STEPS, "learning_rate": 0.004},
            "drawn_evenly": False,
        },
        steps=STEPS,
        languages=results,
        meta=varied(fake.terms[system], seed) if system in fake.terms else None,
        parameters=Parameters(shared=400_000 - specific // 2, specific=specific),
        vocabulary="3f9c" * 16,
        tokens=STEPS * 32 * 32,
        train_seconds=seconds,
        total_seconds=seconds * 1.2,
        peak_memory_bytes=400 * 2**20,
        finished=f"2026-01-0{seed}T12:00:00+00:00",
        versions={"python": "3.11.9", "torch": "2.13.0"},
        machine={"processor": "x86_64", "device": "cpu"},
        revision=Revision(commit="0123456789abcdef" * 2 + "01234567", is_changed=True),
    )


def varied(terms: MetaTerms, seed: int) -> MetaTerms:
    """A little different in each seed: seed 2 has the terms as they are."""
    factor = 1 + 0.1 * (seed - 2)
    return terms.model_copy(update={"ratio": terms.ratio and terms.ratio * factor})


def make_result(fake: FakeStudy, mixture: tuple[str, ...], system: str, seed: int, label: str) -> LanguageResult:
    name = run_name(mixture, system, seed)
    noise = random.Random(f"{name} {label}").gauss(0, fake.noise)
    hurt = fake.interference.get(label, 0.05) * fake.remains(system) if len(mixture) > 1 else 0.0
    bits = fake.mono_bits + hurt + noise if name not in fake.stuck else 2.65
    loss = bits * math.log(2) * CHARACTERS_PER_TOKEN
    score = Score(loss=loss, perplexity=math.exp(loss), bits_per_character=bits, targets=5000)
    return LanguageResult(
        test=score,
        validation=score,
        baseline=Baseline(
            unigram=2.7 * math.log(2) * CHARACTERS_PER_TOKEN, bigram=2.2 * math.log(2) * CHARACTERS_PER_TOKEN
        ),
        early_loss=1.05 * loss,
        blocks_seen=STEPS * 32 // len(mixture),
        epochs=6.4 / len(mixture),
        data="ab12" * 16,
    )


def write_metrics(run_folder: Path, record: RunRecord, seed: int) -> None:
    """Curves that fall towards the record's test loss."""
    draw = random.Random(f"{record.name} curve")
    lines: list[dict[str, object]] = []
    for step in range(1, record.steps + 1):
        label = record.mixture[(step + seed) % len(record.mixture)]
        final = record.languages[label].test.loss if label in record.languages else 6.0
        loss = final + 2.5 * math.exp(-step / 90) + draw.gauss(0, 0.1)
        lines.append(
            {"kind": "train", "step": step, "loss": {label: loss}, "gradient_norm": 1.0, "learning_rate": 1e-3}
        )
        if step % 50 == 0:
            bits = {
                label: result.test.bits_per_character + 0.9 * math.exp(-step / 110)
                for label, result in record.languages.items()
            }
            losses = {label: value * math.log(2) * CHARACTERS_PER_TOKEN for label, value in bits.items()}
            lines.append({"kind": "validation", "step": step, "loss": losses, "bits_per_character": bits})
    (run_folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_diagnoses(run_folder: Path, languages: tuple[str, ...], seed: int) -> None:
    """One of each kind, as `detente diagnose` leaves them beside a run."""
    random = np.random.default_rng(seed)
    folder, size = run_folder / FOLDER, len(languages)
    conflict = make_conflict(languages, random, step=STEPS)
    conflict.write(folder)
    GradientConflictSeries((make_conflict(languages, random, step=STEPS // 2), conflict)).write(folder)
    draws = [
        AffinityDraw(STEPS, 0.1, tuple(map(tuple, random.normal(0.01, 0.01, (size, size)).tolist()))) for _ in range(4)
    ]
    affinity_of(languages, draws).write(folder)
    parts = (GatedPart("attention.value", 0, "attention", 8), GatedPart("feed_forward.inner", 0, "ffn", 8))
    runs = {label: (make_mask(random), make_mask(random)) for label in languages}
    losses = dict.fromkeys(languages, 1.5)
    ParameterMasks(languages, "rows", 100, None, parts, runs, losses, dict.fromkeys(languages, losses), {}).write(
        folder
    )
    layers = tuple(LayerSimilarity(0.6, cka, 0.1, 0.0, 0.5, 0.4) for cka in (0.3, 0.5))
    pairs = tuple(PairSimilarity(*pair, 50, layers) for pair in combinations(languages, 2))
    RepresentationSimilarity(languages, pairs).write(folder)


def make_conflict(languages: tuple[str, ...], random: np.random.Generator, step: int) -> GradientConflict:
    """Two groups: attention, where every pair conflicts beyond doubt, and ffn, where every pair agrees."""
    groups = []
    for kind, cosine in (("attention", -0.3), ("ffn", 0.4)):
        gram = np.full((len(languages),) * 2, cosine + random.normal(0, 0.01))
        np.fill_diagonal(gram, 1.0)
        squares = (4.0,) * len(languages)
        groups.append(GradientGroup(0, kind, 100, tuple(map(tuple, gram.tolist())), squares, 100, 0.0, 0.0))
    pairs = len(languages) * (len(languages) - 1) // 2
    intervals = tuple(
        RegionIntervals(region, (Interval(0.1, 0.9),) * len(languages), (Interval(-0.9, 0.9),) * pairs)
        for region in regions_of(groups)
    )
    counts = (8,) * len(languages)
    return GradientConflict(
        languages, step, counts, counts, (0,) * len(languages), True, tuple(groups), None, intervals, 100, 1
    )


def make_mask(random: np.random.Generator) -> MaskRun:
    return MaskRun(1, tuple(random.normal(0.5, 1, 16).tolist()), 3.0, 0.7, 1.5)


def write_task(run_folder: Path, record: RunRecord, source: str) -> None:
    """A fine-tuning on one language, scored on all."""
    scores = tuple(
        LanguageScore(
            language=language,
            setting="within" if language == source else "zero-shot",
            metric="f1",
            value=80.0 - 10 * (language != source) + (2.0 + record.seed if record.treatment != "none" else 0.0),
            low=None,
            high=None,
            examples=100,
            trial=0,
            epoch=1,
            predictions="test.json",
        )
        for language in record.mixture
    )
    task = TaskRecord(
        task="ner",
        kind="ner",
        source=source,
        seed=1,
        fingerprint="0123abcd" * 8,
        model=record.name,
        mixture=record.mixture,
        system=record.system,
        run_seed=record.seed,
        settings={},
        labels=("O",),
        examples={},
        epochs=(),
        scores=scores,
        seconds=1.0,
        finished=record.finished,
    )
    write_task_record(run_folder / "tasks" / "ner" / f"source{record.mixture.index(source)}_seed1", task)


@pytest.fixture
def write_everything(write_study: Callable[..., Path]) -> Callable[..., Path]:
    """A fake study with pairs, a joint mixture, treatments, tasks and every diagnosis."""

    def write(languages: tuple[str, ...] = ("en", "sw", "te"), **options: Any) -> Path:
        pairs = tuple(combinations(languages, 2))
        options = {"languages": languages, "mixtures": (*pairs, languages), "untreated": pairs} | options
        folder = write_study("everything", **options)
        for run_folder in sorted(folder.glob("runs/*")):
            record = read_record(run_folder)
            if record.mixture == languages and record.status == "success":
                write_task(run_folder, record, languages[0])
                if record.treatment == "none":
                    write_diagnoses(run_folder, languages, record.seed)
        return folder

    return write


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """Writes a fake study, `FakeStudy`'s fields as keywords, and gives its folder."""

    def write(name: str = "pair", **options: object) -> Path:
        return write_fake_study(tmp_path / name, FakeStudy(**options))  # type: ignore[arg-type]

    return write


@pytest.fixture(scope="session")
def finished_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study of 16 runs: one missing, one failed, one that has learned nothing. Written once."""
    troubles = {
        "absent": {"en+sw_adapter_seed1"},
        "failed": {"en+sw_meta-adapter_seed2"},
        "stuck": {"en+sw_ffn_seed1"},
    }
    return write_report(
        write_fake_study(tmp_path_factory.mktemp("report") / "pair", FakeStudy(seeds=(1, 2), **troubles))
    )


@pytest.fixture
def make_study(write_study: Callable[..., Path]) -> Callable[..., Study]:
    """As `write_study`, read back."""
    return lambda **options: read_study(write_study(**options))


@pytest.fixture
def make_fake_record() -> Callable[..., RunRecord]:
    """A record of a mixture, treatment and seed, without a study around it."""
    return lambda *cell: make_record(FakeStudy(), *cell)
