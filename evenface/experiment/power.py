"""What an experiment could see, and what would let it see more.

The smallest detectable difference is the true difference that the verdict calls better in a given
share of repetitions of the experiment, 4 of 5 if nothing else is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenface.experiment.intervals import POWER, detectable, rounds_variance


@dataclass(frozen=True)
class Variances:
    """What makes the difference between two arms vary.

    Attributes:
        images: variance that a single test image gives the difference, of which n have 1/n: the
            part that classifiers of all seeds have in common.
        noise: likewise, the part that each seed has for itself.
        seeds: between seeds of one GAN, on any number of images.
        rounds: between rounds, on any number of images and seeds.
    """

    images: float
    noise: float
    seeds: float
    rounds: float


@dataclass(frozen=True)
class Design:
    """What is repeated: rounds, seeds in each, images of each round's test part.

    With `same_test` all rounds have the same test part, an official one that is kept.
    """

    rounds: int
    seeds: int
    images: int
    same_test: bool = False

    def parts(self, variances: Variances) -> tuple[float, float, float, float]:
        """Return shared, df_shared, repeated, df_repeated, as `half_width` takes them."""
        of_seeds = (variances.noise / self.images + variances.seeds) / self.seeds
        shared = variances.images / self.images
        if self.rounds > 1 and self.same_test:
            return shared, np.inf, (of_seeds + variances.rounds) / self.rounds, self.rounds - 1.0
        if self.rounds > 1:
            between = shared + of_seeds + variances.rounds
            repeated = float(rounds_variance(between, self.rounds))
            return 0.0, np.inf, repeated, self.rounds - 1.0
        if self.seeds > 1:
            return shared, np.inf, of_seeds, self.seeds - 1.0
        return shared + variances.noise / self.images, np.inf, 0.0, np.inf


def detectable_by(
    design: Design, variances: Variances, confidence: float = 0.95, power: float = POWER
) -> float:
    """Return what a design detects; inf for one training of each arm, which claims nothing."""
    if design.rounds == design.seeds == 1:
        return float("inf")
    return detectable(*design.parts(variances), confidence=confidence, power=power)


def improvements(
    design: Design,
    variances: Variances,
    max_images: int | None = None,
    confidence: float = 0.95,
) -> list[tuple[str, Design, float]]:
    """Return what one more round, one more seed, or half as many images again would detect.

    Args:
        design: as it stands.
        variances: assumed or measured.
        max_images: that a round's test part can have; None for any number.
        confidence: of the interval.

    Returns:
        What is changed (`rounds`, `seeds`, `images`), the design, what it detects; the best first.
    """
    images = design.images + max(design.images // 2, 1)
    steps = [
        ("rounds", replace(design, rounds=design.rounds + 1)),
        ("seeds", replace(design, seeds=design.seeds + 1)),
    ]
    if max_images is None or images <= max_images:
        steps.append(("images", replace(design, images=images)))
    found = [(name, one, detectable_by(one, variances, confidence)) for name, one in steps]
    return sorted(found, key=lambda step: step[2])


def assumed_variances(
    shares: Sequence[float],
    disagreement: float = 0.15,
    noise_share: float = 0.5,
    seed_sd: float = 0.01,
    round_sd: float = 0.01,
) -> Variances:
    """Return variances of a mean over classes (macro-F1, balanced accuracy) before any training.

    An image of a class with share q of the test part counts 1/(Kq) in a mean recall of K
    classes, and exactly one of the arms has it right with the chance `disagreement`.

    Args:
        shares: of the classes among test images, adding up to 1.
        disagreement: share of images that exactly one of the two arms has right.
        noise_share: of the images' variance that other seeds would have otherwise.
        seed_sd: standard deviation of the true difference between seeds of one GAN.
        round_sd: likewise between rounds.
    """
    share = np.asarray(shares, dtype=np.float64)
    total = float((disagreement / share).sum()) / len(share) ** 2
    return Variances(
        images=total * (1 - noise_share),
        noise=total * noise_share,
        seeds=seed_sd**2,
        rounds=round_sd**2,
    )
