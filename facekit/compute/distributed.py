"""Several processes of one run: each works on its share of a batch, all hold the same weights.

`torchrun` starts them; alone, everything here leaves its arguments as they are.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from facekit.errors import DataError

TIMEOUT = timedelta(minutes=30)  # the others wait while the first one writes files


@dataclass(frozen=True)
class Group:
    """The processes of a run.

    Attributes:
        rank: number of this one; 0 writes the files.
        size: how many there are.
        device: that tensors are exchanged on.
    """

    rank: int = 0
    size: int = 1
    device: str | torch.device = "cpu"

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


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Group, torch.device]]:
    """Yield the processes that `torchrun` started, and the device of this one.

    Of the others than the first only warnings are heard.

    Args:
        device: a CUDA device (NCCL is used, and each process takes a GPU of its own) or the CPU
            (Gloo).

    Raises:
        DataError: fewer GPUs than processes on this machine.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE, device
        return
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise DataError(
                f"process {local} of this machine has no GPU: {torch.cuda.device_count()} are"
                " there; give torchrun a smaller --nproc-per-node"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        group = Group(distributed.get_rank(), size, device)
        if not group.is_lead:
            logging.getLogger().setLevel(logging.WARNING)
        yield group, device
    finally:
        distributed.destroy_process_group()
