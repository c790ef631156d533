"""The discriminator of StyleGAN2. Sources: arXiv:1912.04958; conditioning: arXiv:2006.06676."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from stylegan2.models.layers import (
    ARCHITECTURES,
    EPSILON,
    LOW_DTYPES,
    RESAMPLE_FILTER,
    Conv2dLayer,
    FullyConnectedLayer,
    block_resolutions,
    compute_dtype,
    compute_layout,
    dense,
    fp16_resolution,
    num_channels,
)
from stylegan2.models.mapping import MappingNetwork
from stylegan2.ops import fused
from stylegan2.ops.checks import check_choice, check_shape
from stylegan2.ops.upfirdn2d import downsample2d, setup_filter


class DiscriminatorBlock(nn.Module):
    """The layers of one resolution, which halve it."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        tmp_channels: int,
        out_channels: int,
        resolution: int,
        img_channels: int,
        first_layer_idx: int,
        architecture: str = "resnet",
        activation: str = "lrelu",
        resample_filter: Sequence[float] = RESAMPLE_FILTER,
        conv_clamp: float | None = None,
        use_fp16: bool = False,
        low_dtype: str = "float16",
        freeze_layers: int = 0,
    ) -> None:
        """Draw the weights.

        Args:
            in_channels: feature maps from the block before; 0 in the first block.
            tmp_channels: feature maps at this resolution.
            out_channels: feature maps of the result.
            resolution, img_channels: sizes.
            first_layer_idx: number of this block's first layer, counted from the image.
            architecture: orig, skip or resnet.
            activation, resample_filter, conv_clamp: as in Conv2dLayer.
            use_fp16: compute in low_dtype.
            low_dtype: float16 or bfloat16.
            freeze_layers: layers of a number below this one are not trained.
        """
        super().__init__()
        check_choice("architecture", architecture, ARCHITECTURES)
        self.in_channels = in_channels
        self.resolution = resolution
        self.img_channels = img_channels
        self.architecture = architecture
        check_choice("low_dtype", low_dtype, LOW_DTYPES)
        self.use_fp16 = use_fp16
        self.low_dtype = low_dtype
        self.num_layers = 0
        self.register_buffer("resample_filter", setup_filter(resample_filter))

        def count_layer() -> bool:
            """Count one more layer; return whether it is trained."""
            self.num_layers += 1
            return first_layer_idx + self.num_layers > freeze_layers

        plain = partial(Conv2dLayer, resample_filter=resample_filter)
        layer = partial(plain, activation=activation, conv_clamp=conv_clamp)
        if in_channels == 0 or architecture == "skip":
            self.fromrgb = layer(img_channels, tmp_channels, 1, trainable=count_layer())
        self.conv0 = layer(tmp_channels, tmp_channels, 3, trainable=count_layer())
        self.conv1 = layer(tmp_channels, out_channels, 3, down=2, trainable=count_layer())
        if architecture == "resnet":
            self.skip = plain(
                tmp_channels, out_channels, 1, bias=False, down=2, trainable=count_layer()
            )

    def forward(
        self, x: Tensor | None, img: Tensor | None, force_fp32: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the feature maps, [N, out_channels, R / 2, R / 2], and the next block's image.

        Args:
            x: feature maps, [N, in_channels, R, R]; None in the first block.
            img: image, [N, img_channels, R, R], where this block reads one.
            force_fp32: compute in float32.
        """
        dtype = compute_dtype(self.use_fp16 and not force_fp32, self.low_dtype)
        if x is not None:
            check_shape("x", x, [None, self.in_channels, self.resolution, self.resolution])
            x = x.to(dtype)
        if self.in_channels == 0 or self.architecture == "skip":
            assert img is not None
            check_shape("img", img, [None, self.img_channels, self.resolution, self.resolution])
            img = img.to(dtype, memory_format=compute_layout(img))
            y = self.fromrgb(img)
            x = y if x is None else x + y
            is_skip = self.architecture == "skip"
            img = downsample2d(img, self.resample_filter) if is_skip else None
        if self.architecture == "resnet":
            gain = math.sqrt(0.5)
            y = self.skip(x, gain=gain)
            x = y + self.conv1(self.conv0(x), gain=gain)
        else:
            x = self.conv1(self.conv0(x))
        return x, img


class MinibatchStdLayer(nn.Module):
    """Appends how much the samples of a group differ, as constant feature maps."""

    def __init__(self, group_size: int | None, num_channels: int = 1) -> None:
        """Take groups of `group_size` samples (None for the batch) and add `num_channels` maps."""
        super().__init__()
        self.group_size = group_size
        self.num_channels = num_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return x with more channels, [N, C + num_channels, H, W].

        Raises:
            ValueError: the batch is no multiple of the group, or C none of num_channels.
        """
        num, channels, height, width = x.shape
        group = max(num if self.group_size is None else min(self.group_size, num), 1)
        if num % group:
            raise ValueError(
                f"mbstd_group_size: {group} does not divide the batch of {num} samples;"
                " choose a batch that is a multiple of the group"
            )
        if channels % self.num_channels:
            raise ValueError(
                f"mbstd_num_channels: {self.num_channels} does not divide {channels} feature maps"
            )
        # Samples of equal index modulo num / group belong together.
        features = channels // self.num_channels
        y = x.reshape(group, num // group, self.num_channels, features, height, width)
        y = y - y.mean(dim=0)  # not .var(), whose second derivative is inaccurate
        y = (y.square().mean(dim=0) + EPSILON).sqrt()  # [N / group, F, C / F, H, W]
        y = y.mean(dim=[2, 3, 4]).repeat(group, 1)  # [N, F]
        y = y[:, :, None, None].expand(-1, -1, height, width)
        return torch.cat([x, y], dim=1)


class DiscriminatorEpilogue(nn.Module):
    """The last layers, at 4x4 pixels, up to one number a sample."""

    def __init__(
        self,
        in_channels: int,
        cmap_dim: int,
        resolution: int,
        img_channels: int,
        architecture: str = "resnet",
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        activation: str = "lrelu",
        conv_clamp: float | None = None,
    ) -> None:
        """Draw the weights.

        Args:
            in_channels, resolution, img_channels: sizes.
            cmap_dim: size of the mapped label; 0 for an unconditional network.
            architecture: orig, skip or resnet.
            mbstd_group_size: samples that are compared with each other; None for the batch.
            mbstd_num_channels: feature maps that tell how much they differ; 0 for none.
            activation, conv_clamp: as in Conv2dLayer.
        """
        super().__init__()
        check_choice("architecture", architecture, ARCHITECTURES)
        self.in_channels = in_channels
        self.cmap_dim = cmap_dim
        self.resolution = resolution
        self.architecture = architecture
        if architecture == "skip":
            self.fromrgb = Conv2dLayer(img_channels, in_channels, 1, activation=activation)
        has_mbstd = mbstd_num_channels > 0
        self.mbstd = MinibatchStdLayer(mbstd_group_size, mbstd_num_channels) if has_mbstd else None
        self.conv = Conv2dLayer(
            in_channels + mbstd_num_channels,
            in_channels,
            3,
            activation=activation,
            conv_clamp=conv_clamp,
        )
        self.fc = FullyConnectedLayer(
            in_channels * resolution**2, in_channels, activation=activation
        )
        self.out = FullyConnectedLayer(in_channels, 1 if cmap_dim == 0 else cmap_dim)

    def forward(self, x: Tensor, img: Tensor | None, cmap: Tensor | None) -> Tensor:
        """Return the logits, [N, 1], float32.

        Args:
            x: feature maps, [N, in_channels, 4, 4].
            img: image, [N, img_channels, 4, 4], read by the skip architecture.
            cmap: mapped labels, [N, cmap_dim], if conditional.
        """
        check_shape("x", x, [None, self.in_channels, self.resolution, self.resolution])
        x = x.to(torch.float32)
        if self.architecture == "skip":
            assert img is not None
            x = x + self.fromrgb(img.to(torch.float32))
        if self.mbstd is not None:
            x = self.mbstd(x)
        x = self.conv(x).flatten(1)
        if fused.is_used(x, self.fc.activation):
            x = dense(x, [self.fc, self.out])
        else:
            x = self.out(self.fc(x))
        if self.cmap_dim > 0:
            assert cmap is not None
            x = (x * cmap).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)
        return x


class Discriminator(nn.Module):
    """From images and labels to logits; larger means more real."""

    def __init__(
        self,
        c_dim: int,
        img_resolution: int,
        img_channels: int,
        architecture: str = "resnet",
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 0,
        low_dtype: str = "float16",
        conv_clamp: float | None = None,
        cmap_dim: int | None = None,
        block_kwargs: dict | None = None,
        mapping_kwargs: dict | None = None,
        epilogue_kwargs: dict | None = None,
    ) -> None:
        """Draw the weights.

        Args:
            c_dim: size of the labels, 0 for none.
            img_resolution: side of the images, a power of two of at least 8.
            img_channels: 3 for colour, 1 for gray.
            architecture: orig, skip or resnet.
            channel_base: feature maps times resolution, up to channel_max.
            channel_max: most feature maps of a block.
            num_fp16_res: so many of the highest resolutions compute in low_dtype.
            low_dtype: float16 or bfloat16.
            conv_clamp: largest magnitude of the output of convolutions; None for no limit.
            cmap_dim: size of the mapped label; None for the feature maps at 4x4.
            block_kwargs, mapping_kwargs, epilogue_kwargs: further arguments of
                DiscriminatorBlock, MappingNetwork and DiscriminatorEpilogue.

        Raises:
            ValueError: an argument out of its range.
        """
        super().__init__()
        self.c_dim = c_dim
        self.img_resolution = img_resolution
        self.img_channels = img_channels
        self.block_resolutions = block_resolutions(img_resolution)[:0:-1]  # R, R / 2, ..., 8
        lowest_fp16 = fp16_resolution(img_resolution, num_fp16_res)
        num_layers = 0
        for resolution in self.block_resolutions:
            is_first = resolution == img_resolution
            tmp_channels = num_channels(resolution, channel_base, channel_max)
            out_channels = num_channels(resolution // 2, channel_base, channel_max)
            block = DiscriminatorBlock(
                0 if is_first else tmp_channels,
                tmp_channels,
                out_channels,
                resolution=resolution,
                img_channels=img_channels,
                first_layer_idx=num_layers,
                architecture=architecture,
                conv_clamp=conv_clamp,
                use_fp16=resolution >= lowest_fp16,
                low_dtype=low_dtype,
                **(block_kwargs or {}),
            )
            setattr(self, f"b{resolution}", block)
            num_layers += block.num_layers
        self.num_block_layers = num_layers
        if c_dim == 0:
            cmap_dim = 0
        elif cmap_dim is None:
            cmap_dim = out_channels
        if c_dim > 0:
            options = {"w_avg_beta": None, **(mapping_kwargs or {})}
            self.mapping = MappingNetwork(0, c_dim, cmap_dim, num_ws=None, **options)
        self.b4 = DiscriminatorEpilogue(
            out_channels,
            cmap_dim=cmap_dim,
            resolution=4,
            img_channels=img_channels,
            architecture=architecture,
            conv_clamp=conv_clamp,
            **(epilogue_kwargs or {}),
        )

    def forward(self, img: Tensor, c: Tensor | None = None, force_fp32: bool = False) -> Tensor:
        """Return the logits, [N, 1], float32.

        Args:
            img: images, [N, img_channels, R, R], about in [-1, 1].
            c: labels, [N, c_dim]; not read if c_dim is 0.
            force_fp32: compute in float32 throughout.

        Raises:
            ValueError: shapes that do not fit, or a batch that is no multiple of the group.
        """
        check_shape("img", img, [None, self.img_channels, self.img_resolution, self.img_resolution])
        x: Tensor | None = None
        for resolution in self.block_resolutions:
            x, img = getattr(self, f"b{resolution}")(x, img, force_fp32=force_fp32)
        assert x is not None
        cmap = None
        if self.c_dim > 0:
            if c is not None and len(c) != len(x):
                raise ValueError(f"c: {len(c)} labels, expected {len(x)}, one an image")
            cmap = self.mapping(None, c)
        return self.b4(x, img, cmap)
