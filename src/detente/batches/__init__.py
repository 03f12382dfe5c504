"""Token streams become masked batches: each batch is a pure function of (seed, step, rank, world size).

So resuming is starting at a step: there is no sampler state. The k-th batch of a language, its masks included, is the same in
every mixture of a study that has the same seed, so that mono and joint runs are compared on the same text.

    streams     the blocks of a language in an endless order; which language comes next
    masking     which positions are predicted, and what stands there instead
    batch       blocks of one language, this process's share of them
    train       the batches of a run
    held_out    the batches of the meta step's L_val
    evaluation  the batches of a score
    ahead       batches made while a GPU computes
"""

from detente.batches.ahead import MadeAhead, made_for
from detente.batches.batch import WHOLE, MaskedBatch, MaskedStream, Share, rows_in
from detente.batches.evaluation import evaluation_batches
from detente.batches.held_out import HeldOut, HeldOutBatches
from detente.batches.masking import IGNORED, SpecialTokens, mask_blocks
from detente.batches.streams import BlockStream, LanguageDraws, Tokens, sampling_probabilities
from detente.batches.train import TrainBatches

__all__ = [
    "IGNORED",
    "WHOLE",
    "BlockStream",
    "HeldOut",
    "HeldOutBatches",
    "LanguageDraws",
    "MadeAhead",
    "MaskedBatch",
    "MaskedStream",
    "Share",
    "SpecialTokens",
    "Tokens",
    "TrainBatches",
    "evaluation_batches",
    "made_for",
    "mask_blocks",
    "rows_in",
    "sampling_probabilities",
]
