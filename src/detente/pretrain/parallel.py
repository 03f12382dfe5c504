"""The processes that train one run together (torchrun): each takes its share of every batch, and gradients are summed.

A loss is a process's share of the whole batch's mean (`masked_lm_loss`), so the sum over processes is that mean, and W
processes follow the trajectory of one. Every process makes the same calls in the same order, because all of them hold rows of
the same language at the same time.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from detente.batches import Share
from detente.errors import ProcessLost


@dataclass(frozen=True)
class Ranks:
    """This process and how many there are. Alone, nothing is communicated."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """The process that evaluates, writes and speaks."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """Of every batch."""
        return Share(self.rank, self.size)

    def sum_(self, *tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their sums over all processes: one all-reduce of one flat buffer.

        Raises:
            ProcessLost: another process has ended.
        """
        if self.size == 1:
            return
        flat_list = [tensor for some in tensors for tensor in some]
        flat = torch.cat([tensor.reshape(-1) for tensor in flat_list])
        with _lost_peers_named():
            dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in flat_list])
        for tensor, part in zip(flat_list, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, number: int) -> int:
        """The largest of every process's numbers.

        Raises:
            ProcessLost: another process has ended.
        """
        if self.size == 1:
            return number
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        value = torch.tensor(number, dtype=torch.int64, device=device)
        with _lost_peers_named():
            dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return int(value)


ALONE = Ranks()


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """The processes that torchrun started, connected while entered; this process alone without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield ALONE
        return
    if dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


@contextmanager
def _lost_peers_named() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(
            f"another process of this run has ended ({str(error).splitlines()[0][:120]}). The last checkpoint is intact: the same "
            "command goes on from there."
        ) from error
