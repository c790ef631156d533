"""Features of images: who computes them, and files that keep those of real images.

`efficientnet_lite0` needs no download: its ImageNet weights are installed with the package. Its
features are not Inception's, so figures can be compared with each other, not with published ones:
their names end in `_efficientnet_lite0`. `inception` needs the file that published FIDs were
computed with.
"""

import itertools
import logging
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import timm
import torch
import xxhash
from torch import Tensor, nn
from torch.nn import functional

from facekit import progress
from facekit.compute.weights import packaged_state_dict
from facekit.errors import DataError, WriteError, reason_of
from facekit.storage import arrays
from stylegan2.metrics.extractors import EXTRACTORS
from stylegan2.train.data import hash_images

BACKBONE = "tf_efficientnet_lite0"
EFFICIENTNET_SIZE = 1280
FEATURE_SIZE = 128  # pixels a side that images are scaled to; fewer make coarse features
INCEPTION_FILE = "inception-2015-12-05.pt"
INCEPTION_URL = (
    f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION_FILE}"
)
INCEPTION_SIZE = 2048
ROUND = 64  # images that an extractor gets at a time, whatever the caller's batch
CACHE_VERSION = "1"  # to be raised when the same weights come to give other features

log = logging.getLogger(__name__)


class EfficientNetLite0(nn.Module):
    """Pooled ImageNet features of images.

    Attributes:
        name: of the extractor.
        size: numbers a vector.
        version: changes with the weights and with what is done to an image.
        kid_subsets: number and size of the subsets that KID is averaged over.
    """

    name = "efficientnet_lite0"
    size = EFFICIENTNET_SIZE
    kid_subsets = (20, 500)

    def __init__(self) -> None:
        super().__init__()
        self.model = timm.create_model(BACKBONE, num_classes=0)
        state = packaged_state_dict(BACKBONE)
        state = {key: x for key, x in state.items() if not key.startswith("classifier.")}
        self.model.load_state_dict(state)
        digest = xxhash.xxh3_128(f"{CACHE_VERSION} {FEATURE_SIZE}".encode())
        for tensor in state.values():
            digest.update(tensor.contiguous().numpy().data)
        self.version = digest.hexdigest()
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return features, float32 [N, 1280], of uint8 [N, H, W, 3] images of one size."""
        x = images.permute(0, 3, 1, 2).to(torch.float32)
        if x.shape[2:] != (FEATURE_SIZE, FEATURE_SIZE):
            x = functional.interpolate(
                x, (FEATURE_SIZE, FEATURE_SIZE), mode="bicubic", antialias=True
            ).clamp(0, 255)
        return self.model(x / 127.5 - 1)


class Inception(nn.Module):
    """Pooled features of the TorchScript Inception network of 2015-12-05, that of published FIDs.

    The network scales images to its own size. Attributes are those of `EfficientNetLite0`.
    """

    name = "inception"
    size = INCEPTION_SIZE
    kid_subsets = (100, 1000)  # as published

    def __init__(self, weights: Path | None) -> None:
        """Load the network.

        Args:
            weights: the file; None looks in torch's hub cache.

        Raises:
            DataError: no such file, or not such a network.
        """
        super().__init__()
        path = (
            Path(torch.hub.get_dir(), "checkpoints", INCEPTION_FILE) if weights is None else weights
        )
        if not path.is_file():
            raise DataError(
                f"{path}: no such file; Inception features need {INCEPTION_FILE}: name it with"
                f" --weights, or fetch it beforehand: curl --create-dirs -o {path} {INCEPTION_URL}"
            )
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.filterwarnings(
                    "ignore", r"`torch\.jit\.load` is deprecated", FutureWarning
                )
                self.model = torch.jit.load(path, map_location="cpu").eval()
                found = self(torch.zeros([2, 32, 32, 3], dtype=torch.uint8))
        except (RuntimeError, AttributeError) as error:
            reason = reason_of(str(error).strip().partition("\n")[0])
            raise DataError(
                f"{path}: not the TorchScript network {INCEPTION_FILE} ({reason}); it is at"
                f" {INCEPTION_URL}"
            ) from None
        if list(found.shape) != [2, INCEPTION_SIZE]:
            raise DataError(
                f"{path}: gives features {list(found.shape)} of 2 images, expected"
                f" [2, {INCEPTION_SIZE}]; {INCEPTION_FILE} is at {INCEPTION_URL}"
            )
        digest = xxhash.xxh3_128(CACHE_VERSION.encode())
        digest.update(path.read_bytes())
        self.version = digest.hexdigest()

    def forward(self, images: Tensor) -> Tensor:
        """Return features, float32 [N, 2048], of uint8 [N, H, W, 3] images of one size."""
        x = images.permute(0, 3, 1, 2).to(torch.float32)  # 0 .. 255
        return self.model(x, return_features=True).flatten(1).to(torch.float32)


Extractor = EfficientNetLite0 | Inception


def load_extractor(name: str, weights: Path | None, device: torch.device | str) -> Extractor:
    """Return the extractor of this name, on its device.

    Args:
        name: of `extractors.EXTRACTORS`.
        weights: file of the user's, for one that takes it; None: where they lie by default.
        device: to work on.

    Raises:
        DataError: no such extractor, or no such weights.
    """
    return EXTRACTORS[name].make(weights).to(device)


def extract(
    extractor: Extractor,
    batches: Iterable[np.ndarray],
    num_images: int,
    name: str,
    device: torch.device | str,
) -> Iterator[np.ndarray]:
    """Yield the features of batches of images, float32 [n, size].

    The last bits of a feature depend on the number of images that the network is given, so it
    gets rounds of one size: what comes out does not depend on how large the batches are.

    Args:
        extractor: on the device.
        batches: uint8 [n, H, W, 3].
        num_images: of all batches, for the progress bar.
        name: shown there.
        device: to work on.
    """
    with progress.bar() as bar:
        task = bar.add_task(name, total=num_images)
        for images in _rounds(batches):
            with torch.no_grad():  # TorchScript fails in inference mode
                found = extractor(torch.from_numpy(images).to(device))
            yield found.cpu().numpy()
            bar.advance(task, len(images))


def _rounds(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the images of batches in groups of `ROUND`; the last one may be smaller."""
    each = itertools.chain.from_iterable(batches)
    while group := list(itertools.islice(each, ROUND)):
        yield np.stack(group)


def of_real_images(
    extractor: Extractor,
    images: np.ndarray,
    batch: int,
    cache: Path,
    device: torch.device | str,
) -> np.ndarray:
    """Return the features of a pack's images, mapped from a file that is made if it is not there.

    The file's name holds a digest of all pixels, of the extractor and of its weights: images that
    changed, in place or not, are never given the features of others.

    Args:
        extractor: on the device.
        images: uint8 [N, H, W, 3].
        batch: images at a time.
        cache: where the file belongs and how its name begins, such as `packs/train`.
        device: to work on.

    Returns:
        float32 [N, size].

    Raises:
        DataError: the folder cannot be written to.
    """
    key = hash_images(images)
    key.update(f"{images.shape} {extractor.name} {extractor.version}".encode())
    path = cache.with_name(f"{cache.name}.{extractor.name}-{key.hexdigest()}.npy")
    try:
        found = arrays.read_features(path, extractor.size)
        if len(found) == len(images):
            return found
    except DataError as error:
        if path.exists():
            log.warning("%s; made again", error)
    groups = (np.array(images[start : start + batch]) for start in range(0, len(images), batch))
    try:
        with arrays.appending(path, [extractor.size], np.float32) as append:
            for group in extract(extractor, groups, len(images), f"{cache.name} images", device):
                append(group)
    except WriteError as error:
        raise DataError(
            f"{error}; features of real images cannot be kept there, name a folder for them with"
            " --cache"
        ) from None
    return arrays.read_features(path, extractor.size)
