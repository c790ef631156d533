"""All of a training on disk, so that one that was stopped goes on as if it had not been.

Tensors as safetensors, the rest as JSON in its header: nothing is unpickled.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from facekit.errors import DataError, reason_of
from facekit.storage import files

KEY = "evenface"  # of the header; its text is JSON
MISFITS = (LookupError, ArithmeticError, ValueError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class States:
    """The states of one command.

    Attributes:
        form: name and version of what is in the header.
        command: that writes them, such as `stylegan2 train`.
        what: is trained, in a word for people: run or training.
        pattern: of their files' names.
    """

    form: str
    command: str
    what: str
    pattern: str

    def write(self, path: Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write a state, atomically; tensors may be on any device."""
        kept = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
        text = json.dumps({"format": self.form, **header})
        with files.replacing(path) as part:
            save_file(kept, part, metadata={KEY: text})

    def read(self, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return a state's header and tensors.

        Raises:
            DataError: not a state of this command, or one of another version.
        """
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {}).get(KEY, "{}"))
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            form = header.get("format")
        except Exception as error:  # a damaged file is told in many ways
            raise DataError(
                f"{path}: not a state of `{self.command}` ({reason_of(error)})"
            ) from None
        if form != self.form:
            raise DataError(
                f"{path}: format {reason_of(form)}, this version reads {self.form}; go on"
                f" with the version that wrote it, or remove {self.pattern} to begin anew"
            )
        return header, tensors

    def check_same(self, path: Path, changes: Sequence[str]) -> None:
        """Refuse a state whose settings differ from today's.

        Args:
            path: of the state.
            changes: what differs, as of `differences`.

        Raises:
            DataError: something does.
        """
        if changes:
            raise DataError(
                f"{path}: the {self.what} that was stopped here had other options:"
                f" {'; '.join(changes)}. Give the same, or go on with the new ones by"
                f" --allow-changes, or remove {self.pattern} to begin anew"
            )

    @contextmanager
    def fitting(self, path: Path) -> Iterator[None]:
        """Within, say of what is not there or of another shape that the state does not fit."""
        try:
            yield
        except MISFITS as error:
            raise DataError(f"{path}: does not fit this {self.what} ({reason_of(error)})") from None


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> list[str]:
    """Return `name was value, is value` for every setting that differs, by name.

    Args:
        before: settings of a state.
        now: those of today.
        defaults: what a setting was where the state does not say it, as it came later.
    """
    defaults = defaults or {}
    pairs = {
        name: (before.get(name, defaults.get(name)), now.get(name))
        for name in sorted({*before, *now})
    }
    return [f"{name} was {old}, is {new}" for name, (old, new) in pairs.items() if old != new]


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix/`, without it."""
    start = f"{prefix}/"
    return {name.removeprefix(start): x for name, x in tensors.items() if name.startswith(start)}


def optimizer_tensors(optimizer: Optimizer, prefix: str) -> dict[str, Tensor]:
    """Return what an optimiser remembers of each weight, by `prefix/number/name`."""
    return {
        f"{prefix}/{i}/{name}": tensor
        for i, values in optimizer.state_dict()["state"].items()
        for name, tensor in values.items()
        if tensor is not None  # sgd without momentum
    }


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Give an optimiser what another one remembered; its rates and the like stay its own.

    Args:
        optimizer: of the same weights, in the same order.
        tensors: as of `optimizer_tensors`, and others.
        prefix: of their names.
    """
    weights = [one for group in optimizer.param_groups for one in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in below(tensors, prefix).items():
        i, name = key.split("/")
        state.setdefault(int(i), {})[name] = _laid_out_as(weights[int(i)], tensor)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _laid_out_as(weight: Tensor, tensor: Tensor) -> Tensor:
    """Return a tensor in memory as a weight of its shape is, as fused optimisers need it."""
    if not tensor.ndim or tensor.shape != weight.shape:
        return tensor
    return torch.empty_like(weight).copy_(tensor)
