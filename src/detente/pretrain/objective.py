"""The masked-LM loss as a pure function of theta, phi_i and a batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call

from detente.batches import MaskedBatch
from detente.encoder import Encoder
from detente.treatment import TreatedEncoder
from detente.treatment.treated import Parameters


def masked_lm_loss(
    treated: TreatedEncoder,
    batch: MaskedBatch,
    *,
    shared: Parameters | None = None,
    specific: Parameters | None = None,
    precision: str = "float32",
) -> Float[Tensor, ""]:
    """Mean cross-entropy at the targets, in nats (method 3); of this process's rows, its share of the whole batch's mean.

    Dropout draws from the batch's own seed: calling it again, at other parameters, uses the same dropout masks. The finite
    differences of the meta step are noise without that. On a GPU, fused attention draws the masks of attention weights
    differently in bf16 and in float32; on a CPU they are the same. A compiled model draws other masks than one that is not.
    """
    device = batch.tokens.device
    parameters = treated.parameters_of(batch.language, shared=shared, specific=specific)
    # Filled on the device: a copy from the host would wait for it.
    language = torch.full((), treated.languages.index(batch.language), device=device)
    loss_of = _compiled() if treated.compiled else summed_loss
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), autocast(precision, device):
        _seed(batch.seed, device)
        total = loss_of(
            treated.encoder,
            parameters,
            language=language,
            tokens=batch.tokens,
            positions=batch.positions,
            targets=batch.targets,
        )
    return total / batch.num_targets


def _seed(seed: int, device: torch.device) -> None:
    """As `torch.manual_seed`, of the generators that dropout draws from. That seeds those of devices that are not there too, and keeps a
    traceback for each: a fortieth of a small step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(seed)


def summed_loss(
    encoder: Encoder,
    parameters: dict[str, Tensor],
    *,
    language: Int[Tensor, ""],
    tokens: Int[Tensor, "B T"],
    positions: Int[Tensor, "B M"],
    targets: Int[Tensor, "B M"],
) -> Float[Tensor, ""]:
    """Summed cross-entropy at the targets, in nats, in float32 or better."""
    logits = functional_call(encoder, parameters, (tokens, language, positions), strict=False)
    return F.cross_entropy(at_least_float32(logits).flatten(0, 1), targets.flatten(), reduction="sum")


def at_least_float32(x: Tensor) -> Tensor:
    """bf16 has too few digits for a softmax over a vocabulary."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


GRAPHS = 64
"""Torch stops compiling a function after 8 graphs, and the meta step needs about as many: passes over parts of a batch, and for theta,
for phi or for both."""


@cache
def _compiled() -> Callable[..., Tensor]:
    """One graph for all languages: parameters, language and batch are its inputs. Another graph where another shape comes, or
    where gradients of other parameters are wanted."""
    compiled = torch.compile(summed_loss, dynamic=False)

    def call(encoder: Encoder, parameters: dict[str, Tensor], **batch: Tensor) -> Tensor:
        with torch._dynamo.config.patch(recompile_limit=GRAPHS):
            return compiled(encoder, parameters, **batch)

    return call


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """bf16 autocast, or nothing."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
