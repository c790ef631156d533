"""Generators on disk: tensors as safetensors, and in its header all that rebuilds the network.

Nothing is unpickled: a file from a stranger can be opened without running its code.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter
from safetensors.torch import save_file
from torch import Tensor, nn

from facedata.packs.storage import class_name
from facekit.compute import state_dicts
from facekit.errors import DataError
from facekit.storage import files
from stylegan2.models.assembly import assemble
from stylegan2.models.networks import Generator

KEY = "evenface"  # of the header; its text is JSON
FORMAT = "stylegan2-generator-1"
DISCRIMINATOR_FORMAT = "stylegan2-discriminator-1"
MAX_REASON = 300  # characters of what a library says


@dataclass(frozen=True)
class About:
    """What a generator file says of its network.

    Attributes:
        arguments: that `Generator` was constructed with.
        attributes: names of the attributes that its classes are made of; empty = unconditional.
        classes: attribute values of each class id, one list a class.
        content_box: (left, top, right, bottom) in pixels of the part that holds no padding.
        kimg: thousands of real images it was trained with.
        lineage: files that its weights come from, the oldest first: `file`, its `blake2b`, `kimg`
            (None where the file does not tell) and `taken`, what became of it, in words.
        train_ids: digests of the images of each pack that its weights learned from, the oldest
            first; see `digest_of_ids`.
    """

    arguments: dict[str, Any]
    attributes: list[str]
    classes: list[list[str]]
    content_box: tuple[int, int, int, int]
    kimg: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    lineage: list[dict[str, Any]] = field(default_factory=list)
    train_ids: list[str] = field(default_factory=list)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes for people, in the order of their ids."""
        return [class_name(values) for values in self.classes]


ABOUT = TypeAdapter(About)
CLASSES = TypeAdapter(list[list[str]])


def save_generator(network: Generator, about: About, path: Path) -> None:
    """Write a generator's tensors and what rebuilds it, atomically."""
    header = {"format": FORMAT, **asdict(about)}
    for name in ("lineage", "train_ids"):
        if not header[name]:
            del header[name]
    _save(network, header, path)


def save_discriminator(
    network: nn.Module, arguments: dict[str, Any], about: About, path: Path
) -> None:
    """Write a discriminator, for runs that begin with it.

    Args:
        network: to write.
        arguments: that it was constructed with.
        about: of the generator that it was trained with.
        path: to write to, atomically.
    """
    header = {"format": DISCRIMINATOR_FORMAT, "arguments": arguments, "classes": about.classes}
    _save(network, {**header, "kimg": about.kimg}, path)


def load_discriminator(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], list[list[str]]]:
    """Return a discriminator's arguments, tensors and the attribute values of its classes.

    Raises:
        DataError: not a discriminator that this package wrote.
    """
    header, tensors = _read(path, "discriminators come from `stylegan2 train`")
    try:
        values = json.loads(header or "")
        if values["format"] == DISCRIMINATOR_FORMAT:
            classes = CLASSES.validate_python(values["classes"])
            return dict(values["arguments"]), tensors, classes
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise DataError(f"{path}: safetensors, but not a discriminator of `stylegan2 train`")


def _save(network: nn.Module, header: dict[str, Any], path: Path) -> None:
    """Write a network's tensors, and a header beside them."""
    tensors = {
        key: tensor.detach().to("cpu", torch.float32).contiguous()
        for key, tensor in network.state_dict().items()
    }
    with files.replacing(Path(path)) as part:
        save_file(tensors, part, metadata={KEY: json.dumps(header, allow_nan=False)})


def load_generator(path: Path, device: torch.device | str = "cpu") -> tuple[Generator, About]:
    """Read a generator, in eval mode and without gradients.

    Raises:
        DataError: no such file, or not a generator that this package wrote.
    """
    path = Path(path)
    header, tensors = _read(path, "generators come from `stylegan2 train`")
    about = _read_header(header, path)
    try:
        network = assemble(Generator, about.arguments, tensors)
        if len(about.classes) != network.c_dim:
            raise ValueError(f"names of {len(about.classes)} classes, it draws {network.c_dim}")
        left, top, right, bottom = about.content_box
        side = network.img_resolution
        if not (0 <= left < right <= side and 0 <= top < bottom <= side):
            raise ValueError(f"content_box {about.content_box} is not within {side} px")
    except ValueError as error:
        raise DataError(f"{path}: its tensors do not fit its header ({error})") from None
    return network.eval().requires_grad_(False).to(device), about


def _read(path: Path, where_from: str) -> tuple[str | None, dict[str, Tensor]]:
    """Return the text and the tensors of a file; `where_from` ends an error's message."""
    return state_dicts.read_own(path, KEY, where_from)


def _read_header(header: str | None, path: Path) -> About:
    """Return what the header's text says."""
    try:
        values = json.loads(header or "")
        form = values.pop("format")
        about = ABOUT.validate_python(values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(
            f"{path}: safetensors, but not a generator of `stylegan2 train`"
            f" (no `{KEY}` in its header)"
        ) from None
    if form != FORMAT:
        raise DataError(f"{path}: format {str(form)[:MAX_REASON]}, this version reads {FORMAT}")
    return about
