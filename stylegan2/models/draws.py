"""Random draws by name, so that a test can replay recorded ones."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Draws:
    """Named draws; this one ignores the names and asks torch's generator.

    Every random number of the networks, the augmentation and the loss comes through such an object.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        """Draw from `generator` (on the device drawn for), or from torch's default one."""
        self.generator = generator

    def within(self, prefix: str) -> "Draws":
        """Return draws whose names lie below `prefix`."""
        del prefix
        return self

    def normal(self, name: str, shape: Sequence[int], device: torch.device | str) -> Tensor:
        """Return draws of the unit normal distribution, float32 of this shape."""
        del name
        return torch.randn(tuple(shape), generator=self.generator, device=device)

    def uniform(self, name: str, shape: Sequence[int], device: torch.device | str) -> Tensor:
        """Return draws from [0, 1), float32 of this shape."""
        del name
        return torch.rand(tuple(shape), generator=self.generator, device=device)

    def integer(self, name: str, low: int, high: int, device: torch.device | str) -> int:
        """Return one whole number from {low, ..., high - 1}."""
        del name
        return int(torch.randint(low, high, (), generator=self.generator, device=device))


DRAWS = Draws()
