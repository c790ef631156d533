"""The part of an arm that has added images count for less."""

from collections.abc import Sequence

from classifiers.arms import ARMS, Part
from facekit.options import PositiveShare, option


@ARMS.register("soft")
class Soft(Part):
    """Added images, such as synthetic ones, have a weight in the loss: `synth@0.5+soft@0.3`."""

    changes = "weight of added images"

    weight: PositiveShare = option(help="Of each; that of real images is 1.")

    @property
    def added_weight(self) -> float:
        """Weight of added images in the loss."""
        return self.weight

    def objection(self, others: Sequence[Part]) -> str:
        """Return why it cannot be joined with other parts, in words; empty if it can."""
        if any(part.filled for part in others):
            return ""
        return "soft weighs added images, but no part adds any"
