"""From what was kept of each language's gradient to the result."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from jaxtyping import Float

from detente.diagnose.gradient_bootstrap import Bootstrap, Sample
from detente.diagnose.gradient_groups import Groups
from detente.diagnose.gradient_passes import LanguageGradient
from detente.diagnose.projection import Projection
from detente.diagnosis_results.gradients import (
    GradientConflict,
    GradientGroup,
    Region,
    RegionIntervals,
    membership,
    regions_of,
)


@dataclass(frozen=True)
class Assembly:
    """All languages together. The means of the gradients are kept of all of them, or of none."""

    languages: tuple[str, ...]
    gradients: Sequence[LanguageGradient]
    groups: Groups
    projection: Projection

    def result(self, *, step: int | None, resamples: int, seed: int) -> GradientConflict:
        """With its intervals."""
        conflict = GradientConflict(
            languages=self.languages,
            step=step,
            parts=tuple(each.num_parts for each in self.gradients),
            microbatches=tuple(each.microbatches for each in self.gradients),
            left_out=tuple(each.left_out for each in self.gradients),
            is_exact=self._is_exact,
            groups=tuple(map(self._group, range(len(self.groups.places)))),
            cosine_error=self._cosine_error() if self._is_exact and len(self.languages) > 1 else None,
            intervals=(),
            resamples=resamples,
            seed=seed,
        )
        bootstrap = Bootstrap(np.array(conflict.parts, dtype=float), resamples=resamples, seed=seed)
        intervals = [
            RegionIntervals(region, *bootstrap.intervals(self._sample(conflict, region)))
            for region in regions_of(conflict.groups)
        ]
        return replace(conflict, intervals=tuple(intervals))

    def _sample(self, conflict: GradientConflict, region: Region) -> Sample:
        where = membership(conflict.groups, region)
        return Sample(
            cosines=conflict.cosines(region),
            influences=self._influences[where].sum(axis=0),
            part_squares=self._part_squares[where].sum(axis=0),
            variances=conflict.projection_variances(region),
        )

    def _group(self, number: int) -> GradientGroup:
        place, (median, largest) = self.groups.places[number], self._projection_errors(number)
        squares = [each.part_squares[:, number].mean().item() for each in self.gradients]
        return GradientGroup(
            layer=place.layer,
            kind=place.kind,
            num_parameters=self.projection.group_sizes[number],
            gram=tuple(map(tuple, self._grams[number].tolist())),
            part_squares=tuple(squares),
            width=self.projection.widths[number],
            projection_error=median,
            largest_projection_error=largest,
        )

    @property
    def _is_exact(self) -> bool:
        return all(each.mean is not None for each in self.gradients)

    @cached_property
    def _grams(self) -> Float[np.ndarray, "groups languages languages"]:
        found = self._exact_products() if self._is_exact else self._projected_products()
        for place, each in enumerate(self.gradients):
            found[:, place, place] = each.square.cpu().numpy()
        return found

    def _exact_products(self) -> Float[np.ndarray, "groups languages languages"]:
        found = np.zeros((len(self.groups.places), len(self.languages), len(self.languages)))
        for (i, one), (j, two) in combinations(enumerate(self.gradients), 2):
            assert one.mean is not None and two.mean is not None, "means are kept of all languages or none"
            found[:, i, j] = found[:, j, i] = self.groups.products(one.mean, two.mean).cpu().numpy()
        return found

    def _projected_products(self) -> Float[np.ndarray, "groups languages languages"]:
        """The diagonals are of something else."""
        parts = np.array([each.num_parts for each in self.gradients])
        found = self._influences.sum(axis=2) / parts[:, None]
        return (found + found.transpose(0, 2, 1)) / 2

    def _cosine_error(self) -> float:
        """Over theta, the largest."""
        squares = np.array([each.square.sum().item() for each in self.gradients])
        apart = np.triu(self._projected_products().sum(axis=0) - self._grams.sum(axis=0), k=1)
        lengths = np.sqrt(np.outer(squares, squares))
        return float(np.max(np.abs(apart) / np.where(lengths > 0, lengths, 1)))

    @cached_property
    def _influences(self) -> Float[np.ndarray, "groups languages parts languages"]:
        """As in `Sample`."""
        return np.stack([self._influences_of(rows) for rows in map(self._projected, range(len(self.groups.places)))])

    def _influences_of(
        self, rows: Float[np.ndarray, "languages parts width"]
    ) -> Float[np.ndarray, "languages parts languages"]:
        parts = np.array([each.num_parts for each in self.gradients])
        found = np.einsum("irw,jw->irj", rows, rows.sum(axis=1) / parts[:, None], optimize=True)
        squares = np.einsum("irw,irw->ir", rows, rows)
        for place, count in enumerate(parts):
            found[place, :, place] = (count * found[place, :, place] - squares[place]) / (count - 1)
        return found

    @cached_property
    def _part_squares(self) -> Float[np.ndarray, "groups languages parts"]:
        found = np.zeros((len(self.groups.places), len(self.languages), self._most_parts))
        for place, each in enumerate(self.gradients):
            found[:, place, : each.num_parts] = each.part_squares.cpu().numpy().T
        return found

    def _projected(self, number: int) -> Float[np.ndarray, "languages parts width"]:
        """A group's part of all projections."""
        found = np.zeros((len(self.languages), self._most_parts, self.projection.widths[number]))
        for place, each in enumerate(self.gradients):
            found[place, : each.num_parts] = self.projection.split(each.projected)[number].cpu().numpy()
        return found

    def _projection_errors(self, number: int) -> tuple[float, float]:
        """Of squared lengths, relative: median and largest."""
        exact = self._part_squares[number]
        projected = np.square(self._projected(number)).sum(axis=-1)
        errors = np.abs(projected[exact > 0] / exact[exact > 0] - 1)
        return (float(np.median(errors)), float(np.max(errors))) if errors.size else (0.0, 0.0)

    @property
    def _most_parts(self) -> int:
        return max(each.num_parts for each in self.gradients)
