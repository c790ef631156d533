"""Features of the Inception network that published FIDs were computed with."""

from pathlib import Path
from typing import TYPE_CHECKING

from stylegan2.metrics.extractors import EXTRACTORS, ExtractorChoice

if TYPE_CHECKING:
    from stylegan2.metrics.features import Extractor


@EXTRACTORS.register("inception")
class InceptionChoice(ExtractorChoice):
    """Needs the file inception-2015-12-05.pt."""

    takes_weights = True

    @staticmethod
    def make(weights: Path | None) -> "Extractor":
        """Return the extractor with weights of a file, by default in torch's hub cache."""
        from stylegan2.metrics import features

        return features.Inception(weights)
