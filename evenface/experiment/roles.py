"""What an arm is in the experiment: what is asked about, an opponent, or a control."""

from collections.abc import Sequence
from typing import Literal

from classifiers.arms import (
    ARMS,
    JOIN,
    RESERVE,
    SYNTHETIC,
    VALUE,
    Arm,
    Part,
    read_arm,
)

Kind = Literal["baseline", "synthetic", "copies", "shuffled", "withheld", "part", "other"]

# Of what is no way to treat imbalance, but says something about the others.
CONTROLS: tuple[Kind, ...] = ("shuffled", "withheld", "part")


def kind_of(arm: str, baseline: str) -> Kind:
    """Return what an arm is.

    `synthetic` learns from synthetic images; `copies` from repeated real ones in their place;
    `shuffled` (labels of synthetic images shuffled) and `withheld` (real images that were held back
    are returned) are controls; `part` lacks real images; `other` treats imbalance otherwise, as
    does an arm whose name says nothing.
    """
    if arm == baseline:
        return "baseline"
    names = [part.partition(VALUE)[0] for part in arm.split(JOIN)]
    kinds = [_kind_of_part(ARMS[name]) for name in names if name in ARMS]
    return next((kind for kind in kinds if kind != "other"), "other")


def _kind_of_part(part: type[Part]) -> Kind:
    """Return what a part makes its arm."""
    if not part.is_control:
        return "synthetic" if SYNTHETIC in part.needs else "other"
    if SYNTHETIC in part.needs:
        return "shuffled"
    if RESERVE in part.needs:
        return "withheld"
    return "part" if part.filled is Part.filled else "copies"


def dose_of(arm: str) -> float | None:
    """Return the share of the deficit that an arm is to fill, None where it adds no images."""
    found = _read(arm)
    return found.share if found is not None and found.share > 0 else None


def copies_of(arm: str, arms: Sequence[str], baseline: str) -> str | None:
    """Return the arm that repeats real images where a synthetic one has others, at its dose.

    The one that is treated alike otherwise comes first, then copies alone; None: there is none.
    """
    alike = [
        one
        for one in arms
        if kind_of(one, baseline) == "copies" and dose_of(one) == dose_of(arm) is not None
    ]
    exact = [one for one in alike if _treatment(one) == _treatment(arm)]
    alone = [one for one in alike if not _treatment(one)]
    return next(iter([*exact, *alone]), None)


def doses_of(arm: str | None, arms: Sequence[str], baseline: str) -> list[str]:
    """Return the arms with synthetic images that differ from one by the dose alone, it included.

    Nothing where the arm has none.
    """
    if arm is None or kind_of(arm, baseline) != "synthetic":
        return []
    return [
        one
        for one in arms
        if kind_of(one, baseline) == "synthetic"
        and _treatment(one) == _treatment(arm)
        and _filler(one) == _filler(arm)
    ]


def _filler(arm: str) -> str:
    """Return the name of the part that adds images."""
    found = _read(arm)
    names = [part.partition(VALUE)[0] for part in arm.split(JOIN)]
    parts = found.parts if found is not None else ()
    return next((name for name, part in zip(names, parts, strict=True) if part.filled), "")


def _treatment(arm: str) -> set[str]:
    """Return an arm's parts but the one that adds images."""
    found = _read(arm)
    names = arm.split(JOIN)
    if found is None or not found.parts:
        return set()
    return {name for name, part in zip(names, found.parts, strict=True) if not part.filled}


def _read(arm: str) -> Arm | None:
    """Return an arm; None for a name that is nobody's, such as that of a model made elsewhere."""
    known = [part.partition(VALUE)[0] in ARMS for part in arm.split(JOIN)]
    return read_arm(arm) if all(known) else None
