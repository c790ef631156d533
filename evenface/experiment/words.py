"""A difference in words: first the answer, then what it is about and what could have been seen."""

from evenface.experiment.differences import MIN_CLASS_IMAGES, Difference

ABOUT = {
    "method": "of other splits and other GANs, too",
    "split": "of other GANs, too, on this split",
    "gan": "of this GAN and this split only",
    "nothing": "of nothing but these networks",
}


def count(num: int, noun: str) -> str:
    """Return a number and its noun, such as `2 rounds`."""
    return f"{num} {noun}{'s' * (num != 1)}"


def answer(found: Difference, arm: str, baseline: str) -> str:
    """Return the answer, one short sentence."""
    if found.verdict in ("better", "worse"):
        return f"{arm} is {found.verdict} than {baseline}."
    if found.verdict == "none":
        return f"No difference between {arm} and {baseline} was found."
    if found.verdict == "unclaimed":
        return (
            f"Whether {arm} is better than {baseline} cannot be told from one training of each:"
            " chance in training was never seen."
        )
    return (
        f"Whether {arm} is better than {baseline} cannot be told: a class has"
        f" {count(found.support, 'test image')} in a round, fewer than {MIN_CLASS_IMAGES}."
    )


def figures(found: Difference) -> str:
    """Return the difference with its interval, p, what it is about, and what could be seen."""
    parts = [
        f"difference {found.estimate:+.3f}"
        f" [{found.low:+.3f}, {found.high:+.3f}] ({found.confidence:.0%} interval)"
    ]
    if found.claim != "nothing":
        p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
        if found.p == found.p:  # not NaN
            parts.append(p)
        parts.append(f"true {ABOUT[found.claim]}")
    basis = f"{count(found.num_rounds, 'round')}, {count(found.num_seeds, 'seed')} each"
    text = f"{', '.join(parts)}; {basis}."
    if found.verdict == "none" and found.detectable > 0:
        text += f" A difference of {found.detectable:.3f} or more would be found in 4 of 5 cases."
    return text


def sentences(found: Difference, arm: str, baseline: str) -> str:
    """Return the answer and the figures."""
    text = figures(found)
    return f"{answer(found, arm, baseline)} {text[0].upper()}{text[1:]}"
