"""What the masks of each language find (method 7): which parameter groups it needs, and what follows when they are taken away.

Where logits pi are compared, they are those of a language's first run; its second is the control. A group is open for a
language where its pi is above 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from detente.diagnosis_results.base import Diagnosis
from detente.errors import DataError

LARGEST = 2_000_000
"""Logits that a file may hold: some 40 MB."""

Pi = Float[np.ndarray, " groups"]
Groups = Bool[np.ndarray, " groups"]


@dataclass(frozen=True)
class GatedPart:
    """What has gates of its own: a matrix, or the heads or neurons of a layer.

    Attributes:
        layer: counted from 0; None outside the layers.
        kind: attention or ffn.
        num_groups: gates; pi of all parts stand one after the other.
    """

    name: str
    layer: int | None
    kind: str
    num_groups: int


@dataclass(frozen=True)
class MaskRun:
    """One mask of one language.

    Attributes:
        sparsity_weight: the price in nats of keeping every group open, mean over the last fifth of the steps.
        expected_open: mean probability that a gate is open: what is paid for.
        loss: of the language's held-out text under this mask, without chance.
    """

    seed: int
    logits: tuple[float, ...]
    sparsity_weight: float
    expected_open: float
    loss: float


@dataclass(frozen=True)
class Removal:
    """The whole model without the groups that are open for one language and for no other.

    Attributes:
        loss: held-out, of each language.
        random_loss: the same without as many random groups of the same parts; one number a draw.
    """

    num_groups: int
    loss: dict[str, float]
    random_loss: dict[str, tuple[float, ...]]


class MaskSimilarity(NamedTuple):
    """Of two vectors of pi, in one layer and kind."""

    layer: int | None
    kind: str
    cosine: float | None
    """As the source reports it. All pi start at one value, so it is near 1 wherever most gates stay open, whatever the rest do."""
    centred: float | None
    """After the mean of each vector was taken off: the correlation, 0 for masks that have nothing to do with each other. None where
    a vector has only one value."""


class Extreme(NamedTuple):
    """A group that a language feels strongly about."""

    part: str
    number: int
    """Within the part, from 0."""
    value: float
    other: float
    """pi of the other language."""


class Shares(NamedTuple):
    """Of the groups of one layer and kind (None: of all)."""

    layer: int | None
    kind: str | None
    universal: float
    """Open for all languages."""
    owned: float
    """Open for some, closed for others."""
    unused: float
    """Closed for all."""


@dataclass(frozen=True)
class ParameterMasks(Diagnosis):
    """Masks of each language over one frozen model, and what they do.

    Attributes:
        groups: rows, heads, neurons, matrices or weights.
        target_open: share of open gates that was asked for; None where the price was fixed.
        runs: language -> two runs that differ in seed and batches.
        full_loss: held-out loss of each language without a mask.
        swaps: language of the mask -> language of the text -> held-out loss.
        removals: by owner; none where there is one language only.
    """

    FILE: ClassVar[str] = "masks.json"

    languages: tuple[str, ...]
    groups: str
    steps: int
    target_open: float | None
    parts: tuple[GatedPart, ...]
    runs: dict[str, tuple[MaskRun, MaskRun]]
    full_loss: dict[str, float]
    swaps: dict[str, dict[str, float]]
    removals: dict[str, Removal]

    def write(self, folder: Path) -> Path:
        """As of any diagnosis.

        Raises:
            DataError: there are more logits than a JSON file should hold.
        """
        num_logits = sum(len(run.logits) for runs in self.runs.values() for run in runs)
        if num_logits > LARGEST:
            raise DataError(
                f"masks over {self.groups} have {num_logits:,} logits, and {self.FILE} holds {LARGEST:,} at most. "
                "Mask rows, or take what you need from the result in Python."
            )
        return super().write(folder)

    def pi(self, language: str, run: int = 0) -> Pi:
        """All logits of a run."""
        return np.asarray(self.runs[language][run].logits)

    def similarity(self, first: str, second: str) -> list[MaskSimilarity]:
        """Between two languages, for each layer and kind (the source's Figure 4a)."""
        return self._similarity(self.pi(first), self.pi(second))

    def control(self, language: str) -> list[MaskSimilarity]:
        """Between the two runs of one language: how far masks agree that should."""
        return self._similarity(self.pi(language), self.pi(language, 1))

    def extremes(self, language: str, other: str, count: int = 10) -> list[Extreme]:
        """The `count` lowest and the `count` highest pi of a language, ascending, beside the other's (the source's Figure 4b)."""
        mine, theirs = self.pi(language), self.pi(other)
        order = np.argsort(mine, kind="stable")
        count = min(count, len(order) // 2)
        chosen = [*order[:count], *order[len(order) - count :]]
        starts = np.cumsum([0, *(part.num_groups for part in self.parts)])
        places = np.searchsorted(starts, chosen, side="right") - 1
        return [
            Extreme(self.parts[place].name, int(group - starts[place]), float(mine[group]), float(theirs[group]))
            for place, group in zip(places, chosen, strict=True)
        ]

    def shares(self) -> list[Shares]:
        """Of all groups first, then for each layer and kind."""
        return self._shares([self.pi(language) for language in self.languages])

    def control_shares(self, language: str) -> list[Shares]:
        """As if the two runs of one language were two languages: its `owned` is what chance does."""
        return self._shares([self.pi(language), self.pi(language, 1)])

    def owned_by_chance(self) -> list[float]:
        """`owned` between two runs of one language, mean over the languages, in the order of `shares`."""
        controls = [self.control_shares(language) for language in self.languages]
        return [fmean(each.owned for each in place) for place in zip(*controls, strict=True)]

    def owned(self, language: str) -> Groups:
        """The groups that are open for this language and closed for every other."""
        return open_for_one({each: self.pi(each) for each in self.languages}, language)

    def open_share(self, language: str, run: int = 0) -> float:
        """Share of the groups that are open."""
        return float(np.mean(self.pi(language, run) > 0))

    def _similarity(self, first: Pi, second: Pi) -> list[MaskSimilarity]:
        return [
            MaskSimilarity(layer, kind, _cosine(first[where], second[where]), _centred(first[where], second[where]))
            for (layer, kind), where in self._places().items()
        ]

    def _shares(self, vectors: list[Pi]) -> list[Shares]:
        is_open = np.stack(vectors) > 0
        universal: Groups = np.all(is_open, axis=0)
        unused: Groups = ~np.any(is_open, axis=0)
        owned = ~universal & ~unused
        everything: list[tuple[int | None, str | None, Groups]] = [
            (None, None, np.ones(is_open.shape[1], dtype=bool)),
            *((layer, kind, where) for (layer, kind), where in self._places().items()),
        ]
        return [
            Shares(layer, kind, float(universal[where].mean()), float(owned[where].mean()), float(unused[where].mean()))
            for layer, kind, where in everything
        ]

    def _places(self) -> dict[tuple[int | None, str], Groups]:
        """Which groups stand in each layer and kind, in the order of the parts."""
        sizes = [part.num_groups for part in self.parts]
        numbers = np.repeat(np.arange(len(self.parts)), sizes)
        places = dict.fromkeys((part.layer, part.kind) for part in self.parts)
        return {
            place: np.isin(numbers, [n for n, part in enumerate(self.parts) if (part.layer, part.kind) == place])
            for place in places
        }


def open_for_one(pi: Mapping[str, Pi], owner: str) -> Groups:
    """The groups whose pi is above 0 for one language alone."""
    others = [values <= 0 for language, values in pi.items() if language != owner]
    return np.logical_and.reduce([pi[owner] > 0, *others])


def _cosine(first: Pi, second: Pi) -> float | None:
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norm if norm else None


def _centred(first: Pi, second: Pi) -> float | None:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return _cosine(first - first.mean(), second - second.mean())
