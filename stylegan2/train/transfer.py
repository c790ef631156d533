"""Begin a run with the weights of another network instead of random ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from facekit.errors import DataError
from facekit.options import AUTO
from stylegan2.exchange import official
from stylegan2.models import checkpoint

if TYPE_CHECKING:
    from stylegan2.train.loop import Training


@dataclass(frozen=True)
class Source:
    """Weights to begin with.

    Attributes:
        path: of the file.
        arguments: that its generator was constructed with.
        tensors: of G, D, G_ema, as far as it holds them, by name.
    """

    path: Path
    arguments: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


def read(path: Path) -> Source:
    """Read a generator of `stylegan2 train`, or a snapshot (.pkl) of the original StyleGAN2-ADA.

    Raises:
        DataError: neither of them, or a pickle that asks for more than data.
    """
    if path.suffix == ".pkl":
        networks = official.read(path)
        tensors = {name: module.tensors for name, module in networks.items()}
        return Source(path, networks["G_ema"].arguments, tensors)
    network, about = checkpoint.load_generator(path)
    return Source(path, about.arguments, {"G_ema": network.state_dict()})


def sizes(source: Source, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return values of a preset in which every `auto` is as in the source, and what was taken.

    A network of other sizes than the source's could not take its weights over.

    Args:
        source: the weights.
        given: fields of a preset by name; z_dim, w_dim, mapping_layers, channel_base and
            channel_max are looked at.
    """
    arguments = source.arguments
    mapping = arguments.get("mapping_kwargs") or {}
    synthesis = arguments.get("synthesis_kwargs") or {}
    found = {
        "z_dim": arguments["z_dim"],
        "w_dim": arguments["w_dim"],
        "mapping_layers": mapping.get("num_layers", 8),
        "channel_base": synthesis.get("channel_base", 32768),
        "channel_max": synthesis.get("channel_max", 512),
    }
    taken = {name: value for name, value in found.items() if given[name] == AUTO}
    lines = [f"{name} {value} as in {source.path.name}" for name, value in taken.items()]
    return {**given, **taken}, lines


@torch.no_grad()
def load(run: "Training", source: Source) -> list[str]:
    """Copy what fits into a run's networks; return lines that name all that does not.

    Tensors are copied by name where their shape is the same. A file without G gives G_ema to both,
    one without D leaves the discriminator as it was drawn.

    Raises:
        DataError: nothing of the generator fits.
    """
    lines = []
    for name, network in (("G", run.G), ("G_ema", run.G_ema), ("D", run.D)):
        given = source.tensors.get(name)
        if given is None and name == "G":
            given = source.tensors["G_ema"]
        if given is None:
            lines.append(f"{name}: not in {source.path.name}, begins with random weights")
            continue
        own = network.state_dict()
        fits = {key for key, x in given.items() if key in own and own[key].shape == x.shape}
        for key in fits:
            own[key].copy_(given[key])
        if name == "G_ema" and not fits:
            raise DataError(
                f"{source.path}: none of its {len(given)} tensors has the name and shape of one of"
                " this generator's"
            )
        other = {key for key in given if key in own} - fits
        for what, keys in (
            ("of another shape, random", other),
            (f"not in {source.path.name}, random", own.keys() - given.keys()),
            ("of no use here, left out", given.keys() - own.keys()),
        ):
            if keys:
                lines.append(f"{name}: {what}: {', '.join(sorted(keys))}")
        lines.append(f"{name}: {len(fits)} of {len(own)} tensors from {source.path.name}")
    return lines
