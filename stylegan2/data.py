"""Training images: a pack, its labels, and the endless order in which they are shown."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from facedata.errors import DataError
from facedata.packed import Pack


class TrainingSet:
    """The images of a pack, as float tensors, and their labels.

    Attributes:
        pack: what is on disk.
        num_images: of the pack.
        num_classes: length of a label; 0 = unconditional.
        resolution: pixels a side.
    """

    def __init__(self, pack: Pack, mirror: bool) -> None:
        """Take the images of `pack`; with `mirror` each is there once more, flipped.

        Raises:
            DataError: no images, or images whose size the networks cannot make.
        """
        self.pack = pack
        self.mirror = mirror
        self.num_images, height, width, _ = pack.images.shape
        self.num_classes = len(pack.classes)
        self.resolution = width
        if not self.num_images:
            raise DataError("the pack holds no images")
        if height != width or width < 8 or width & (width - 1):
            raise DataError(
                f"the pack's images are {width}x{height} px: the GAN needs squares of"
                " 8, 16, 32 ... px; change the geometry `gan` and pack again"
            )

    def __len__(self) -> int:
        return self.num_images * (2 if self.mirror else 1)

    def images(self, indices: Sequence[int]) -> Tensor:
        """Return images as float32 [N, 3, R, R] in [-1, 1].

        Args:
            indices: in 0..len-1; those from `num_images` on are mirror images.
        """
        rows = [int(index) % self.num_images for index in indices]
        images = np.stack([self.pack.images[row] for row in rows])  # [N, R, R, 3]
        flipped = [int(index) >= self.num_images for index in indices]
        images[flipped] = images[flipped, :, ::-1]
        return torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1

    def labels(self, indices: Sequence[int]) -> Tensor:
        """Return labels as float32 one-hot [N, num_classes]."""
        rows = np.asarray(indices) % self.num_images
        return one_hot(self.pack.labels[rows], self.num_classes)


def one_hot(classes: Sequence[int] | np.ndarray, num_classes: int) -> Tensor:
    """Return class ids as float32 [N, num_classes]; [N, 0] when there are no classes."""
    label = torch.zeros(len(classes), num_classes)
    if num_classes:
        label[torch.arange(len(classes)), torch.as_tensor(np.asarray(classes))] = 1
    return label


def endless_order(num_items: int, seed: int) -> Iterator[int]:
    """Yield indices 0..num_items-1 for ever, in a shuffled order that keeps changing.

    After each step the entry just shown changes places with one of those shown in the last half
    round, so an item comes back after about one round but never in the same order.

    Args:
        num_items: at least 1.
        seed: of numpy's legacy generator, whose order a published data order can be checked with.
    """
    rng = np.random.RandomState(seed)
    order = np.arange(num_items)
    rng.shuffle(order)
    window = round(num_items / 2)  # halves go to the even number, as rint does
    step = 0
    while True:
        i = step % num_items
        yield int(order[i])
        if window >= 2:
            j = (i - rng.randint(window)) % num_items
            order[i], order[j] = order[j], order[i]
        step += 1
