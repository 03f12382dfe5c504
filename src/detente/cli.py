"""The command line: a verb calls one public function. Exit codes: 0 done, 2 the user's input is wrong, 130 interrupted, 1 else.

Slow libraries are imported where a verb needs them, so that `--help` answers at once.
"""

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from detente.errors import ConfigError, DetenteError, Interrupted, ProcessLost

if TYPE_CHECKING:
    from detente.settings import StudySettings
    from detente.study import PlannedRun

app = typer.Typer(
    help="Measure and treat negative interference between languages in multilingual language models.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
# Without a terminal, a file say, lines may be long: tables must not be cut.
console = Console(width=None if sys.stdout.isatty() else 120)

StudyFile = Annotated[Path, typer.Argument(help="The study file (YAML).", show_default=False)]
Overrides = Annotated[
    list[str], typer.Option("--set", help="A setting, as training.steps=2000. Can be repeated.", show_default=False)
]
Folder = Annotated[
    Path | None, typer.Option(help="Where everything is written; `studies/NAME` when not given.", show_default=False)
]
Workers = Annotated[
    int | None,
    typer.Option(help="Runs at a time, with `processes`; one a core when not given.", min=1, show_default=False),
]
Engine = Annotated[
    str, typer.Option(help="`local`: one run after another. `processes`: several at a time, threads divided.")
]


TOGETHER = ("pretrain", "study")
"""Verbs that several processes, started by torchrun, can do together."""


@app.callback()
def _refuse_torchrun(context: typer.Context) -> None:
    if "TORCHELASTIC_RUN_ID" in os.environ and context.invoked_subcommand not in TOGETHER:
        raise ConfigError(f"`detente {context.invoked_subcommand}` runs in one process. Call it without torchrun.")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo is written.")] = Path("demo"),
    seeds: Annotated[int, typer.Option(help="Runs of everything; intervals need two.", min=1)] = 3,
    workers: Workers = None,
) -> None:
    """The whole story on two constructed languages, small: mono, joint and every treatment, a table and a page."""
    from detente.study.demo import demo_study

    _do_study(demo_study(seeds), folder, "processes", workers)


@app.command()
def prepare(
    study_file: StudyFile,
    overrides: Overrides = [],  # noqa: B006
    folder: Folder = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read all tokens back and compare their checksums.")] = False,
) -> None:
    """Text -> vocabulary -> token store."""
    study, folder = _load(study_file, overrides, folder)
    from detente.study.execute import prepare_study, verify_data
    from detente.terminal import ProgressView
    from detente.watched_study import show_data

    with _interruptible(), ProgressView(console) as view:
        prepare_study(study, folder, progress=view.counter)
    show_data(console, folder)
    if verify:
        verify_data(study, folder)
        console.print("every checksum holds")
    console.print(f"prepared in {folder / 'data'}")


@app.command()
def pretrain(
    study_file: StudyFile,
    run: Annotated[
        str,
        # Some versions of argparse take `--run` for an option of torchrun, even after `-m detente`; `-r` they leave alone.
        typer.Option(
            "--run", "-r", help="Name of the run, as `--dry-run` lists it, or MIXTURE/TREATMENT (first seed)."
        ),
    ],
    overrides: Overrides = [],  # noqa: B006
    folder: Folder = None,
) -> None:
    """One run of a study, prepared first when it has to be."""
    study, folder = _load(study_file, overrides, folder)
    from detente.study import plan_runs
    from detente.watched_study import find_run

    _do_study(study, folder, "local", None, only=find_run(plan_runs(study), run))


@app.command()
def study(
    study_file: StudyFile,
    overrides: Overrides = [],  # noqa: B006
    folder: Folder = None,
    engine: Engine = "local",
    workers: Workers = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs with their cost, and stop.")] = False,
) -> None:
    """Everything of a study that is missing, then its report."""
    settings, folder = _load(study_file, overrides, folder)
    if dry_run:
        from detente.overview import show_plan

        show_plan(console, settings, folder)
    else:
        _do_study(settings, folder, engine, workers)


@app.command()
def check(study_file: StudyFile, overrides: Overrides = [], folder: Folder = None) -> None:  # noqa: B006
    """Settings, data, runs and their cost, and whether the meta step can matter: before anything is spent."""
    settings, folder = _load(study_file, overrides, folder)
    from detente.overview import show_check

    with _interruptible():
        show_check(console, settings, folder)


@app.command("check-meta")
def check_meta(
    run: Annotated[Path, typer.Argument(help="The folder of a run, STUDY/runs/NAME.", show_default=False)],
    batches: Annotated[int, typer.Option(help="Batches of each language.", min=1)] = 3,
    blocks: Annotated[
        int | None, typer.Option(help="At most so many blocks in a batch; the run's when not given.", min=1)
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Rate of the inner step; the run's when not given.", show_default=False)
    ] = None,
) -> None:
    """Every variant of the meta-gradient against the exact one, on a run's newest checkpoint."""
    from detente.overview import show_meta_check
    from detente.pretrain.check_meta import check_meta as find
    from detente.terminal import ProgressView

    with _interruptible(), ProgressView(console) as view:
        found = find(run, beta=beta, batches=batches, blocks=blocks, progress=view.counter)
    show_meta_check(console, found, run)


@app.command()
def diagnose(
    folder: Annotated[
        Path, typer.Argument(help="The folder of a run, STUDY/runs/NAME, or of a study.", show_default=False)
    ],
    gradients: Annotated[bool, typer.Option("--gradients", help="Gradient conflict.")] = False,
    masks: Annotated[bool, typer.Option("--masks", help="Which parameters belong to whom.")] = False,
    affinity: Annotated[bool, typer.Option("--affinity", help="What a step on one language does to others.")] = False,
    similarity: Annotated[bool, typer.Option("--similarity", help="Whether translations look alike inside.")] = False,
    blocks: Annotated[int, typer.Option(help="Blocks of each language for its gradient.", min=2)] = 4096,
    groups: Annotated[
        str, typer.Option(help="What shares a gate of a mask: rows, heads, neurons, matrices, weights.")
    ] = "rows",
    steps: Annotated[int, typer.Option(help="Updates of each mask; every language has two.", min=1)] = 200,
    sparsity_weight: Annotated[
        float | None,
        typer.Option(help="Nats that keeping every gate open costs; 3 when not given.", show_default=False),
    ] = None,
    target_open: Annotated[
        float | None, typer.Option(help="Share of gates to be left open, in place of a price.", show_default=False)
    ] = None,
    parallel: Annotated[
        str, typer.Option(help="Aligned files, as en=FILE,sw=FILE, for --similarity.", show_default=False)
    ] = "",
) -> None:
    """Where the languages of a run conflict: all diagnoses, or those that are named. Results and figures go into RUN/diagnosis.

    Of a study: the joint runs are diagnosed, and compared with what its pairs lose. What is there already is not measured again.
    """
    from detente.diagnosis_view import FILES, Wishes, diagnose_run
    from detente.foretelling_view import diagnose_study, is_study

    asked = {"gradients": gradients, "masks": masks, "affinity": affinity, "similarity": similarity}
    wishes = Wishes(
        kinds=frozenset(kind for kind in FILES if asked[kind] or not any(asked.values())),
        blocks=blocks,
        masks={
            "groups": groups,
            "steps": steps,
            "sparsity_weight": sparsity_weight,
            "target_open": target_open,
        },
        parallel=_paths(parallel),
    )
    with _interruptible():
        (diagnose_study if is_study(folder) else diagnose_run)(console, folder, wishes)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run, STUDY/runs/NAME.", show_default=False)],
    folder: Annotated[
        Path, typer.Argument(help="Where the model is written: new, empty, or an earlier export.", show_default=False)
    ],
) -> None:
    """A run's newest checkpoint as a model folder for Hugging Face's transformers."""
    from detente.export import export_run

    with _interruptible():
        exported = export_run(run, folder)
    if not exported.is_finished:
        console.print(f"the run is not finished: this is step {exported.step} of {exported.steps}")
    needs = "transformers alone" if exported.is_stock else "transformers and detente"
    console.print(f"exported to {folder}, to be loaded by {needs}", highlight=False, markup=False)


@app.command()
def finetune(
    model: Annotated[
        str,
        typer.Argument(
            help="The folder of a run, STUDY/runs/NAME; or a model that transformers loads: its folder, or a name on the hub.",
            show_default=False,
        ),
    ],
    task: Annotated[
        str, typer.Option(help="Name of the task: ner, pos, qa, nli, or as the file has it.", show_default=False)
    ],
    train: Annotated[
        str,
        typer.Option(
            help="Languages to fine-tune on, as en,sw; all with training files when not given.", show_default=False
        ),
    ] = "",
    test: Annotated[
        str, typer.Option(help="Languages to test on, besides; all when not given.", show_default=False)
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="YAML file with `tasks`; the study's own when not given.", show_default=False),
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    folder: Annotated[
        Path | None, typer.Option(help="Where it is written; inside the run when not given.", show_default=False)
    ] = None,
) -> None:
    """Fine-tune one model on a task: scores within the language and zero-shot on the others."""
    from detente.overview import show_scores
    from detente.study.fine_tune import fine_tune
    from detente.study.task_jobs import asked_jobs
    from detente.terminal import ProgressView

    jobs = asked_jobs(
        model, task, train=_listed(train), test=_listed(test), file=data, overrides=overrides, folder=folder
    )
    with _interruptible(), ProgressView(console) as view:
        records = [fine_tune(job, view.counter) for job in jobs]
    show_scores(console, records)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A study's folder.", show_default=False)],
    published: Annotated[
        bool, typer.Option("--published", help="The paper's published differences beside the study's own.")
    ] = False,
) -> None:
    """Tables, figures and one page from the records in a study's folder."""
    _report(folder, with_published=published)


def main() -> None:
    """Entry point: one clear line instead of a traceback for what the user can mend, and for warnings."""
    warnings.showwarning = lambda message, *_: _complain(f"warning: {message}")
    if _rank() > 0:
        _silence()
    try:
        app()
    except Interrupted as interruption:
        _end(str(interruption), 128 + interruption.signal_number)
    except ProcessLost as error:
        _end(str(error), 1)
    except DetenteError as error:
        _end(str(error), 2)
    except OSError as error:
        _end(
            f"{error.filename or 'a file'}: {error.strerror}. Check the path, its rights and the space on its disk.", 2
        )


def _listed(text: str) -> list[str]:
    """Labels of `en,sw`."""
    return [label.strip() for label in text.split(",") if label.strip()]


def _paths(text: str) -> dict[str, Path]:
    """Label -> file, of `en=FILE,sw=FILE`."""
    pairs = [part.partition("=") for part in _listed(text)]
    if wrong := [label for label, _, file in pairs if not file]:
        raise ConfigError(f"--parallel: {wrong[0]} names no file. Write {wrong[0]}=FILE.")
    return {label: Path(file) for label, _, file in pairs}


def _rank() -> int:
    """Of this process among those that torchrun started; 0 alone."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def _silence() -> None:
    """What the first of several processes prints is not said again."""
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    warnings.showwarning = lambda *_: None


def _end(text: str, code: int) -> None:
    """Say why and exit; of several processes that end, one says it."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        from detente.pretrain.parallel import is_first_to_speak

        if not is_first_to_speak():
            sys.exit(code)
    _complain(text)
    sys.exit(code)


def _complain(text: str) -> None:
    for line in text.splitlines():
        sys.stderr.write(f"detente: {line}\n")


def _load(study_file: Path, overrides: list[str], folder: Path | None) -> "tuple[StudySettings, Path]":
    from detente.settings import load_study
    from detente.study.plan import study_folder

    settings = load_study(study_file, overrides)
    return settings, folder or study_folder(settings)


def _do_study(
    settings: "StudySettings", folder: Path, engine: str, workers: int | None, only: "PlannedRun | None" = None
) -> None:
    from detente.watched_study import do_study

    with _interruptible():
        ended = do_study(console, settings, folder, engine=engine, workers=workers, only=only)
    if ended.has_records and _rank() == 0:
        _report(folder)
    if ended.has_failed:
        raise typer.Exit(1)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C outside training, while text is read say, ends with a line too."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(None, signal.SIGINT) from None


def _report(folder: Path, *, with_published: bool = False) -> None:
    from detente.report import summary_table, write_report
    from detente.terminal import print_table

    page = write_report(folder, with_published=with_published)
    table = summary_table(folder)
    header, *rows = table.as_rows()
    print_table(console, table.title, header, rows, [table.caption, *table.notes])
    console.print(f"\nreport: {page}")


if __name__ == "__main__":
    main()
