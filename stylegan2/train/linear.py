"""Faces that need no training: a Gaussian of each class's pixels, for a generator to begin with.

A generator of random weights learns pose, skin and hair from the discriminator's hints alone. What
a linear model knows of them (principal components of the pixels, drawn from a normal distribution)
it can be told outright, in a minute and without a discriminator: which latent is which face.
Training against discriminators then begins with blurred faces of every kind and the right colours.

Source: principal components as a model of faces: Turk and Pentland, Eigenfaces for recognition,
Journal of Cognitive Neuroscience 3(1), 1991; drawn at random: Blanz and Vetter, SIGGRAPH 1999.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylegan2.models.layers import normalize
from stylegan2.models.mapping import Sketch
from stylegan2.train.data import TrainingSet

MOST_IMAGES = 4096  # that components are found from: more say little of a hundred of them
LEAST_DEVIATION = 1e-6  # along a component: a class of one image has none
OVERSAMPLED = 16  # random directions beside the components wanted; arXiv:0909.4061


class LinearFaces:
    """Images as a linear function of latents, for each class.

    The components are those of all images, each taken from the mean of its class, so that a class
    of a few images has as many as the others; how far it varies along each is its own.

    Attributes:
        z_dim: length of a latent.
        mean: float32 [K, 3 * R * R], in [-1, 1].
        deviation: along the components, float32 [K, z_dim].
        components: float32 [3 * R * R, z_dim], of unit length.
        shape: of an image, (3, R, R).
    """

    def __init__(self, data: TrainingSet, num: int, seed: int, device: torch.device) -> None:
        """Find `num` components, one a latent's number, or as many as the images have.

        Args:
            data: the images.
            num: z_dim of the generator.
            seed: of the images that are looked at and the directions tried.
            device: of what is made.
        """
        rng = np.random.default_rng([seed, 6])
        rows = np.sort(rng.permutation(len(data))[:MOST_IMAGES])
        img = data.images(rows.tolist()).to(device)
        self.shape = img.shape[1:]
        pixels = img.flatten(1)
        labels = data.labels(rows.tolist()).to(device)
        if not data.num_classes:
            labels = torch.ones([len(rows), 1], device=device)
        counts = labels.sum(dim=0).clamp(min=1)
        self.mean = (labels.T @ pixels) / counts[:, None]
        offsets = pixels - labels @ self.mean
        self.z_dim = num
        num = min(num, *offsets.shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            most = min(num + OVERSAMPLED, *offsets.shape)
            _, _, directions = torch.svd_lowrank(offsets, q=most, niter=2)
        self.components = directions[:, :num].contiguous()
        places = offsets @ self.components
        self.deviation = ((labels.T @ places.square()) / counts[:, None]).sqrt()

    def __call__(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Return the images, float32 [N, 3, R, R], of latents [N, z_dim] and labels [N, K]."""
        mean, deviation = self._of_class(c, len(z))
        places = normalize(z)[:, : self.components.shape[1]] * deviation
        return (mean + places @ self.components.T).reshape(-1, *self.shape)

    def sketch(self, sketch: Sketch, resolution: int) -> None:
        """Make a generator's sketch draw these faces, made smaller, of latents of any length."""

        def smaller(pixels: Tensor) -> Tensor:
            img = pixels.reshape(-1, *self.shape)
            return functional.adaptive_avg_pool2d(img, resolution).flatten(1)

        num = self.components.shape[1]
        sketch.mean.copy_(smaller(self.mean))
        sketch.components[:num] = smaller(self.components.T)
        sketch.deviation[:, :num] = self.deviation

    def latents(self, img: Tensor, c: Tensor | None) -> Tensor:
        """Return the latents [N, z_dim] whose images are nearest to some, but for their length.

        Args:
            img: float32 [N, 3, R, R], in [-1, 1].
            c: their labels, [N, K], if conditional.
        """
        mean, deviation = self._of_class(c, len(img))
        z = (img.flatten(1) - mean) @ self.components / deviation.clamp(min=LEAST_DEVIATION)
        return functional.pad(z, [0, self.z_dim - z.shape[1]])

    def _of_class(self, c: Tensor | None, num: int) -> tuple[Tensor, Tensor]:
        """Return means [N, 3 * R * R] and deviations of the classes of `num` images."""
        if c is None or not c.shape[1]:
            c = torch.ones([num, 1], device=self.mean.device)
        return c @ self.mean, c @ self.deviation
