"""Verbs on a run, or on a model from elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from detente.cli.application import app, console, interruptible
from detente.cli.studies import Overrides
from detente.errors import ConfigError


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

    with interruptible(), ProgressView(console) as view:
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
    with interruptible():
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

    with interruptible():
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
    with interruptible(), ProgressView(console) as view:
        records = [fine_tune(job, view.counter) for job in jobs]
    show_scores(console, records)


def _listed(text: str) -> list[str]:
    """Labels of `en,sw`."""
    return [label.strip() for label in text.split(",") if label.strip()]


def _paths(text: str) -> dict[str, Path]:
    """Label -> file, of `en=FILE,sw=FILE`."""
    pairs = [part.partition("=") for part in _listed(text)]
    if wrong := [label for label, _, file in pairs if not file]:
        raise ConfigError(f"--parallel: {wrong[0]} names no file. Write {wrong[0]}=FILE.")
    return {label: Path(file) for label, _, file in pairs}
