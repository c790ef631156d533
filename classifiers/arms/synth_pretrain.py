"""The arm that learns from synthetic images first."""

from collections.abc import Sequence

from classifiers.arms import ARMS, Part
from classifiers.arms.synth import Synth


@ARMS.register("synth_pretrain")
class SynthPretrain(Synth):
    """Synthetic images are shown beside the real ones in the first half of the training alone.

    With a share of 1 the classes are balanced in that half. Each real image is shown as often as in
    all arms, so that what is left out is synthetic: it is shown half as often as in `synth`.

    Training on both and then on real images alone is the usual way to bridge the gap between them:
    Seib, Lange and Wirtz 2020, arXiv:2007.08781.
    """

    added_until = 0.5

    def objection(self, others: Sequence[Part]) -> str:
        """Return why it cannot be joined with other parts, in words; empty if it can."""
        if any(part.relearned or part.sampler("") for part in others):
            return "synth_pretrain says itself which images are shown when"
        return ""
