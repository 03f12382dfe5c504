"""What commands print: a study's plan and cost, whether its meta step can matter, what a run's is worth, scores of tasks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from detente.corpus.read import sources
from detente.disk import size
from detente.errors import DataError
from detente.pretrain.check_meta import CHECK_FILE, MetaCheck
from detente.pretrain.data import RunData
from detente.pretrain.meta_agreement import Agreement, Variant
from detente.pretrain.meta_outlook import Outlook, meta_outlook
from detente.results import MetaTerms
from detente.settings import RunSettings, StudySettings
from detente.study import plan_runs
from detente.study.cost import h100_hours
from detente.study.estimate import estimate_runs
from detente.study.footprint import footprints, refuse_what_cannot_fit
from detente.study.plan import PlannedRun, planned_tunings
from detente.task_results import LanguageScore, TaskRecord
from detente.terminal import duration, print_table

DIFFERENCES = ("central", "one-sided")


def show_plan(console: Console, study: StudySettings, folder: Path) -> None:
    """The runs of a study with their cost.

    Raises:
        ConfigError: one does not fit into this machine's memory, or all not on the disk.
    """
    runs = plan_runs(study)
    # First: it looks at how large this process is before it has built anything.
    taken = footprints(runs, study.vocabulary.size)
    estimates = estimate_runs(runs, study.vocabulary.size)
    rows = [
        [
            run.name,
            f"{e.shared:,}",
            f"{e.specific:,}",
            f"{run.settings.training.steps:,}",
            f"{e.tokens:,}",
            size(t.memory),
            size(t.disk),
            duration(e.seconds),
        ]
        for run, e, t in zip(runs, estimates, taken, strict=True)
    ]
    tokens, seconds = sum(e.tokens for e in estimates), sum(e.seconds for e in estimates)
    rows.append(["all", "", "", "", f"{tokens:,}", "", size(sum(t.disk for t in taken)), duration(seconds)])
    header = ["run", "shared", "per language", "steps", "tokens", "memory", "disk", "estimate"]
    note = (
        f"Would be written to {folder}. The estimate is for runs one after another, from a few steps on this machine."
    )
    room = (
        "Memory: of one run at its peak; with `--engine processes` there are as many at a time as workers. Disk: of a run's folder at "
        "most, the text and its tokens left out."
    )
    print_table(console, f"{study.name}: {len(runs)} runs", header, rows, [note, _gpu_note(study, runs), room])
    refuse_what_cannot_fit(runs, taken, folder)


def _gpu_note(study: StudySettings, runs: Sequence[PlannedRun]) -> str:
    hours = sum(h100_hours(run.settings, study.vocabulary.size) for run in runs)
    tunings = sum(1 for run in runs for _ in planned_tunings(study, run.settings.mixture))
    besides = f" {tunings:,} fine-tunings come on top, in neither estimate." if tunings else ""
    said = f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
    return (
        f"One H100: about {said} GPU-hours with bf16 and `training.compile`, if every run used it as well as the `paper` preset's plain "
        f"step does at 512 x 256 tokens; small models do not.{besides}"
    )


def show_check(console: Console, study: StudySettings, folder: Path) -> None:
    """A study's data, plan and meta step.

    Raises:
        DataError: a file of a language is missing or cannot be read.
    """
    for label, language in study.languages.items():
        files = [] if language.constructed else sources(language)
        console.print(f"{label}: {f'{len(files)} source(s) found' if files else 'constructed'}", highlight=False)
    show_plan(console, study, folder)
    looked = list(_outlooks(study, folder))
    if looked:
        header = ["system", "second order / direct", "noise / direct", "error of one-sided differences"]
        rows = [[run.system, *map(_percent, (o.ratio, o.noise, o.difference_error))] for run, _, o in looked]
        on = "on its data" if looked[0][1] else "on random tokens, since nothing is prepared yet"
        print_table(
            console, f"The meta step at initialisation and the peak rate, {on}", header, rows, list(_advice(looked))
        )


def _outlooks(study: StudySettings, folder: Path) -> Iterator[tuple[RunSettings, RunData | None, Outlook]]:
    """Each system with meta-adapters, on its largest mixture."""
    largest: dict[str, RunSettings] = {}
    for run in plan_runs(study):
        if run.settings.treatment == "meta-adapter":
            largest[run.settings.system] = run.settings
    for settings in largest.values():
        data = _prepared(settings, folder)
        size = study.vocabulary.size if data is None else data.vocabulary.size
        yield settings, data, meta_outlook(settings, data, size)


def _prepared(settings: RunSettings, folder: Path) -> RunData | None:
    try:
        return RunData.open(folder / "data" / settings.vocabulary, settings.mixture)
    except DataError:
        return None


def _advice(looked: list[tuple[RunSettings, RunData | None, Outlook]]) -> Iterator[str]:
    below = [run.system for run, _, outlook in looked if outlook.is_below_noise]
    if below:
        yield (
            f"Below noise: {', '.join(below)}. Another held-out batch changes the meta-gradient by more than its second-order term does, "
            "and that term is usually smaller still later in training. What these systems do may come from training phi on held-out "
            "text alone: add a variant with `second_order: none` to tell, or raise `beta`."
        )
    kinks = [
        run.system for run, _, _ in looked if run.adapter.activation == "relu" and run.meta.second_order in DIFFERENCES
    ]
    if kinks:
        yield (
            f"ReLU adapters with differences: {', '.join(kinks)}. A ReLU has a kink, over which differences jump: they were a third to a "
            "half off where GELU's were right to 0.03 %. Use `adapter.activation: gelu`."
        )


def show_meta_check(console: Console, check: MetaCheck, folder: Path) -> None:
    """What `check_meta` found on a run."""
    header = [
        "rule",
        "validate",
        "second order",
        "rows",
        "error",
        "cosine",
        "of beta h",
        "beta h / d",
        "to whole",
        "steps",
    ]
    rows = [_agreement_row(variant, found) for variant, found in check.agreements.items()]
    dropout = "dropout as in training" if check.has_dropout else "dropout off"
    notes = [
        f"Against double backward in float64 on the same {check.batches} batches of each language, {check.blocks} blocks each, "
        f"{dropout}. Error and cosine: of the whole meta-gradient; of beta h: error of its second-order term alone. To whole: cosine "
        "with the exact gradient of whole batches of all languages (all others for `others`). Steps: what the step costs, in plain "
        "steps, in the source's order; a rough figure.",
        *(_terms_line(rule, terms) for rule, terms in check.terms.items()),
        f"Written to {folder / CHECK_FILE}.",
    ]
    title = f"{check.run} at step {check.step}, beta {check.beta:.3g}"
    print_table(console, title, header, rows, notes)


def _agreement_row(variant: Variant, found: Agreement) -> list[str]:
    bf16 = "" if variant.precision == "float32" else ", bf16"
    return [
        variant.inner_rule,
        str(variant.meta_languages),
        f"{variant.second_order}{bf16}",
        _percent(variant.fraction),
        f"{found.error:.1e}",
        f"{found.cosine:.5f}",
        "" if found.second_order_error is None else f"{found.second_order_error:.1e}",
        _percent(found.ratio),
        f"{found.cosine_to_whole:.3f}",
        f"{found.step_time:.1f}",
    ]


def _terms_line(rule: str, terms: MetaTerms) -> str:
    ratio, noise, direct = terms.ratio, terms.direct_noise, terms.direct_norm
    sizes = f"inner rule {rule}: the second-order term is {_percent(ratio)} of the direct one"
    if noise is None or not direct:
        return f"{sizes}."
    sizes = f"{sizes}; drawing another held-out batch changes that by {_percent(noise / direct)}"
    if terms.is_below_noise:
        return (
            f"{sizes}. Below noise: compare with `second_order: none` before crediting second order, or raise `beta`."
        )
    return f"{sizes}. Above noise."


def _percent(share: float | None) -> str:
    if share is None:
        return ""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def show_scores(console: Console, records: Sequence[TaskRecord]) -> None:
    """Of fine-tunings, a row a language tested; then what was repaired or left out."""
    header = ["source", "seed", "language", "setting", "metric", "score", "95 % interval", "examples", "chosen"]
    rows = [
        [
            record.source,
            str(record.seed),
            score.language,
            score.setting,
            score.metric,
            f"{score.value:.1f}",
            "" if score.low is None else f"{score.low:.1f} to {score.high:.1f}",
            f"{score.examples:,}",
            _chosen(record, score),
        ]
        for record in records
        for score in record.scores
    ]
    notes = list(dict.fromkeys(note for record in records for note in (*record.notes, *record.cuts)))
    print_table(console, f"{records[0].model}: {records[0].task}, percent", header, rows, notes)


def _chosen(record: TaskRecord, score: LanguageScore) -> str:
    epoch = next(e for e in record.epochs if (e.trial, e.epoch) == (score.trial, score.epoch))
    return f"rate {epoch.learning_rate:g}, batches of {epoch.batch_size}, epoch {epoch.epoch}"
