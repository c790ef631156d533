"""The mapping network of StyleGAN2: from latents and classes to styles.

Source: arXiv:1912.04958. The sketch is ours.
"""

import torch
from torch import Tensor, nn

from stylegan2.models.layers import FullyConnectedLayer, dense, normalize
from stylegan2.ops import fused
from stylegan2.ops.checks import check_positive, check_shape


class Sketch(nn.Module):
    """A small image that is a linear function of the latent, for each class.

    Its numbers do not train: what it draws (light, pose, where the hair is) hangs on the latent
    from the first iteration to the last, whatever discriminators say.
    """

    mean: Tensor
    deviation: Tensor
    components: Tensor

    def __init__(self, z_dim: int, c_dim: int, size: int) -> None:
        """Make one whose image is gray; see `LinearFaces.sketch`.

        Args:
            z_dim: size of the latents.
            c_dim: size of the labels, 0 for none.
            size: numbers of the image.
        """
        super().__init__()
        self.c_dim = c_dim
        self.register_buffer("mean", torch.zeros([max(c_dim, 1), size]))
        self.register_buffer("deviation", torch.zeros([max(c_dim, 1), z_dim]))
        self.register_buffer("components", torch.zeros([z_dim, size]))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Return the images, [N, size], of latents [N, z_dim] and labels [N, c_dim]."""
        mean, deviation = self.mean, self.deviation
        if self.c_dim:
            assert c is not None
            mean, deviation = c @ mean, c @ deviation
        return mean + (z * deviation) @ self.components


class MappingNetwork(nn.Module):
    """From latents and labels to styles."""

    w_avg: Tensor  # if it keeps one

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        activation: str = "lrelu",
        lr_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.995,
        sketch_size: int = 0,
    ) -> None:
        """Draw the weights.

        Args:
            z_dim: size of the latents, 0 for none.
            c_dim: size of the labels, 0 for none.
            w_dim: size of the styles, but for the sketch.
            num_ws: how often a style is repeated; None returns it once, without that dimension.
            num_layers: fully connected layers.
            embed_features: size of the embedded label; None for w_dim.
            layer_features: size of the hidden layers; None for w_dim.
            activation: a name of ACTIVATIONS.
            lr_multiplier: factor on the learning rate of the layers.
            w_avg_beta: decay of the running mean of w; None keeps none.
            sketch_size: numbers of a sketch, with which each style ends; 0 for none.

        Raises:
            ValueError: neither latents nor labels, or no layer.
        """
        super().__init__()
        if z_dim == 0 and c_dim == 0:
            raise ValueError("z_dim: 0 with c_dim 0, expected latents or labels")
        check_positive("num_layers", num_layers)
        self.z_dim = z_dim
        self.c_dim = c_dim
        self.w_dim = w_dim + sketch_size
        self.num_ws = num_ws
        self.num_layers = num_layers
        self.w_avg_beta = w_avg_beta
        embed_features = 0 if c_dim == 0 else w_dim if embed_features is None else embed_features
        layer_features = w_dim if layer_features is None else layer_features
        if c_dim > 0:
            self.embed = FullyConnectedLayer(c_dim, embed_features)
        sizes = [z_dim + embed_features] + [layer_features] * (num_layers - 1) + [w_dim]
        for i in range(num_layers):
            layer = FullyConnectedLayer(
                sizes[i], sizes[i + 1], activation=activation, lr_multiplier=lr_multiplier
            )
            setattr(self, f"fc{i}", layer)
        if sketch_size:
            self.sketch = Sketch(z_dim, c_dim, sketch_size)
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros([self.w_dim]))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
        update_w_avg: bool = True,
    ) -> Tensor:
        """Return the styles, [N, num_ws, w_dim] (or [N, w_dim] if num_ws is None), float32.

        Args:
            z: latents, [N, z_dim]; not read if z_dim is 0.
            c: labels, [N, c_dim]; not read if c_dim is 0.
            truncation_psi: 1 keeps the styles, 0 gives w_avg.
            truncation_cutoff: only the first so many styles are truncated; None for all.
            update_w_avg: in train mode, move w_avg towards the mean of this batch.

        Raises:
            ValueError: z or c is missing or of another shape.
        """
        inputs = []
        if self.z_dim > 0:
            inputs.append(normalize(self._checked("z", z, self.z_dim)))
        if self.c_dim > 0:
            inputs.append(normalize(self.embed(self._checked("c", c, self.c_dim))))
        if len({len(part) for part in inputs}) > 1:
            raise ValueError(f"c: {len(inputs[1])} labels, expected {len(inputs[0])}, one a latent")
        x = torch.cat(inputs, dim=1)
        layers = [getattr(self, f"fc{i}") for i in range(self.num_layers)]
        if fused.is_used(x, layers[0].activation):
            x = dense(x, layers)
        else:
            for layer in layers:
                x = layer(x)
        if hasattr(self, "sketch"):
            assert z is not None
            x = torch.cat([x, self.sketch(z.to(torch.float32), c)], dim=1)

        has_w_avg = hasattr(self, "w_avg")
        if has_w_avg and self.training and update_w_avg:
            assert self.w_avg_beta is not None
            self.w_avg.copy_(x.detach().mean(dim=0).lerp(self.w_avg, self.w_avg_beta))
        if self.num_ws is not None:
            x = x[:, None].repeat(1, self.num_ws, 1)
        if truncation_psi != 1:
            if not has_w_avg:
                raise ValueError("truncation_psi: this network keeps no w_avg to truncate towards")
            cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
            head = self.w_avg.lerp(x[:, :cutoff], truncation_psi)
            x = torch.cat([head, x[:, cutoff:]], dim=1)
        return x

    @staticmethod
    def _checked(name: str, x: Tensor | None, size: int) -> Tensor:
        if x is None:
            raise ValueError(f"{name}: missing, expected shape [N, {size}]")
        check_shape(name, x, [None, size])
        return x.to(torch.float32)
