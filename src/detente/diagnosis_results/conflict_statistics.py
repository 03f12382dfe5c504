"""How gradients of languages agree, out of inner products alone (method 7).

A language's batch is cut into R parts with gradients a_1 .. a_R, which are independent and have one mean, E a: the gradient on all
its text. With m = 1/R sum_r a_r, the gradient of the whole batch:

    E |m|^2    = |E a|^2 + noise / R          sampling noise makes m longer and no more alike: it shrinks cosines
    u          = mean over r != s of <a_r, a_s> = (R |m|^2 - 1/R sum_r |a_r|^2) / (R - 1)
    E u        = |E a|^2                       the signal, since different parts are independent
    corrected  = <m_i, m_j> / sqrt(u_i u_j)    above and below the line without bias; for R = 2, method 7's formula
    control    = u / |m|^2                     the cosine to expect of two independent batches of this size of one language

The control takes all pairs of parts; a cosine of two halves would be of batches half as large, and vary more. Where two languages'
gradients differ in noise only, their raw cosine is about sqrt(control_i control_j).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

PerLanguage = Float[np.ndarray, "*rows languages"]
Gram = Float[np.ndarray, "languages languages"]


class Cosines(NamedTuple):
    """Of L languages, over some parameters.

    Attributes:
        gram: <m_i, m_j>.
        signals: u; noise may take it below zero.
        controls: NaN without a gradient.
        raw: <m_i, m_j> / |m_i| |m_j|; NaN without a gradient.
        corrected: chance may take it past 1; NaN where a signal is not above zero.
    """

    gram: Gram
    signals: PerLanguage
    controls: PerLanguage
    raw: Gram
    corrected: Gram


def cosines_of(gram: Gram, part_squares: PerLanguage, parts: PerLanguage) -> Cosines:
    """Everything that follows from inner products.

    Args:
        part_squares: of each language, the mean of |a_r|^2 over its parts.
        parts: R of each language.
    """
    squares = np.diagonal(gram)
    signals = (parts * squares - part_squares) / (parts - 1)
    known = np.maximum(signals, 0)
    return Cosines(
        gram,
        signals,
        controls_of(signals, part_squares, parts),
        _ratio(gram, np.sqrt(np.outer(squares, squares))),
        _ratio(gram, np.sqrt(np.outer(known, known))),
    )


def controls_of(signals: PerLanguage, part_squares: PerLanguage, parts: PerLanguage) -> PerLanguage:
    """u / |m|^2, where |m|^2 = ((R - 1) u + part_squares) / R, without u where noise took it below zero."""
    return _ratio(parts * signals, (parts - 1) * np.maximum(signals, 0) + part_squares)


def product_variances(
    grams: Float[np.ndarray, "groups languages languages"], widths: Float[np.ndarray, " groups"]
) -> Gram:
    """Of projected inner products, summed over groups: (|a|^2 |b|^2 + <a, b>^2) / width at most, in each.

    Weinberger et al. 2009, lemma 2.
    """
    squares = np.diagonal(grams, axis1=1, axis2=2)
    found = (squares[:, :, None] * squares[:, None, :] + grams**2) / widths[:, None, None]
    return found.sum(axis=0)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
