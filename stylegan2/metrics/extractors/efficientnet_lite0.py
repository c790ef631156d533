"""Features of an EfficientNet-Lite0 whose weights are installed with the package."""

from pathlib import Path
from typing import TYPE_CHECKING

from stylegan2.metrics.extractors import EXTRACTORS, ExtractorChoice

if TYPE_CHECKING:
    from stylegan2.metrics.features import Extractor


@EXTRACTORS.register("efficientnet_lite0")
class EfficientNetLite0Choice(ExtractorChoice):
    """Needs no download; its figures cannot be compared with published ones."""

    @staticmethod
    def make(weights: Path | None) -> "Extractor":
        """Return the extractor; it has no other weights than its own."""
        from stylegan2.metrics import features

        del weights
        return features.EfficientNetLite0()
