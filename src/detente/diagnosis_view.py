"""What `detente diagnose` does and prints: each diagnosis in turn, its table, and its figures beside its JSON file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from detente.diagnosis_results.affinity import LookaheadAffinity
from detente.diagnosis_results.gradient_series import GradientConflictSeries
from detente.diagnosis_results.gradients import THETA, GradientConflict
from detente.diagnosis_results.masks import ParameterMasks
from detente.diagnosis_results.similarity import RepresentationSimilarity
from detente.examine import Examination, parallel_text
from detente.report.gradient_figure import draw_conflict, draw_conflict_over_training
from detente.report.mask_figures import draw_mask_extremes, draw_mask_shares, draw_mask_similarity
from detente.report.matrix_figure import affinity_picture, draw_matrix
from detente.report.similarity_figure import draw_similarity
from detente.terminal import ProgressView, print_table

WEAK = "Cannot tell: the interval covers zero, or a language's own gradient is too noisy at this size of batch. Measure on more blocks."

MOST_DRAWN = 10
"""Pairs."""
MOST_WITH_INTERVALS = 6
"""Languages of a matrix on a line of a terminal."""
FILES = {
    "gradients": GradientConflict.FILE,
    "masks": ParameterMasks.FILE,
    "affinity": LookaheadAffinity.FILE,
    "similarity": RepresentationSimilarity.FILE,
}
"""Kind of diagnosis -> its file."""


@dataclass(frozen=True)
class Wishes:
    """Which diagnoses, and how.

    Attributes:
        kinds: of `FILES`.
        blocks: of each language, for gradients.
        masks: of `Examination.masks`.
        parallel: line-aligned files, for similarity.
    """

    kinds: frozenset[str]
    blocks: int
    masks: Mapping[str, Any] = field(default_factory=dict)
    parallel: Mapping[str, Path] = field(default_factory=dict)


def diagnose_run(console: Console, run: Path, wishes: Wishes) -> None:
    """What is wished for, one after another; results and figures go into RUN/diagnosis."""
    examined = Examination(run)
    if "gradients" in wishes.kinds:
        diagnose_gradients(console, examined, blocks=wishes.blocks)
    if "masks" in wishes.kinds:
        diagnose_masks(console, examined, **wishes.masks)
    if "affinity" in wishes.kinds:
        diagnose_affinity(console, examined)
    if "similarity" in wishes.kinds:
        diagnose_similarity(console, examined, run, wishes.parallel)
    console.print(f"results and figures: {examined.folder}", highlight=False)


def diagnose_gradients(console: Console, examined: Examination, *, blocks: int) -> None:
    """Gradient conflict: cost first, then a row for each pair and region."""
    console.print(f"gradients: {examined.conflict_cost(blocks)}", highlight=False)
    with ProgressView(console) as view:
        found = examined.gradients(blocks=blocks, progress=view.counter)
    header, *rows = found.as_rows()
    if rows:
        print_table(console, "Gradient conflict", header, rows, _gradient_notes(found, examined))
    header, *rows = found.control_rows()
    print_table(console, "Each language against itself", header, rows[: len(found.languages)])
    for first, second in _drawn(console, found.languages):
        draw_conflict(found, first, second, examined.folder)
    if (examined.folder / GradientConflictSeries.FILE).exists():
        draw_conflict_over_training([GradientConflictSeries.read(examined.folder)], examined.folder)


def _drawn(console: Console, languages: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs that get figures of their own: all, unless there are dozens."""
    pairs = list(combinations(languages, 2))
    if len(pairs) <= MOST_DRAWN:
        return pairs
    console.print(f"figures of single pairs are left out: there are {len(pairs)}. The file has their numbers.")
    return []


def _gradient_notes(found: GradientConflict, examined: Examination) -> list[str]:
    is_weak = any(found.pair(*pair, THETA).verdict == "cannot tell" for pair in found.pairs)
    size = examined.text.blocks_in(min(found.microbatches))
    short = found.short_languages
    return [
        f"Raw: of the gradients of {size:,} blocks. If the same: what it would be, were noise the only difference. Corrected: without noise.",
        *([f"Smaller batches for want of text: {', '.join(short)}."] if short else []),
        *([WEAK] if is_weak else []),
    ]


def diagnose_masks(console: Console, examined: Examination, **wishes: Any) -> None:
    """Which parameters belong to whom: shares, likeness of masks, and what follows when masks are swapped.

    Args:
        wishes: of `Examination.masks`.
    """
    with ProgressView(console) as view:
        found = examined.masks(**wishes, progress=view.counter)
    print_table(console, f"Masks over {found.groups}", *_share_table(found))
    print_table(console, "Loss of held-out text under a mask, nats", *_swap_table(found))
    draw_mask_shares(found, examined.folder)
    for pair in _drawn(console, found.languages):
        draw_mask_similarity(found, pair, examined.folder)
        for language, other in (pair, pair[::-1]):
            draw_mask_extremes(found, language, other, examined.folder)
    if len(found.languages) == 1:
        draw_mask_similarity(found, found.languages, examined.folder)


def _share_table(found: ParameterMasks) -> tuple[list[str], list[list[str]], list[str]]:
    rows = [
        [
            " ".join(([] if row.layer is None else [f"layer {row.layer}"]) + [row.kind or "all"]),
            *(f"{share:.1%}" for share in (row.universal, row.owned, row.unused)),
            f"{chance:.1%}",
        ]
        for row, chance in zip(found.shares(), found.owned_by_chance(), strict=True)
    ]
    header = ["parameters", "universal", "owned", "unused", "owned by chance"]
    note = (
        "Groups that are open for all languages, for some, for none. By chance: between two masks of one language, so what `owned` "
        "has over it is the languages'."
    )
    return header, rows, [note]


def _swap_table(found: ParameterMasks) -> tuple[list[str], list[list[str]], list[str]]:
    def row(name: str, losses: Mapping[str, float]) -> list[str]:
        return [name, *(f"{losses[language]:.3f}" for language in found.languages)]

    rows = [row("none", found.full_loss), *(row(f"of {mask}", losses) for mask, losses in found.swaps.items())]
    for owner, removal in found.removals.items():
        by_chance = {language: fmean(removal.random_loss[language]) for language in found.languages}
        rows.append(row(f"without the {removal.num_groups:,} of {owner} alone", removal.loss))
        rows.append(row(f"without {removal.num_groups:,} at random", by_chance))
    note = "Columns: language of the text. A language's own mask should cost it less than another's, and losing what it owns should cost it most."
    return ["mask", *found.languages], rows, [note]


def diagnose_affinity(console: Console, examined: Examination) -> None:
    """Lookahead affinity, a row for each language that takes the step."""
    found = examined.affinity()
    rows = [[language, *_affinity_cells(found, i)] for i, language in enumerate(found.languages)]
    is_wide = len(found.languages) > MOST_WITH_INTERVALS
    note = (
        f"Share of the column's loss that an SGD step of rate {found.draws[0].rate:g} on the row takes away, in percent; "
        f"{'intervals are in the file' if is_wide else '95 % over draws'}."
    )
    print_table(console, "Lookahead affinity", ["a step on", *found.languages], rows, [note])
    draw_matrix(affinity_picture(found), examined.folder)


def _affinity_cells(found: LookaheadAffinity, row: int) -> list[str]:
    if found.low is None or found.high is None or len(found.languages) > MOST_WITH_INTERVALS:
        return [f"{100 * value:+.3f}" for value in found.mean[row]]
    arms = [(high - low) / 2 for low, high in zip(found.low[row], found.high[row], strict=True)]
    return [f"{100 * value:+.3f} ± {100 * arm:.3f}" for value, arm in zip(found.mean[row], arms, strict=True)]


def diagnose_similarity(console: Console, examined: Examination, run: Path, files: Mapping[str, Path]) -> None:
    """CKA and retrieval, a row for each pair and layer; says what it lacks where there is no parallel text."""
    text = parallel_text(run, examined.languages, files)
    if text is None:
        console.print("similarity: left out. It needs sentences that say the same: --parallel en=FILE,sw=FILE")
        return
    found = examined.similarity(text)
    header = ["languages", "layer", "CKA", "debiased", "shuffled", "found there", "found back"]
    note = f"{found.pairs[0].sentences:,} parallel sentences. Found: share whose nearest neighbour in the other language is the translation."
    print_table(console, "Similarity of representations", header, _similarity_rows(found), [note])
    draw_similarity(found, examined.folder)


def _similarity_rows(found: RepresentationSimilarity) -> list[list[str]]:
    return [
        [
            f"{pair.first}-{pair.second}",
            "embeddings" if number == 0 else str(number),
            *("" if value is None else f"{value:.3f}" for value in (layer.cka, layer.debiased_cka, layer.shuffled_cka)),
            f"{layer.found_second:.1%}",
            f"{layer.found_first:.1%}",
        ]
        for pair in found.pairs
        for number, layer in enumerate(pair.layers)
    ]
