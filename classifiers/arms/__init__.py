"""Arms: ways to treat imbalance, of parts that are joined by `+`.

A part is a registered class. Every sampler, and every loss but cross-entropy, is one by itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, ValidationError

from facekit.errors import DataError
from facekit.options import IsText, Options
from facekit.registry import Registry

if TYPE_CHECKING:
    from classifiers.options import LossOptions

REAL = "real"  # no treatment
JOIN = "+"
VALUE = "@"  # between a part's name and its value
PLAIN = re.compile(r"[a-z0-9.]*")  # values, since names become parts of paths and commands


class Part(Options):
    """A part of an arm; the base changes nothing. Its field, if it has one, is said behind `@`.

    Attributes:
        changes: what it changes; no two parts of an arm change the same.
    """

    changes: ClassVar[str]

    def loss(self, loss: "LossOptions") -> "LossOptions":
        """Return a head's loss in this arm."""
        return loss

    def sampler(self, sampler: str) -> str:
        """Return the sampler in this arm."""
        return sampler

    @property
    def synthetic_share(self) -> float:
        """Share of each class's deficit that synthetic images fill, in 0..1."""
        return 0.0


ARMS: Registry[type[Part]] = Registry("arm", __name__)


@dataclass(frozen=True)
class Arm:
    """A way to treat imbalance.

    Attributes:
        name: REAL, or names of parts joined by JOIN.
        parts: of it.
    """

    name: str
    parts: Sequence[Part] = ()

    @property
    def share(self) -> float:
        """Share of each class's deficit that synthetic images fill; 0: it takes none."""
        return sum(part.synthetic_share for part in self.parts)

    def loss(self, loss: "LossOptions") -> "LossOptions":
        """Return a head's loss in this arm."""
        for part in self.parts:
            loss = part.loss(loss)
        return loss

    def sampler(self, sampler: str) -> str:
        """Return the sampler in this arm, where settings name one."""
        for part in self.parts:
            sampler = part.sampler(sampler)
        return sampler


def read_arm(name: str) -> Arm:
    """Return the arm of that name.

    Raises:
        DataError: no such arm, or two parts that change the same.
    """
    parts = [_read_part(name, part) for part in ([] if name == REAL else name.split(JOIN))]
    changed = [part.changes for part in parts]
    for one in changed:
        if changed.count(one) > 1:
            raise DataError(f"arm {name!r}: two parts change the {one}")
    return Arm(name, tuple(parts))


def _read_part(name: str, text: str) -> Part:
    kind, at, value = text.partition(VALUE)
    if kind in ARMS:
        cls = ARMS[kind]
        fields = list(cls.model_fields)
        if bool(fields) == bool(at) and PLAIN.fullmatch(value):
            try:
                return cls.model_validate(dict.fromkeys(fields, value))
            except ValidationError:
                pass
    raise DataError(
        f"arm {name!r}: expected {REAL}, or one or several of {', '.join(part_names())}, joined by"
        f" {JOIN}; no two that change the same"
    )


def part_names() -> list[str]:
    """Return the names of all parts, with what stands behind them."""
    return [
        name + "".join(f"{VALUE}{field.upper()}" for field in cls.model_fields)
        for name, cls in ARMS.items()
    ]


def is_same(name: str, other: str) -> bool:
    """Tell whether two arms have the same parts, such as `synth@0.5` and `synth@0.50`."""
    one, two = read_arm(name).parts, read_arm(other).parts
    return len(one) == len(two) and all(part in two for part in one)


def is_synthetic(name: str) -> bool:
    """Tell whether an arm takes synthetic images."""
    return read_arm(name).share > 0


def _check(name: Any) -> Any:
    try:
        read_arm(name)
    except DataError as error:
        raise ValueError(str(error)) from None
    return name


ArmName = Annotated[str, AfterValidator(_check), IsText]
