"""Files of projected styles, as `stylegan2 project` writes them: NumPy archives (.npz).

`w` is float32 [N, num_ws, w_dim], as in the original. An array `noise/b8.conv0` is the noise map
of a layer, float32 [8, 8], that the styles were found with; the original does not keep these.
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facekit.errors import DataError, reason_of
from facekit.storage import files
from stylegan2.models.networks import Generator

NOISE = "noise/"
# Cut, damaged, encrypted (RuntimeError) or compressed in a way that is not known (its subclass).
UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def write(ws: Tensor, noise: Mapping[str, Tensor], path: Path) -> None:
    """Write styles [N, num_ws, w_dim] and the noise map of each layer (`b8.conv0`), atomically."""
    arrays = {"w": ws, **{f"{NOISE}{name}": x for name, x in noise.items()}}
    with files.replacing(path) as part, part.open("wb") as file:
        values = {name: x.detach().cpu().numpy() for name, x in arrays.items()}
        np.savez(file, allow_pickle=False, **values)


def read(path: Path, network: Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Return styles, float32 [N, num_ws, w_dim], and the noise maps that come with them.

    Raises:
        DataError: not such a file, or not of this network.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("one array by itself")
        with file:
            arrays = {name: file[name] for name in file.files}
    except UNREADABLE as error:
        raise DataError(
            f"{path}: not a NumPy archive (.npz) of numbers ({reason_of(error)})"
        ) from None
    if "w" not in arrays:
        found = ", ".join(arrays) or "nothing"
        raise DataError(f"{path}: no array `w`, found {found}; expected `stylegan2 project`'s")
    expected: dict[str, tuple[int, ...]] = {"w": (network.num_ws, network.w_dim)}
    expected |= {f"{NOISE}{name}": tuple(x.shape) for name, x in noise_maps(network).items()}
    values = {}
    for name, array in arrays.items():
        shape = array.shape[1:] if name == "w" else array.shape
        if name not in expected or shape != expected[name] or array.dtype.kind != "f":
            fits = f"{list(expected[name])}" if name in expected else "no such array"
            raise DataError(
                f"{path}: array {name!r} is {array.dtype} {list(shape)}, the network has {fits}"
            )
        if not np.isfinite(array).all() or not array.size:
            raise DataError(f"{path}: array {name!r} is empty or not finite")
        values[name] = torch.from_numpy(array.astype(np.float32))
    ws = values.pop("w")
    return ws, {name.removeprefix(NOISE): x for name, x in values.items()}


def noise_maps(network: Generator) -> dict[str, Tensor]:
    """Return the constant noise maps of a network by the names of their layers: `b4.conv1` ..."""
    return {
        name.removesuffix(".noise_const"): x
        for name, x in network.synthesis.named_buffers()
        if name.endswith(".noise_const")
    }


def set_noise(network: Generator, noise: Mapping[str, Tensor]) -> None:
    """Give layers the noise maps that a projection was made with."""
    maps = noise_maps(network)
    for name, x in noise.items():
        maps[name].copy_(x)
