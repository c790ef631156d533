"""The parts that images are dealt to, and the rounds in which that is done anew."""

SPLITS = ("train", "val", "test")
RESERVE = "reserve"  # held back from every training; an arm of control gets it
PARTS = (*SPLITS, RESERVE)


def round_seed(seed: int, number: int) -> int:
    """Return the seed of a round; the first round's is the run's own.

    Args:
        seed: of the run, or of a classifier.
        number: of the round, from 0.
    """
    if number == 0:
        return seed
    from numpy.random import SeedSequence

    return int(SeedSequence([seed, number]).generate_state(1)[0])
