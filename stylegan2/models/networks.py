"""The networks of StyleGAN2: generator and discriminator.

Tensor names are those of the original checkpoints, so that weights can be exchanged.

Sources: arXiv:1912.04958 (architectures), arXiv:2006.06676 (conditioning, mixed precision).
"""

from torch import Tensor, nn

from stylegan2.models.discriminator import Discriminator
from stylegan2.models.draws import DRAWS, Draws
from stylegan2.models.mapping import MappingNetwork
from stylegan2.models.synthesis import SynthesisNetwork

__all__ = ["Discriminator", "Generator"]


class Generator(nn.Module):
    """Mapping and synthesis network."""

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        mapping_kwargs: dict | None = None,
        synthesis_kwargs: dict | None = None,
        sketch: int = 0,
    ) -> None:
        """Draw the weights; arguments as those of MappingNetwork and SynthesisNetwork.

        Attribute `w_dim` is the size of a style with its sketch, that is more than the argument.
        """
        super().__init__()
        self.z_dim = z_dim
        self.c_dim = c_dim
        sketch_size = img_channels * sketch**2
        self.w_dim = w_dim + sketch_size
        self.img_resolution = img_resolution
        self.img_channels = img_channels
        self.synthesis = SynthesisNetwork(
            self.w_dim, img_resolution, img_channels, sketch=sketch, **(synthesis_kwargs or {})
        )
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(
            z_dim, c_dim, w_dim, self.num_ws, sketch_size=sketch_size, **(mapping_kwargs or {})
        )

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
        noise_mode: str = "random",
        force_fp32: bool = False,
        draws: Draws = DRAWS,
    ) -> Tensor:
        """Return images, [N, img_channels, R, R], float32, about in [-1, 1].

        Args:
            z: latents, unit normal, [N, z_dim].
            c: labels, [N, c_dim]; not read if c_dim is 0.
            truncation_psi, truncation_cutoff: as in MappingNetwork.
            noise_mode, force_fp32, draws: as in SynthesisNetwork.
        """
        ws = self.mapping(z, c, truncation_psi, truncation_cutoff)
        return self.synthesis(ws, noise_mode=noise_mode, force_fp32=force_fp32, draws=draws)
