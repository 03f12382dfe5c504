"""Gradient conflict: how the gradients of languages with respect to theta agree, with sampling noise taken out (method 7).

Goes in: a loss, theta, and the microbatches of one large batch of each language (4,096 sentences in the source). Comes out: inner
products of the languages' gradients for each layer and kind of module, from which cosines over any parameters follow. The
formulas are in `detente.diagnosis_results.conflict_statistics`; what it costs, in `gradient_cost`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from detente.diagnose.gradient_assembly import Assembly
from detente.diagnose.gradient_cost import WIDTH, projection_for
from detente.diagnose.gradient_groups import groups_of
from detente.diagnose.gradient_passes import Measuring, divide
from detente.diagnose.places import Loss
from detente.diagnosis_results.gradients import GradientConflict
from detente.errors import ConfigError
from detente.prepare import Counter
from detente.seeds import derive_seed

LEAST_RESAMPLES = 1000


def gradient_conflict(
    loss: Loss,
    parameters: Mapping[str, Tensor],
    batches: Mapping[str, Iterable[Any]],
    *,
    step: int | None = None,
    parts: int = 8,
    exact_up_to: int = 4,
    width: int = WIDTH,
    resamples: int = 2000,
    seed: int = 0,
    progress: Counter | None = None,
) -> GradientConflict:
    """Measure one batch of each language. Nothing is written to `parameters` or their gradients.

    Args:
        loss: of a microbatch at these parameters; parameters that only its language uses belong inside it.
        parameters: theta, by name: what the languages share. In float32; precision of the passes is the loss's affair.
        batches: language -> the microbatches of its batch, of one size and drawn independently. One language alone has its
            control and no pairs.
        step: of training; only noted.
        parts: consecutive runs of microbatches, whose gradients show the noise. As many as there are microbatches at most.
        exact_up_to: with so many languages or fewer, each one's gradient is kept. With more, one at a time, and their inner
            products come from projections: then a hundred languages take two gradients more memory than a training step at most
            (of very small models, one and 16 MiB).
        width: of the projection, numbers in each group; fewer where those of all parts would take more memory than one gradient (or 16 MiB).
        resamples: of the bootstrap.
        seed: of projection and bootstrap.

    Raises:
        ConfigError: no languages or parameters, fewer than two parts or a thousand resamples, or the loss does not depend on the
            parameters.
        DataError: a language has fewer than two microbatches.
        TrainingError: a gradient is not finite.
    """
    _check(parameters, batches, parts, resamples)
    groups, is_exact = groups_of(parameters), len(batches) <= exact_up_to
    drawn = derive_seed("gradient projection", seed)
    projection = projection_for(parameters, languages=len(batches), parts=parts, width=width, seed=drawn)
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    measure = Measuring(loss, leaves, groups, projection, keeps_means=is_exact)
    found = []
    for language, microbatches in batches.items():
        ready = list(microbatches)
        cut = divide(ready, parts, language)
        used = sum(map(len, cut))
        advance = progress(f"gradients of {language}", "microbatches", used) if progress else lambda _: None
        found.append(measure(language, cut, left_out=len(ready) - used, advance=advance))
    return Assembly(tuple(batches), found, groups, projection).result(step=step, resamples=resamples, seed=seed)


def _check(parameters: Mapping[str, Tensor], batches: Mapping[str, Iterable[Any]], parts: int, resamples: int) -> None:
    problems = [
        *([] if parameters else ["gradients need parameters, found none."]),
        *([] if batches else ["gradients need a language, found none."]),
        *([f"parts must be 2 or more, found {parts}: noise shows in differences between parts."] if parts < 2 else []),
        *([f"resamples must be 1000 or more, found {resamples}."] if resamples < LEAST_RESAMPLES else []),
    ]
    if problems:
        raise ConfigError(*problems)
