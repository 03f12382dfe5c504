"""Whether a network represents a sentence and its translation alike: linear CKA (Kornblith et al. 2019), and retrieval.

CKA compares how sentences lie to each other in one language with how they lie in the other, whatever the axes: it does not say
that translations have the same vectors. Retrieval does: it asks whether a sentence's nearest neighbour is its translation.

Legend: N sentences, T tokens, D width of the states.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from detente.diagnosis_results.similarity import LayerSimilarity, PairSimilarity, RepresentationSimilarity
from detente.errors import ConfigError, DataError
from detente.seeds import generator

States = Callable[[str, Any], Sequence[Tensor]]
"""Language and batch -> one row for each sentence of the batch, at every layer."""

FEWEST_SENTENCES = 4
"""Below it the unbiased estimate does not exist."""
ROUNDING = 1e-12
"""What is left of a size when all of it cancels, as a share."""


def representation_similarity(
    states: States, batches: Mapping[str, Iterable[Any]], *, seed: int = 0
) -> RepresentationSimilarity:
    """CKA and retrieval of every pair of languages at every layer, beside the same for shuffled sentences.

    Shuffling shows what comes of numbers alone. What comes of the text alone, of equal lengths and words in common, an untrained
    network of the same shape shows: measure that too.

    One number of 4 bytes is kept for each sentence, layer, language and unit of width, on the CPU; retrieval takes a matrix of
    sentences x sentences besides, 8 MB for a thousand.

    Args:
        states: of a batch of sentences, `mean_pool`ed say. Switch dropout off in it.
        batches: language -> its batches: sentence by sentence, all languages say the same.
        seed: of the shuffled control.

    Raises:
        ConfigError: there are fewer than two languages.
        DataError: languages differ in the number of sentences or layers or in width, there are fewer than 4 sentences, or states
            are not finite.
    """
    if len(batches) < 2:
        raise ConfigError(f"representations are compared between two languages or more, found {len(batches)}.")
    found = {language: _collect(states, language, its_batches) for language, its_batches in batches.items()}
    num_sentences = _check(found)
    order = _derangement(num_sentences, seed)
    pairs = [
        PairSimilarity(a, b, num_sentences, tuple(_layer(x, y, order) for x, y in zip(found[a], found[b], strict=True)))
        for a, b in combinations(found, 2)
    ]
    return RepresentationSimilarity(tuple(found), tuple(pairs))


def mean_pool(states: Float[Tensor, "N T D"], mask: Bool[Tensor, "N T"] | Int[Tensor, "N T"]) -> Float[Tensor, "N D"]:
    """The mean over a sentence's tokens; the mask is True or 1 where a token is real.

    Raises:
        DataError: a sentence has no real token.
    """
    counts_N = mask.sum(dim=1)
    if not bool(counts_N.all()):
        raise DataError(
            f"sentence {int(counts_N.argmin()) + 1} of the batch has no tokens: there is nothing to average."
        )
    # Not by multiplication: padding may hold NaN, and 0 * NaN is NaN.
    kept_NTD = states.masked_fill(~mask.bool()[:, :, None], 0.0)
    return kept_NTD.sum(dim=1) / counts_N[:, None]


def linear_cka(x: Float[Tensor, "N D_x"], y: Float[Tensor, "N D_y"]) -> Float[Tensor, ""]:
    """||Y'X||^2 / (||X'X|| ||Y'Y||) of centred columns, in [0, 1]: the feature-space form of Kornblith et al. 2019.

    1 for representations that differ by rotation, reflection and one scale. Biased upwards: of random numbers it is about
    D / (N + D), not zero. NaN where one is the same for all sentences.
    """
    return _normalised(_product, _centred(x), _centred(y))


def debiased_cka(x: Float[Tensor, "N D_x"], y: Float[Tensor, "N D_y"]) -> Float[Tensor, ""]:
    """CKA from unbiased estimates of HSIC (Song et al. 2012; Nguyen et al. 2021); N is 4 or more.

    In [-1, 1], and about zero for unrelated representations at any N and D. NaN where one is the same for all sentences but one.
    """
    return _normalised(_debiased_product, _centred(x), _centred(y))


def retrieval_accuracy(queries: Float[Tensor, "N D"], candidates: Float[Tensor, "N D"]) -> float:
    """Share of rows whose nearest candidate, by cosine, is the row of the same number. Of repeated sentences one is found."""
    cosines_NN = F.normalize(queries.double()) @ F.normalize(candidates.double()).T
    hits_N = cosines_NN.argmax(dim=1) == torch.arange(len(queries), device=queries.device)
    return float(hits_N.double().mean())


def _layer(x: Tensor, y: Tensor, order: Tensor) -> LayerSimilarity:
    return LayerSimilarity(
        cka=_known(linear_cka(x, y)),
        debiased_cka=_known(debiased_cka(x, y)),
        shuffled_cka=_known(linear_cka(x, y[order])),
        shuffled_debiased_cka=_known(debiased_cka(x, y[order])),
        found_second=retrieval_accuracy(x, y),
        found_first=retrieval_accuracy(y, x),
    )


def _known(value: Tensor) -> float | None:
    return float(value) if bool(value.isfinite()) else None


def _centred(x: Tensor) -> Tensor:
    """In float64, each column's mean taken away; NaN everywhere when only rounding is left."""
    wide = x.double()
    centred = wide - wide.mean(dim=0)
    is_constant = centred.norm() <= torch.finfo(x.dtype).eps * wide.norm()
    return centred.masked_fill(is_constant, torch.nan)


def _normalised(product: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    size_x, size_y = (product(z, z).masked_fill(product(z, z) <= ROUNDING * _product(z, z), torch.nan) for z in (x, y))
    return product(x, y) / (size_x * size_y).sqrt()


def _product(x: Tensor, y: Tensor) -> Tensor:
    """||Y'X||^2, which is the trace of XX'YY': HSIC but for a factor."""
    return (y.T @ x).square().sum()


def _debiased_product(x: Tensor, y: Tensor) -> Tensor:
    """n (n - 3) times the unbiased HSIC of Song et al. 2012, without its n x n matrices.

    They leave the diagonals of XX' and YY' out; for centred columns that comes to taking off what rows make with themselves.
    """
    n = len(x)
    rows_x, rows_y = x.square().sum(dim=1), y.square().sum(dim=1)
    return _product(x, y) - n / (n - 2) * rows_x @ rows_y + rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))


@torch.no_grad()
def _collect(states: States, language: str, batches: Iterable[Any]) -> list[Tensor]:
    """One tensor a layer, of all sentences."""
    parts = [[layer.float().cpu() for layer in states(language, batch)] for batch in batches]
    if not parts or not parts[0]:
        raise DataError(f"there are no representations of `{language}`: no batches, or no layers.")
    layers = [torch.cat(layer) for layer in zip(*parts, strict=True)]
    for number, layer in enumerate(layers):
        if not bool(layer.isfinite().all()):
            raise DataError(f"representations of `{language}` in layer {number} are not finite.")
    return layers


def _check(found: Mapping[str, list[Tensor]]) -> int:
    """The number of sentences, once all languages are known to agree."""
    sizes = {language: (len(layers), *layers[0].shape) for language, layers in found.items()}
    for place, what in enumerate(("layers", "sentences", "units")):
        if len({size[place] for size in sizes.values()}) > 1:
            counts = ", ".join(f"{size[place]} of {language}" for language, size in sizes.items())
            raise DataError(f"languages need the same number of {what} to be compared, found {counts}.")
    num_sentences = next(iter(sizes.values()))[1]
    if num_sentences < FEWEST_SENTENCES:
        raise DataError(
            f"similarity needs {FEWEST_SENTENCES} sentences or more, found {num_sentences}; a thousand are better."
        )
    return num_sentences


def _derangement(size: int, seed: int) -> Tensor:
    """A permutation without a fixed place: everyone takes the next one's in a random round."""
    round_ = generator("shuffled sentences", seed).permutation(size)
    order = torch.empty(size, dtype=torch.long)
    order[torch.from_numpy(round_)] = torch.from_numpy(round_).roll(1)
    return order
