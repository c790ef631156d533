"""How often each class is shown and asked for, and how much the networks are told of it.

A conditional GAN of classes of very different sizes sees its rare ones so seldom that it forgets
them, or sees the same few images so often that it repeats them. What is here changes the draws of
a run, never the networks: images and labels by other shares, and labels that are first no more
than the mean of all (after arXiv:2201.06578, where the condition sets in gradually, too) or that
carry noise (after arXiv:2304.05866).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from facekit.errors import DataError
from stylegan2.models.draws import Draws
from stylegan2.options import TrainOptions
from stylegan2.train.data import EndlessOrder, TrainingSet, one_hot

POWERS = {"natural": 1.0, "sqrt": 0.5, "equal": 0.0}  # shares are counts to this power


def shares(counts: np.ndarray, how: str) -> np.ndarray:
    """Return how often each class is drawn, float64 [K], 1 in all.

    Args:
        counts: images of each class, [K], at least one of them above 0; what has no image is
            never drawn.
        how: a key of `POWERS`.
    """
    weights = np.where(counts > 0, np.asarray(counts, np.float64) ** POWERS[how], 0)
    return weights / weights.sum()


class ClassOrder:
    """Yields indices for ever: a class by its share, then an image of that class.

    The images of a class take turns, in an order that is shuffled anew after each round; in
    `EndlessOrder` some of a few images come twice as often as others.
    """

    def __init__(self, members: list[np.ndarray], weights: np.ndarray, seed: int) -> None:
        """Begin with the first round of each class.

        Args:
            members: indices of each class, int64; empty ones are never drawn.
            weights: share of each class, [K], 1 in all.
            seed: of everything random.
        """
        self.members = members
        self.weights = weights
        self.rng = np.random.default_rng([seed, 5])
        self.left: list[list[int]] = [[] for _ in members]  # of this round of each class

    def __iter__(self) -> "ClassOrder":
        return self

    def __next__(self) -> int:
        class_id = int(self.rng.choice(len(self.weights), p=self.weights))
        if not self.left[class_id]:
            self.left[class_id] = self.rng.permutation(self.members[class_id]).tolist()
        return self.left[class_id].pop()

    def state_dict(self) -> dict[str, Any]:
        """Return plain values from which the order goes on."""
        left = [list(one) for one in self.left]
        return {"sizes": self._sizes(), "left": left, "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            ValueError: it orders other numbers of images.
        """
        if state["sizes"] != self._sizes():
            found = f"an order of {state['sizes']} images by class"
            raise ValueError(f"{found}, not of {self._sizes()}")
        self.left = [list(one) for one in state["left"]]
        self.rng.bit_generator.state = state["rng"]

    def _sizes(self) -> list[int]:
        return [len(own) for own in self.members]


class Classes:
    """The classes of a run's images, as its options want them drawn and told."""

    def __init__(self, data: TrainingSet, options: TrainOptions) -> None:
        """Take the classes of `data`.

        Raises:
            DataError: an option that needs classes, and there are none.
        """
        self.how = options.class_draw
        self.cond_nimg = options.cond_kimg * 1000
        self.noise = options.class_noise
        self.num_classes = data.num_classes
        self.num_rows = len(data)
        self.labels = np.resize(np.asarray(data.pack.labels, np.int64), len(data))
        if not data.num_classes:
            for name in ("class_draw", "cond_kimg", "class_noise"):
                value = getattr(options, name)
                if value != TrainOptions.model_fields[name].default:
                    flag = f"--{name.replace('_', '-')} {value}"
                    raise DataError(f"{flag}: the network is told no class; leave it out")
            return
        counts = np.bincount(self.labels, minlength=data.num_classes)
        self.weights = shares(counts, self.how)
        self.members = [np.flatnonzero(self.labels == i) for i in range(data.num_classes)]
        self.mean = torch.from_numpy(self.weights).to(torch.float32)

    def order(self, seed: int) -> EndlessOrder | ClassOrder:
        """Return the order in which images are shown."""
        if self.how == "natural":
            return EndlessOrder(self.num_rows, seed)
        return ClassOrder(self.members, self.weights, seed)

    def labels_to_ask_for(self, rng: np.random.Generator, num: int) -> np.ndarray:
        """Return the class ids of generated images, int64 [num]."""
        if self.how == "natural":
            return self.labels[rng.integers(self.num_rows, size=num)]
        return rng.choice(self.num_classes, size=num, p=self.weights)

    def tell(
        self, classes: np.ndarray, cur_nimg: int, draws: Draws, device: torch.device
    ) -> Tensor:
        """Return what the networks are told of classes, float32 [N, num_classes].

        One-hot labels c, or t c + (1 - t) mean while the condition sets in (t rises from 0 to 1
        over `cond_kimg`; mean: the classes' shares as drawn), and noise of deviation `class_noise`
        on each number. The first layer that reads a label is linear, so that both act on the
        class's embedding.

        Args:
            classes: class ids, [N]; of all processes.
            cur_nimg: real images shown so far.
            draws: where random numbers come from.
            device: to return them on.
        """
        c = one_hot(classes, self.num_classes).to(device)
        if cur_nimg < self.cond_nimg:
            c = torch.lerp(self.mean.to(device).expand_as(c), c, cur_nimg / self.cond_nimg)
        if self.noise:
            c = c + self.noise * draws.normal("class_noise", c.shape, device)
        return c
