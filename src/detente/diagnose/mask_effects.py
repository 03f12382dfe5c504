"""What masks do to held-out text: under another language's mask, and without the groups that one language alone has open.

The source compares masks only. These checks say whether the groups that masks call a language's own are (**beyond**).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from detente.diagnose.hard_concrete import expected_open, fixed_gates
from detente.diagnose.mask_groups import Grouping, Parameters
from detente.diagnose.masks import LanguageMasks, LearnedMask
from detente.diagnose.places import Loss
from detente.diagnosis_results.masks import GatedPart, MaskRun, ParameterMasks, Removal, open_for_one
from detente.errors import DataError, TrainingError
from detente.seeds import generator

HeldOut = Mapping[str, Sequence[Any]]
"""Language -> batches that no mask was learned on."""
DIGITS = 4
"""Decimals of pi that are kept; a step of Adam moves it by some 0.1."""

Groups = Bool[np.ndarray, " groups"]


def try_masks(
    loss: Loss, parameters: Parameters, masks: LanguageMasks, held_out: HeldOut, *, draws: int = 3, seed: int = 0
) -> ParameterMasks:
    """The masks, beside losses on held-out text: under each of them, and without what each language owns.

    Args:
        loss, parameters: what the masks were learned with.
        held_out: a language's loss is the mean over its batches.
        draws: random removals to compare each owner's with: as many groups of each part, whichever they are.
        seed: of the random removals.

    Raises:
        DataError: a language has no held-out batch.
        TrainingError: a loss is not finite.
    """
    if missing := [language for language in masks.runs if not held_out.get(language)]:
        raise DataError(f"held_out has no batch of {', '.join(missing)}. Give at least one for each language.")
    trial = _Trial(loss, parameters, masks.grouping, {language: held_out[language] for language in masks.runs})
    swaps = {language: trial.losses(fixed_gates(first.logits)) for language, (first, _) in masks.runs.items()}
    runs = {
        language: (
            _run(first, swaps[language][language]),
            _run(second, trial.loss_of(language, fixed_gates(second.logits))),
        )
        for language, (first, second) in masks.runs.items()
    }
    return ParameterMasks(
        languages=tuple(masks.runs),
        groups=masks.groups,
        steps=masks.steps,
        target_open=masks.target_open,
        parts=masks.grouping.parts,
        runs=runs,
        full_loss=trial.without(np.zeros(masks.grouping.num_groups, dtype=bool)),
        swaps=swaps,
        removals=_removals(trial, runs, draws, seed),
    )


@dataclass(frozen=True)
class _Trial:
    """The frozen model and the text it is tried on."""

    loss: Loss
    parameters: Parameters
    grouping: Grouping
    held_out: HeldOut

    def losses(self, gates: Float[Tensor, " groups"]) -> dict[str, float]:
        """Of every language."""
        return {language: self.loss_of(language, gates) for language in self.held_out}

    def without(self, removed: Groups) -> dict[str, float]:
        """Of every language when these groups are closed and all others open."""
        device = next(iter(self.parameters.values())).device
        return self.losses(torch.from_numpy(~removed).float().to(device))

    @torch.no_grad()
    def loss_of(self, language: str, gates: Float[Tensor, " groups"]) -> float:
        masked = {**self.parameters, **self.grouping.masked(self.parameters, gates)}
        mean = fmean(self.loss(masked, batch).item() for batch in self.held_out[language])
        if not np.isfinite(mean):
            raise TrainingError(
                f"the held-out loss of {language} is {mean:g}. Look at the model and at its held-out batches."
            )
        return mean


def _run(mask: LearnedMask, loss: float) -> MaskRun:
    logits = mask.logits.cpu().double()
    return MaskRun(
        seed=mask.seed,
        logits=tuple(logits.numpy().round(DIGITS).tolist()),
        sparsity_weight=mask.price,
        expected_open=expected_open(logits).mean().item(),
        loss=loss,
    )


def _removals(trial: _Trial, runs: Mapping[str, tuple[MaskRun, MaskRun]], draws: int, seed: int) -> dict[str, Removal]:
    if len(runs) < 2:
        return {}
    logits = {language: np.asarray(first.logits) for language, (first, _) in runs.items()}
    return {owner: _removal(trial, owner, open_for_one(logits, owner), draws, seed) for owner in runs}


def _removal(trial: _Trial, owner: str, owned: Groups, draws: int, seed: int) -> Removal:
    random = generator("mask removal", seed, owner)
    drawn = [trial.without(_as_many(owned, trial.grouping.parts, random)) for _ in range(draws)]
    losses = {language: tuple(loss[language] for loss in drawn) for language in trial.held_out}
    return Removal(int(owned.sum()), trial.without(owned), losses)


def _as_many(owned: Groups, parts: Sequence[GatedPart], random: np.random.Generator) -> Groups:
    """As many random groups of each part, so that matrices that matter more do not make the difference."""
    ends = np.cumsum([part.num_groups for part in parts])
    return np.concatenate([random.permutation(part) for part in np.split(owned, ends[:-1])])
