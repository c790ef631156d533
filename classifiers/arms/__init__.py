"""Arms: ways to treat imbalance, of parts that are joined by `+`.

A part is a registered class. Every sampler, and every loss but cross-entropy, is one by itself.
Modules of this folder are imported for the names alone, so they import torch and numpy inside
functions.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, ValidationError

from classifiers.losses import CROSS_ENTROPY
from facekit.errors import DataError
from facekit.options import IsText, Options
from facekit.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from classifiers.images.added import Added, Stock
    from classifiers.options import LossOptions
    from classifiers.train.adjust import Trained

REAL = "real"  # no treatment
JOIN = "+"
VALUE = "@"  # between a part's name and its value
PLAIN = re.compile(r"[a-z0-9.]*")  # values, since names become parts of paths and commands
SYNTHETIC, DEFICITS, RESERVE = "synthetic", "deficits", "reserve"  # what parts need
BALANCED = "balanced_sampler"  # by which a last layer is learned anew


class Part(Options):
    """A part of an arm; the base changes nothing. Its field, if it has one, is said behind `@`.

    Attributes:
        changes: what it changes; no two parts of an arm change the same.
        needs: of SYNTHETIC (generated images), DEFICITS (what classes lack), RESERVE (real images
            that are held back).
        is_control: whether it is there to be compared with, not to be used.
        added_until: share of the training in which added images are shown.
        relearned: share of the training in which the last layer is learned anew.
        mixes: whether it mixes images with partners of which each class has as many.
    """

    changes: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    is_control: ClassVar[bool] = False
    added_until: ClassVar[float] = 1.0
    relearned: ClassVar[float] = 0.0
    mixes: ClassVar[bool] = False

    def loss(self, loss: "LossOptions") -> "LossOptions":
        """Return a head's loss in this arm."""
        return loss

    def sampler(self, sampler: str) -> str:
        """Return the sampler in this arm."""
        return sampler

    @property
    def filled(self) -> float:
        """Share of each class's deficit that added images fill, in 0..1."""
        return 0.0

    @property
    def added_weight(self) -> float:
        """Weight of added images in the loss."""
        return 1.0

    def added(self, stock: "Stock") -> "Added | None":
        """Return the images that join those of train."""
        return None

    def kept(self, stock: "Stock") -> "np.ndarray | None":
        """Return which images of train are learned from, bool [N]; None for all."""
        return None

    def mix(
        self,
        own: "tuple[Tensor, Tensor, Tensor]",
        other: "tuple[Tensor, Tensor, Tensor]",
        rng: "np.random.Generator",
    ) -> "tuple[Tensor, Tensor, Tensor]":
        """Return images, targets and trust mixed with those of their partners.

        Args:
            own: as of `OfBatches.change`.
            other: of the partners, likewise.
            rng: of random numbers.
        """
        return own

    def adjust(self, trained: "Trained") -> dict[str, float]:
        """Change a classifier after its training; return by head what was chosen on val."""
        return {}

    def objection(self, others: "Sequence[Part]") -> str:
        """Return why it cannot be joined with other parts, in words; empty if it can."""
        return ""


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
        """Share of each class's deficit that added images fill; 0: none are added."""
        return sum(part.filled for part in self.parts)

    @property
    def needs(self) -> frozenset[str]:
        """What its parts need."""
        return frozenset[str]().union(*(part.needs for part in self.parts))

    @property
    def added_weight(self) -> float:
        """Weight of added images in the loss."""
        return min((part.added_weight for part in self.parts), default=1.0)

    @property
    def added_until(self) -> float:
        """Share of the training in which added images are shown."""
        return min((part.added_until for part in self.parts), default=1.0)

    @property
    def relearned(self) -> float:
        """Share of the training in which the last layer is learned anew."""
        return max((part.relearned for part in self.parts), default=0.0)

    @property
    def mixer(self) -> Part | None:
        """The part that mixes images with partners; None for not at all."""
        return next((part for part in self.parts if part.mixes), None)

    def loss(self, loss: "LossOptions") -> "LossOptions":
        """Return a head's loss in this arm."""
        for part in self.parts:
            loss = part.loss(loss)
        return loss

    def losses(self, loss: "LossOptions") -> "list[LossOptions]":
        """Return a head's loss in each stage of this arm's training, of which there are 1 or 2."""
        again = [loss.but(kind=CROSS_ENTROPY, weights="none")] if self.relearned else []
        return [self.loss(loss), *again]

    def samplers(self, sampler: str) -> list[str]:
        """Return the sampler of each stage likewise."""
        return [self.sampler(sampler), *([BALANCED] if self.relearned else [])]

    def sampler(self, sampler: str) -> str:
        """Return the sampler in this arm, where settings name one."""
        for part in self.parts:
            sampler = part.sampler(sampler)
        return sampler


PLAIN_ARM = Arm(REAL)


def read_arm(name: str) -> Arm:
    """Return the arm of that name.

    Raises:
        DataError: no such arm, two parts that change the same, or one that does not go with others.
    """
    parts = [_read_part(name, part) for part in ([] if name == REAL else name.split(JOIN))]
    changed = [part.changes for part in parts]
    for one in changed:
        if changed.count(one) > 1:
            raise DataError(f"arm {name!r}: two parts change the {one}")
    for part in parts:
        reason = part.objection([one for one in parts if one is not part])
        if reason:
            raise DataError(f"arm {name!r}: {reason}")
    return Arm(name, tuple(parts))


def _read_part(name: str, text: str) -> Part:
    kind, at, value = text.partition(VALUE)
    if kind in ARMS:
        cls = ARMS[kind]
        fields = cls.model_fields
        is_fitting = bool(fields) if at else not any(one.is_required() for one in fields.values())
        if is_fitting and PLAIN.fullmatch(value):
            try:
                return cls.model_validate(dict.fromkeys(fields, value) if at else {})
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


def needs_synthetic(name: str) -> bool:
    """Tell whether an arm takes generated images; it needs the deficits, too."""
    return SYNTHETIC in read_arm(name).needs


def needs_deficits(name: str) -> bool:
    """Tell whether an arm needs to know what each class lacks."""
    return DEFICITS in read_arm(name).needs


def needs_reserve(name: str) -> bool:
    """Tell whether an arm takes real images that are held back; it needs the deficits, too."""
    return RESERVE in read_arm(name).needs


def is_control(name: str) -> bool:
    """Tell whether an arm is there to be compared with, not to be used."""
    return any(part.is_control for part in read_arm(name).parts)


def _check(name: Any) -> Any:
    try:
        read_arm(name)
    except DataError as error:
        raise ValueError(str(error)) from None
    return name


ArmName = Annotated[str, AfterValidator(_check), IsText]
