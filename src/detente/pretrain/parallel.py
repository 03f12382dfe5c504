"""The processes that train one run together (torchrun): each takes its share of every batch, and gradients are summed.

A loss is a process's share of the whole batch's mean (`masked_lm_loss`), so the sum over processes is that mean, and W
processes follow the trajectory of one. Every process makes the same calls in the same order, because all of them hold rows of
the same language at the same time.
"""

import os
import re
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from detente.batches import Share
from detente.errors import DetenteError, ProcessLost

LONGEST_WAIT = timedelta(days=7)
"""For one another: the first process prepares and scores alone, which may take hours. A process that has died is noticed at once,
by its closed connection; only a machine that vanishes from the network is waited for."""


@dataclass(frozen=True)
class Ranks:
    """This process and how many there are. Alone, nothing is communicated."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """The process that prepares, evaluates, writes and speaks."""
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
        value = torch.tensor(number, dtype=torch.int64)
        with _lost_peers_named():
            dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return int(value)

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """What is done inside has been done by all when it is left; an error of one is an error of all, so they stay in step.

        Raises:
            DetenteError: that of another process.
            ProcessLost: another process has ended.
        """
        try:
            yield
        except DetenteError as error:
            self._tell(str(error))
            raise
        if problem := self._tell(""):
            raise DetenteError(problem)

    def _tell(self, problem: str) -> str:
        """What one of the processes has to tell all; '' when none has."""
        teller = self.agree(self.rank + 1 if problem else 0)
        told = [problem]
        if teller and self.size > 1:
            with _lost_peers_named():
                dist.broadcast_object_list(told, src=teller - 1, device=torch.device("cpu"))
        return told[0]


ALONE = Ranks()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The processes that torchrun started, connected while entered; this process alone without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield ALONE
        return
    if dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    # Numbers to agree on stay on the CPU: waiting there keeps no GPU busy, and notices a lost process by its connection.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=LONGEST_WAIT)
    yield Ranks(dist.get_rank(), dist.get_world_size())
    # Not after an error: the connections of a process that fails must not close before it could say why.
    dist.destroy_process_group()


def is_first_to_speak() -> bool:
    """Of the processes of torchrun that end with an error, the first to ask: one message is enough. Always, without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return True
    try:
        # torchrun's own store, which outlives every process that it started.
        store = dist.TCPStore(
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=timedelta(seconds=5)
        )
        return bool(store.add(f"detente/spoken/{os.environ['TORCHELASTIC_RESTART_COUNT']}", 1) == 1)
    except RuntimeError:
        return True


@contextmanager
def _lost_peers_named() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if threading.current_thread() is threading.main_thread():
            # torchrun is about to end the processes that are left; this one ends by itself, and says why first.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # Without the place in torch's sources that gloo puts before it.
        reason = re.sub(r"^\[\S+\] ", "", str(error).partition("\n")[0])[:120]
        raise ProcessLost(
            f"another process of this run has ended ({reason}). The last checkpoint is intact: the same command goes on from there."
        ) from error
