"""Several processes of one run: each works on its share of a batch, all hold the same weights.

`torchrun` starts them, or the first one does; alone, everything here leaves its arguments as they
are.
"""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from facekit.compute import helpers
from facekit.errors import DataError

TIMEOUT = timedelta(minutes=30)  # the others wait while the first one writes files
LOOPBACK = "lo"  # network interface of a machine to itself


@dataclass(frozen=True)
class Group:
    """The processes of a run.

    Attributes:
        rank: number of this one; 0 writes the files.
        size: how many there are.
        device: that tensors are exchanged on.
        is_own: whether the program has started them itself, as many as suit the machine; how a
            batch is divided then does not depend on their number.
    """

    rank: int = 0
    size: int = 1
    device: str | torch.device = "cpu"
    is_own: bool = False

    @property
    def is_lead(self) -> bool:
        """Whether this process tells and writes."""
        return self.rank == 0

    def gather(self, x: Tensor) -> list[Tensor]:
        """Return a tensor of every process, in their order."""
        if self.size == 1:
            return [x]
        parts = [torch.empty_like(x) for _ in range(self.size)]
        distributed.all_gather(parts, x.contiguous())
        return parts

    def sum(self, values: list[float]) -> list[float]:
        """Return the sum over processes of some numbers."""
        if self.size == 1:
            return values
        return torch.stack(self.gather(self._tensor(values))).sum(dim=0).tolist()

    def any(self, flag: bool) -> bool:
        """Return whether it holds in any process."""
        return self.sum([float(flag)])[0] > 0

    def average_gradients(self, network: nn.Module) -> None:
        """Replace a network's gradients by their mean over processes."""
        if self.size == 1:
            return
        gradients = [x.grad for x in network.parameters() if x.grad is not None]
        if not gradients:  # of a phase that is switched off, which it is in all processes
            return
        flat = torch.cat([x.flatten() for x in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        for gradient, part in zip(
            gradients, flat.split([x.numel() for x in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def _tensor(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)


ALONE = Group()


def num_given() -> int | None:
    """Return how many processes were started on this machine, None if it is only this one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    return int(os.environ.get("LOCAL_WORLD_SIZE", size)) if size > 1 else None


@contextmanager
def joined(
    device: torch.device, num: int = 1, command: Sequence[str] = ()
) -> Iterator[tuple[Group, torch.device]]:
    """Yield the processes that were started, and the device of this one.

    Of the others than the first only warnings are heard.

    Args:
        device: a CUDA device (NCCL is used, and each process takes a GPU of its own) or the CPU
            (Gloo).
        num: of processes to start where none were started, on a CPU; they are ended again.
        command: of each, which calls `joined` as this process does.

    Raises:
        DataError: fewer GPUs than processes on this machine, or a process that was started ended
            by an error.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 and num == 1:
        yield ALONE, device
    elif size == 1:
        with helpers.started(command, num) as own:
            store = own.folder / helpers.STORE
            with _connected("gloo", device, rank=0, size=num, store=store) as group:
                yield group, device
    elif helpers.MEETING in os.environ:
        rank, store = int(os.environ["RANK"]), helpers.meet()
        with _connected("gloo", device, rank=rank, size=size, store=store) as group:
            yield group, device
    else:
        device = _own_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        with _connected(backend, device) as group:
            yield group, device


def _own_device(device: torch.device) -> torch.device:
    """Return the device of this process of `torchrun`."""
    if device.type != "cuda":
        return device
    local = int(os.environ["LOCAL_RANK"])
    if local >= torch.cuda.device_count():
        raise DataError(
            f"process {local} of this machine has no GPU: {torch.cuda.device_count()} are"
            " there; give torchrun a smaller --nproc-per-node"
        )
    device = torch.device("cuda", local)
    torch.cuda.set_device(device)
    return device


@contextmanager
def _connected(
    backend: str, device: torch.device, rank: int = -1, size: int = -1, store: Path | None = None
) -> Iterator[Group]:
    """Yield the processes, connected: of `torchrun`, or those that find each other by a file."""
    where: dict[str, Any] = {}
    if store is not None:
        where = {"init_method": store.as_uri(), "rank": rank, "world_size": size}
        if LOOPBACK in [name for _, name in socket.if_nameindex()]:  # they are all here
            os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)
    distributed.init_process_group(backend, timeout=TIMEOUT, **where)
    try:
        group = Group(
            distributed.get_rank(), distributed.get_world_size(), device, is_own=store is not None
        )
        if not group.is_lead:
            logging.getLogger().setLevel(logging.WARNING)
        yield group
    finally:
        distributed.destroy_process_group()
