"""Generators on disk: tensors as safetensors, and in its header all that rebuilds the network.

Nothing is unpickled: a file from a stranger can be opened without running its code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from facedata.packs.storage import class_name
from facekit.errors import DataError
from facekit.storage import files
from stylegan2.models.networks import Generator

KEY = "evenface"  # of the header; its text is JSON
FORMAT = "stylegan2-generator-1"


@dataclass(frozen=True)
class About:
    """What a generator file says of its network.

    Attributes:
        arguments: that `Generator` was constructed with.
        attributes: names of the attributes that its classes are made of; empty = unconditional.
        classes: attribute values of each class id, one list a class.
        content_box: (left, top, right, bottom) in pixels of the part that holds no padding.
        kimg: thousands of real images it was trained with.
    """

    arguments: dict[str, Any]
    attributes: list[str]
    classes: list[list[str]]
    content_box: tuple[int, int, int, int]
    kimg: float

    @property
    def class_names(self) -> list[str]:
        """Names of the classes for people, in the order of their ids."""
        return [class_name(values) for values in self.classes]


def save_generator(network: Generator, about: About, path: Path) -> None:
    """Write a generator's tensors and what rebuilds it, atomically."""
    tensors = {
        key: tensor.detach().to("cpu", torch.float32).contiguous()
        for key, tensor in network.state_dict().items()
    }
    header = json.dumps({"format": FORMAT, **asdict(about)}, allow_nan=False)
    with files.replacing(Path(path)) as part:
        save_file(tensors, part, metadata={KEY: header})


def load_generator(path: Path, device: torch.device | str = "cpu") -> tuple[Generator, About]:
    """Read a generator, in eval mode and without gradients.

    Raises:
        DataError: no such file, or not a generator that this package wrote.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(KEY)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: not a safetensors file ({error}); generators come from `stylegan2 train`"
        ) from None
    about = _read_header(header, path)
    try:
        network = Generator(**about.arguments)
        network.load_state_dict(tensors, strict=True)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: its tensors do not fit its header ({reason})") from None
    return network.eval().requires_grad_(False).to(device), about


def _read_header(header: str | None, path: Path) -> About:
    """Return what the header's text says."""
    try:
        values = json.loads(header or "")
        form = values.pop("format")
        about = About(**{**values, "content_box": tuple(values["content_box"])})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{path}: safetensors, but not a generator of `stylegan2 train`"
            f" (no `{KEY}` in its header)"
        ) from None
    if form != FORMAT:
        raise DataError(f"{path}: format {form}, this version reads {FORMAT}")
    return about
