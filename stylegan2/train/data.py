"""Training images: a pack, its labels, and the endless order in which they are shown."""

import functools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor

from facedata.packs.storage import Pack
from facedata.splits.ids import digest_of_ids
from facekit.errors import DataError

HASHED_ROWS = 4096  # images hashed at a time


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

    @functools.cached_property
    def train_ids(self) -> str:
        """Digest of the ids of the pack's images."""
        return digest_of_ids(self.pack.table["image_id"])

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the pack's images, labels and classes."""
        pack = self.pack
        digest = hash_images(pack.images)
        digest.update(np.ascontiguousarray(pack.labels, np.int64).data)
        names = [list(pack.images.shape), pack.attributes, pack.classes]
        digest.update(json.dumps(names).encode())
        return digest.hexdigest()

    def images(self, indices: Sequence[int]) -> Tensor:
        """Return images as float32 [N, 3, R, R] in [-1, 1].

        Args:
            indices: in 0..len-1; those from `num_images` on are mirror images.
        """
        index = np.asarray(indices)
        images = np.asarray(self.pack.images)[index % self.num_images]  # [N, R, R, 3], a copy
        flipped = index >= self.num_images
        images[flipped] = images[flipped, :, ::-1]
        return torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1

    def labels(self, indices: Sequence[int]) -> Tensor:
        """Return labels as float32 one-hot [N, num_classes]."""
        rows = np.asarray(indices) % self.num_images
        return one_hot(self.pack.labels[rows], self.num_classes)


def hash_images(images: np.ndarray) -> xxhash.xxh3_128:
    """Return the hash of all pixels of images [N, ...], read some at a time."""
    digest = xxhash.xxh3_128()
    for start in range(0, len(images), HASHED_ROWS):
        digest.update(np.ascontiguousarray(images[start : start + HASHED_ROWS]).data)
    return digest


def one_hot(classes: Sequence[int] | np.ndarray, num_classes: int) -> Tensor:
    """Return class ids as float32 [N, num_classes]; [N, 0] when there are no classes."""
    label = np.zeros([len(classes), num_classes], np.float32)
    if num_classes:
        label[np.arange(len(classes)), np.asarray(classes)] = 1
    return torch.from_numpy(label)


class EndlessOrder:
    """Yields indices 0..num_items-1 for ever, in a shuffled order that keeps changing.

    After each step the entry just shown changes places with one of those shown in the last half
    round, so an item comes back after about one round but never in the same order.
    """

    def __init__(self, num_items: int, seed: int) -> None:
        """Begin with the first round.

        Args:
            num_items: at least 1.
            seed: of numpy's legacy generator, whose order a published data order can be checked
                with.
        """
        self.rng = np.random.RandomState(seed)
        self.order = np.arange(num_items)
        self.rng.shuffle(self.order)
        self.window = round(num_items / 2)  # halves go to the even number, as rint does
        self.step = 0

    def __iter__(self) -> "EndlessOrder":
        return self

    def __next__(self) -> int:
        i = self.step % len(self.order)
        index = int(self.order[i])
        if self.window >= 2:
            j = (i - self.rng.randint(self.window)) % len(self.order)
            self.order[i], self.order[j] = self.order[j], self.order[i]
        self.step += 1
        return index

    def state_dict(self) -> dict[str, Any]:
        """Return plain values from which the order goes on."""
        state = self.rng.get_state(legacy=False)["state"]
        return {
            "order": self.order.tolist(),
            "step": self.step,
            "key": state["key"].tolist(),
            "pos": state["pos"],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            ValueError: it orders another number of items.
        """
        if len(state["order"]) != len(self.order):
            raise ValueError(f"an order of {len(state['order'])} images, not {len(self.order)}")
        self.order = np.array(state["order"])
        self.step = state["step"]
        self.rng.set_state(("MT19937", np.array(state["key"], np.uint32), state["pos"], 0, 0.0))
