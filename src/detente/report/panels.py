"""Which learning curves share a pair of axes: more than some eight lines in one place are not told apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from detente.report.canvas import shortened
from detente.report.curves import Curve
from detente.report.inventory import System
from detente.report.tables import system_label

MOST_VARIANTS = 6
LONGEST_LABEL = 34


@dataclass(frozen=True)
class CurveLine:
    """One system's curve in one panel."""

    system: System
    curve: Curve
    is_context: bool = False
    """Whether it is drawn in another panel too, and here only to compare with."""

    @property
    def label(self) -> str:
        return "mono" if self.system.is_mono else short_label(self.system)


def panels_of(lines: Sequence[tuple[System, Curve]]) -> list[list[CurveLine]]:
    """First mono and the treatments; then variants, a handful to a panel, with what they are compared with."""
    first = [CurveLine(system, curve) for system, curve in lines if not system.variant]
    variants = [CurveLine(system, curve) for system, curve in lines if system.variant]
    if not variants:
        return [first]
    count = math.ceil(len(variants) / MOST_VARIANTS)
    size = math.ceil(len(variants) / count)
    parts = [variants[start : start + size] for start in range(0, len(variants), size)]
    return [*([first] if first else []), *([*_context(first, part), *part] for part in parts)]


def _context(first: Sequence[CurveLine], part: Sequence[CurveLine]) -> list[CurveLine]:
    """Mono, the untreated mixture and the treatments that the variants of `part` are variants of."""
    varied = {line.system.treatment for line in part}
    return [
        CurveLine(line.system, line.curve, is_context=True)
        for line in first
        if line.system.is_mono or line.system.is_untreated or line.system.treatment in varied
    ]


def short_label(system: System) -> str:
    """For a figure."""
    return shortened(system_label(system), LONGEST_LABEL)
