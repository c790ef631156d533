"""Extractors of features by name; each is a file here, and its network is imported when it is made.

The names are choices of a command line, so these files keep torch inside their functions.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from facekit.registry import Registry

if TYPE_CHECKING:
    from stylegan2.metrics.features import Extractor


class ExtractorChoice(ABC):
    """How an extractor is made.

    Attributes:
        takes_weights: whether its weights are a file of the user's; others bring their own.
    """

    takes_weights: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def make(weights: Path | None) -> "Extractor":
        """Return the extractor, on the CPU.

        Args:
            weights: file of the user's; None: its own, or where they lie by default.
        """


EXTRACTORS: Registry[type[ExtractorChoice]] = Registry("extractor", __name__)
