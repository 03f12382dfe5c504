"""Verbs on a study: its file, or its folder."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detente.cli.application import app, console, interruptible, rank

if TYPE_CHECKING:
    from detente.settings import StudySettings
    from detente.study import PlannedRun

StudyFile = Annotated[Path, typer.Argument(help="The study file (YAML).", show_default=False)]
Overrides = Annotated[
    list[str], typer.Option("--set", help="A setting, as training.steps=2000. Can be repeated.", show_default=False)
]
Folder = Annotated[
    Path | None, typer.Option(help="Where everything is written; `studies/NAME` when not given.", show_default=False)
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Runs at a time, with `processes` or `ray`; one a core when not given.", min=1, show_default=False
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="`local`: one run after another. `processes`: several at a time, threads divided. `ray`: as a Ray cluster has room."
    ),
]


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

    with interruptible(), ProgressView(console) as view:
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
    profile: Annotated[bool, typer.Option("--profile", help="Say where a step's time goes, and stop.")] = False,
) -> None:
    """One run of a study, prepared first when it has to be."""
    study, folder = _load(study_file, overrides, folder)
    from detente.study import plan_runs
    from detente.watched_study import find_run

    asked = find_run(plan_runs(study), run)
    if profile:
        from detente.profile_view import show_profile

        with interruptible():
            show_profile(console, study, folder, asked)
    else:
        _do_study(study, folder, "local", None, only=asked)


@app.command()
def study(
    study_file: StudyFile,
    overrides: Overrides = [],  # noqa: B006
    folder: Folder = None,
    engine: Engine = "local",
    workers: Workers = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs with their cost, and stop.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say how far it is, whoever does it, and stop.")] = False,
) -> None:
    """Everything of a study that is missing, then its report."""
    settings, folder = _load(study_file, overrides, folder)
    if status:
        from detente.status_view import show_status

        show_status(console, settings, folder)
    elif dry_run:
        from detente.overview import show_plan

        show_plan(console, settings, folder)
    else:
        _do_study(settings, folder, engine, workers)


@app.command()
def check(study_file: StudyFile, overrides: Overrides = [], folder: Folder = None) -> None:  # noqa: B006
    """Settings, data, runs and their cost, and whether the meta step can matter: before anything is spent."""
    settings, folder = _load(study_file, overrides, folder)
    from detente.overview import show_check

    with interruptible():
        show_check(console, settings, folder)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A study's folder.", show_default=False)],
    published: Annotated[
        bool, typer.Option("--published", help="The paper's published differences beside the study's own.")
    ] = False,
) -> None:
    """Tables, figures and one page from the records in a study's folder."""
    _report(folder, with_published=published)


def _load(study_file: Path, overrides: list[str], folder: Path | None) -> "tuple[StudySettings, Path]":
    from detente.settings import load_study
    from detente.study.plan import study_folder

    settings = load_study(study_file, overrides)
    return settings, folder or study_folder(settings)


def _do_study(
    settings: "StudySettings", folder: Path, engine: str, workers: int | None, only: "PlannedRun | None" = None
) -> None:
    from detente.watched_study import do_study

    with interruptible():
        ended = do_study(console, settings, folder, engine=engine, workers=workers, only=only)
    if ended.has_records and rank() == 0:
        _report(folder)
    if not ended.is_whole:
        raise typer.Exit(1)


def _report(folder: Path, *, with_published: bool = False) -> None:
    from detente.lock import locked
    from detente.report import summary_table, write_report
    from detente.terminal import print_table

    # Two engines on one folder may end at the same time.
    with locked(folder, patience=60.0) if folder.is_dir() else nullcontext():
        page = write_report(folder, with_published=with_published)
    table = summary_table(folder)
    header, *rows = table.as_rows()
    print_table(console, table.title, header, rows, [table.caption, *table.notes])
    console.print(f"\nreport: {page}")
