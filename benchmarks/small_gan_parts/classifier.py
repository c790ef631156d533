"""A small classifier of small faces, trained in a minute on one thread from random weights."""

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn import functional

SHIFT = 1 / 16  # of the picture's side: most that a picture is moved by in training
SMOOTHING = 0.05  # of labels
WEIGHT_DECAY = 0.02
BATCH = 64
LOOK = 500  # images at a time where no gradient is kept


class SmallNet(nn.Module):
    """Convolutions from half the resolution down to 4x4: uint8 [N, R, R, 3] -> logits [N, classes].

    Attributes:
        size: numbers of a vector before the logits.
    """

    def __init__(self, resolution: int, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        side, channels = resolution // 2, 32 if resolution <= 32 else 16
        layers = _layer(3, round(channels * width), 5, stride=2)
        while side > 4:
            wider = {16: 48, 8: 96}.get(side, 32)
            layers += _layer(round(channels * width), round(wider * width))
            if side == 8:
                layers += _layer(round(wider * width), round(wider * width))
            layers.append(nn.MaxPool2d(2))
            side, channels = side // 2, wider
        self.size = round(128 * width)
        self.layers = nn.Sequential(*layers, *_layer(round(channels * width), self.size))
        self.drop = nn.Dropout(0.2)
        self.last = nn.Linear(self.size, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return pooled features, float32 [N, size]."""
        x = images.permute(0, 3, 1, 2).to(torch.float32)  # NHWC in memory, as convolutions like it
        return self.layers(x / 127.5 - 1).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float32 [N, classes]."""
        return self.last(self.drop(self.features(images)))


def _layer(num_in: int, num_out: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(num_in, num_out, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(num_out), nn.ReLU(inplace=True)]


def fit(
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    steps: int,
    seed: int,
    width: float = 1.0,
    lr: float = 4e-3,
) -> SmallNet:
    """Return a classifier trained on images, every class as often as the others.

    Args:
        images: uint8 [N, R, R, 3].
        labels: class ids, int64 [N]; every class occurs.
        num_classes: of the logits.
        steps: batches of BATCH images, AdamW with a one-cycle rate.
        seed: of weights, order and augmentation (mirror, shift, brightness, contrast).
        width: of the layers, 1 is the usual one.
        lr: highest learning rate.

    Raises:
        ValueError: a class without an image.
    """
    of_class = [np.flatnonzero(labels == each) for each in range(num_classes)]
    if not all(len(rows) for rows in of_class):
        raise ValueError(f"images by class: {[len(rows) for rows in of_class]}; none may be 0")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = SmallNet(images.shape[1], num_classes, width).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    net.train()
    for _ in range(steps):
        chosen = rng.integers(num_classes, size=BATCH)
        rows = np.array([rng.choice(of_class[each]) for each in chosen])
        batch = _augment(np.asarray(images[rows]), rng)
        loss = functional.cross_entropy(
            net(batch), torch.from_numpy(chosen), label_smoothing=SMOOTHING
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)


def _augment(images: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Return images mirrored, moved and relit at random, float32 [N, R, R, 3] in 0..255."""
    side = images.shape[1]
    most = round(side * SHIFT)
    padded = np.pad(images, [(0, 0), (most, most), (most, most), (0, 0)], mode="edge")
    moved = np.empty(images.shape, np.float32)
    for i, (y, x) in enumerate(rng.integers(2 * most + 1, size=(len(images), 2))):
        cut = padded[i, y : y + side, x : x + side]
        moved[i] = cut[:, ::-1] if rng.random() < 0.5 else cut
    contrast = rng.uniform(0.8, 1.25, size=(len(images), 1, 1, 1)).astype(np.float32)
    brightness = rng.uniform(-25, 25, size=(len(images), 1, 1, 1)).astype(np.float32)
    return torch.from_numpy((moved - 127.5) * contrast + 127.5 + brightness)


@torch.no_grad()
def logits(net: SmallNet, images: np.ndarray) -> np.ndarray:
    """Return the mean logits of images and their mirror images, float32 [N, classes]."""
    found = []
    for start in range(0, len(images), LOOK):
        x = torch.from_numpy(np.array(images[start : start + LOOK]))
        found.append((net(x) + net(x.flip(2))) / 2)
    return torch.cat(found).numpy()


def temperature(of_images: np.ndarray, labels: np.ndarray) -> float:
    """Return what logits [N, classes] are to be divided by for the least cross-entropy.

    Source: arXiv:1706.04599, section 4.2.
    """
    grid = np.geomspace(0.2, 5, 200)
    x, y = torch.from_numpy(of_images), torch.from_numpy(np.array(labels))
    losses = [float(functional.cross_entropy(x / t, y)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def f1_by_class(pred: np.ndarray, labels: np.ndarray, num_classes: int) -> list[float]:
    """Return the F1 of each class; 0 for one that is never found."""
    ids = list(range(num_classes))
    return f1_score(labels, pred, labels=ids, average=None, zero_division=0).tolist()
