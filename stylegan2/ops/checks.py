"""Checks of arguments; each raises ValueError naming the argument, what was found and expected."""

from collections.abc import Collection, Sequence

from torch import Tensor


def check_shape(name: str, tensor: Tensor, shape: Sequence[int | None]) -> None:
    """Raise ValueError unless `tensor` has this shape; None stands for any size."""
    found = list(tensor.shape)
    if len(found) != len(shape) or any(
        want is not None and size != want for size, want in zip(found, shape, strict=True)
    ):
        expected = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name}: shape {found}, expected [{expected}]")


def check_choice(name: str, value: object, choices: Collection) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}: {value!r}, expected one of {sorted(choices, key=str)}")


def check_positive(name: str, value: int) -> None:
    """Raise ValueError unless `value` is an integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: {value!r}, expected an integer of at least 1")


def check_resolution(name: str, value: int) -> None:
    """Raise ValueError unless `value` is a power of two of at least 8."""
    if not isinstance(value, int) or value < 8 or value & (value - 1):
        raise ValueError(f"{name}: {value!r}, expected a power of two of at least 8")
