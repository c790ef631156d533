"""What the studio draws: faces of seeds, the way between two, styles mixed."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from evenface.page.run import natural
from facekit.errors import DataError
from facekit.pictures import tiles
from stylegan2.draw import drawing, sampling, styles
from stylegan2.models.checkpoint import About, load_generator
from stylegan2.models.networks import Generator
from stylegan2.options import GenerateOptions, MixOptions

CHOSEN = "network-chosen.safetensors"
BATCH = 16


@dataclass(frozen=True)
class Face:
    """An image with a class that its network knows.

    Attributes:
        seed: 0..2**32-1.
        class_name: None for an unconditional network.
    """

    seed: int
    class_name: str | None


@dataclass(frozen=True)
class Drawn:
    """Images as they are shown.

    Attributes:
        images: uint8 [N, H, W, 3], without the padding of the training images.
        names: what each is, for people.
        num_columns: images in a row.
    """

    images: np.ndarray
    names: list[str]
    num_columns: int

    def sheet(self) -> bytes:
        """Return all of them side by side as PNG."""
        return png(tiles.tile(self.images, self.num_columns))


class Network:
    """A trained generator, and what it draws; the same numbers always give the same images."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Load it.

        Raises:
            DataError: not a generator of this package.
        """
        loaded: tuple[Generator, About] = load_generator(path, device)
        self.network, self.about = loaded

    @property
    def class_names(self) -> list[str]:
        """Its classes in the order of their ids; none of an unconditional one."""
        return self.about.class_names

    def seeds(self, first: Face, num: int, psi: float) -> Drawn:
        """Draw the seeds from one on."""
        last = first.seed + num - 1
        options = GenerateOptions(
            seeds=f"{first.seed}-{last}", class_name=first.class_name, trunc=psi, unpad=True
        )
        images = np.concatenate(list(drawing.of_seeds(self.network, self.about, options).images))
        names = [_name(Face(first.seed + i, first.class_name)) for i in range(num)]
        return Drawn(images, names, max(1, min(num, 8)))

    def between(self, start: Face, end: Face, num_steps: int, psi: float) -> Drawn:
        """Draw the way from one face to another, both included."""
        faces = [start, end]
        ids = [sampling.find_class(face.class_name, self.about) for face in faces]
        classes = [one for one in ids if one is not None] or None
        ws = sampling.styles(self.network, [face.seed for face in faces], classes, psi=psi)
        way = styles.loop(ws, num_steps)[: num_steps + 1]
        images = np.concatenate(list(sampling.images_of_styles(self.network, way, batch=BATCH)))
        names = [f"{i / num_steps:.0%} of the way from {_name(start)} to {_name(end)}"
                 for i in range(num_steps + 1)]  # fmt: skip
        return Drawn(sampling.crop(images, self.about.content_box), names, num_steps + 1)

    def mixed(
        self, row: Face, column: Face, num: int, layers: tuple[int, int], psi: float
    ) -> Drawn:
        """Draw `num` seeds from each of two on, and the rows' with some layers of the columns'.

        Args:
            row: whose styles are kept but in the layers.
            column: whose styles these have.
            num: rows, and columns.
            layers: first and last of 0..num_ws-1.
            psi: truncation.
        """
        options = MixOptions(
            rows=f"{row.seed}-{row.seed + num - 1}",
            cols=f"{column.seed}-{column.seed + num - 1}",
            styles=f"{layers[0]}-{layers[1]}",
            class_name=row.class_name,
            col_class=column.class_name,
            trunc=psi,
            unpad=True,
        )
        found = drawing.mix(self.network, self.about, options)
        columns = [_name(Face(seed, column.class_name)) for seed in found.col_seeds]
        names = ["", *columns]
        for seed in found.row_seeds:
            own = _name(Face(seed, row.class_name))
            names += [own, *(f"{own} with layers of {other}" for other in columns)]
        return Drawn(found.cells.reshape(-1, *found.cells.shape[2:]), names, 1 + num)


class Networks:
    """The generators in a folder; the one drawn from last is held."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Look into a folder at every question: a run may go on."""
        self.folder = folder
        self.device = device
        self._held: tuple[tuple[str, int], Network] | None = None

    def names(self) -> list[str]:
        """Return their paths in the folder, those that were chosen first."""
        found = [path.relative_to(self.folder).as_posix()
                 for path in self.folder.rglob("network-*.safetensors")]  # fmt: skip
        return sorted(found, key=lambda name: (Path(name).name != CHOSEN, natural(name)))

    def load(self, name: str) -> Network:
        """Return one of them.

        Raises:
            DataError: it is none of `names`, or no generator.
        """
        if name not in self.names():
            raise DataError(f"{name}: no network of {self.folder}")
        path = self.folder / name
        state = (name, path.stat().st_mtime_ns)
        if self._held is None or self._held[0] != state:
            self._held = state, Network(path, self.device)
        return self._held[1]


def png(image: np.ndarray) -> bytes:
    """Return an image, uint8 [H, W, 3], as PNG."""
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(data, "PNG")
    return data.getvalue()


def _name(face: Face) -> str:
    return f"seed {face.seed}" + ("" if face.class_name is None else f", {face.class_name}")
