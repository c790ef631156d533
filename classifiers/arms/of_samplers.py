"""Arms that take another sampler."""

from classifiers.arms import ARMS, Part
from classifiers.samplers import SAMPLERS


def _arm(name: str) -> type[Part]:
    class OtherSampler(Part):
        """Images are shown as a sampler of its name says."""

        changes = "sampler"

        def sampler(self, sampler: str) -> str:
            return name

    return OtherSampler


for name in SAMPLERS:
    ARMS.register(name)(_arm(name))
