"""The synthesis network of StyleGAN2: from styles to images. Source: arXiv:1912.04958."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from stylegan2.models.draws import DRAWS, Draws
from stylegan2.models.layers import (
    ARCHITECTURES,
    LOW_DTYPES,
    NOISE_MODES,
    RESAMPLE_FILTER,
    Conv2dLayer,
    FullyConnectedLayer,
    block_resolutions,
    compute_dtype,
    compute_layout,
    fp16_resolution,
    num_channels,
    scaled_clamp,
)
from stylegan2.ops import fused
from stylegan2.ops.bias_act import ACTIVATIONS
from stylegan2.ops.checks import check_choice, check_shape
from stylegan2.ops.modulated_conv2d import modulated_conv2d
from stylegan2.ops.upfirdn2d import setup_filter, upsample2d


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution with noise, bias, activation and clamp."""

    resample_filter: Tensor
    noise_const: Tensor  # if it has a noise input

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        kernel_size: int = 3,
        up: int = 1,
        use_noise: bool = True,
        activation: str = "lrelu",
        resample_filter: Sequence[float] = RESAMPLE_FILTER,
        conv_clamp: float | None = None,
    ) -> None:
        """Draw the weights.

        Args:
            in_channels, out_channels: sizes.
            w_dim: size of a style.
            resolution: of the output.
            kernel_size: odd.
            up: factor of the up-sampling.
            use_noise: have a noise input.
            activation: a name of ACTIVATIONS.
            resample_filter: taps of the up-sampling.
            conv_clamp: largest magnitude of the output; None for no limit.
        """
        super().__init__()
        check_choice("activation", activation, ACTIVATIONS)
        self.resolution = resolution
        self.up = up
        self.use_noise = use_noise
        self.activation = activation
        self.conv_clamp = conv_clamp
        self.padding = kernel_size // 2
        self.register_buffer("resample_filter", setup_filter(resample_filter))
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(
            torch.randn([out_channels, in_channels, kernel_size, kernel_size])
        )
        if use_noise:
            self.register_buffer("noise_const", torch.randn([resolution, resolution]))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros([out_channels]))

    def forward(
        self,
        x: Tensor,
        w: Tensor,
        noise_mode: str = "random",
        gain: float = 1,
        draws: Draws = DRAWS,
        noise_name: str = "noise",
    ) -> Tensor:
        """Return the feature maps, [N, out_channels, resolution, resolution], of x's dtype.

        Args:
            x: [N, in_channels, R, R], R * up = resolution.
            w: styles, [N, w_dim].
            noise_mode: random draws noise_name, const takes noise_const, none leaves it out.
            gain: factor on the output and on the limit of its clamp.
            draws: where random noise comes from.
            noise_name: what the noise is called there.
        """
        check_choice("noise_mode", noise_mode, NOISE_MODES)
        size = self.resolution // self.up
        check_shape("x", x, [None, self.weight.shape[1], size, size])
        noise = strength = None
        if self.use_noise and noise_mode != "none":
            strength = self.noise_strength
            shape = [x.shape[0], 1, self.resolution, self.resolution]
            is_random = noise_mode == "random"
            noise = draws.normal(noise_name, shape, x.device) if is_random else self.noise_const
        gain, clamp = ACTIVATIONS[self.activation].gain * gain, scaled_clamp(self.conv_clamp, gain)
        if fused.is_used(x, self.activation, gain):
            return fused.style_layer(
                x,
                w,
                self.weight,
                self.affine.affine,
                noise,
                strength,
                self.bias,
                self.resample_filter,
                up=self.up,
                act=self.activation,
                gain=gain,
                clamp=clamp,
            )
        return modulated_conv2d(
            x,
            self.weight,
            self.affine(w),
            noise=None if noise is None or strength is None else noise * strength,
            up=self.up,
            padding=self.padding,
            resample_filter=self.resample_filter,
            flip_weight=self.up == 1,
            bias=self.bias,
            act=self.activation,
            gain=gain,
            clamp=clamp,
        )


class ToRGBLayer(nn.Module):
    """Modulated 1x1 convolution without demodulation, from features to an image."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        kernel_size: int = 1,
        conv_clamp: float | None = None,
    ) -> None:
        """Draw the weights; arguments as those of SynthesisLayer."""
        super().__init__()
        self.conv_clamp = conv_clamp
        self.padding = kernel_size // 2
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(
            torch.randn([out_channels, in_channels, kernel_size, kernel_size])
        )
        self.bias = nn.Parameter(torch.zeros([out_channels]))
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the image, [N, out_channels, R, R], of x's dtype; w are styles, [N, w_dim]."""
        styles = self.affine(w) * self.weight_gain
        return modulated_conv2d(
            x,
            self.weight,
            styles,
            padding=self.padding,
            demodulate=False,
            bias=self.bias,
            clamp=self.conv_clamp,
        )

    def added(self, img: Tensor | None, x: Tensor, w: Tensor, f: Tensor) -> Tensor:
        """Return img, [N, out_channels, R / 2, R / 2] or None, enlarged by f, plus `forward`."""
        return fused.rgb_layer(
            x,
            w,
            self.weight,
            self.affine.affine,
            self.bias,
            img,
            f,
            weight_gain=self.weight_gain,
            clamp=self.conv_clamp,
        )


class SynthesisBlock(nn.Module):
    """The layers of one resolution."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        is_last: bool,
        architecture: str = "skip",
        resample_filter: Sequence[float] = RESAMPLE_FILTER,
        conv_clamp: float | None = None,
        use_fp16: bool = False,
        low_dtype: str = "float16",
        activation: str = "lrelu",
        use_noise: bool = True,
        has_sketch: bool = False,
    ) -> None:
        """Draw the weights.

        Args:
            in_channels: feature maps from the block before; 0 in the first block.
            out_channels, w_dim, resolution, img_channels: sizes.
            is_last: makes the image whatever the architecture.
            architecture: orig, skip or resnet.
            resample_filter, conv_clamp, activation, use_noise: as in SynthesisLayer.
            use_fp16: compute in low_dtype.
            low_dtype: float16 or bfloat16.
            has_sketch: its styles end with an image of its resolution, on which it paints.
        """
        super().__init__()
        check_choice("architecture", architecture, ARCHITECTURES)
        self.resolution = resolution
        self.architecture = architecture
        check_choice("low_dtype", low_dtype, LOW_DTYPES)
        self.use_fp16 = use_fp16
        self.low_dtype = low_dtype
        self.is_first = in_channels == 0
        self.register_buffer("resample_filter", setup_filter(resample_filter))
        layer = partial(
            SynthesisLayer,
            w_dim=w_dim,
            resolution=resolution,
            conv_clamp=conv_clamp,
            activation=activation,
            use_noise=use_noise,
        )
        if self.is_first:
            self.const = nn.Parameter(torch.randn([out_channels, resolution, resolution]))
        else:
            self.conv0 = layer(in_channels, out_channels, up=2, resample_filter=resample_filter)
        self.conv1 = layer(out_channels, out_channels)
        self.num_conv = 1 if self.is_first else 2
        self.num_torgb = int(is_last or architecture == "skip")
        if self.num_torgb:
            self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, conv_clamp=conv_clamp)
        self.has_sketch = has_sketch
        if has_sketch:
            self.fromsketch = Conv2dLayer(img_channels, out_channels, 1, bias=False)
        if architecture == "resnet" and not self.is_first:
            self.skip = Conv2dLayer(
                in_channels, out_channels, 1, bias=False, up=2, resample_filter=resample_filter
            )

    def forward(
        self,
        x: Tensor | None,
        img: Tensor | None,
        ws: Tensor,
        noise_mode: str,
        force_fp32: bool = False,
        draws: Draws = DRAWS,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the feature maps and the image so far (float32, None if there is none yet).

        Args:
            x: feature maps of the block before, [N, in_channels, R / 2, R / 2]; None at first.
            img: image of the block before, [N, img_channels, R / 2, R / 2], or None.
            ws: styles of this block, [N, num_conv + num_torgb, w_dim].
            noise_mode, draws: as in SynthesisLayer.
            force_fp32: compute in float32.
        """
        dtype = compute_dtype(self.use_fp16 and not force_fp32, self.low_dtype)
        noise = {"noise_mode": noise_mode, "draws": draws}
        name = f"noise/synthesis.b{self.resolution}"
        styles = iter(ws.unbind(dim=1))

        # Features.
        if self.is_first:
            x = self.const.to(dtype).expand(ws.shape[0], -1, -1, -1)
            x = x.contiguous(memory_format=compute_layout(x))
            x = self.conv1(x, next(styles), noise_name=f"{name}.conv1", **noise)
        else:
            assert x is not None
            inputs = x.to(dtype)
            gain = math.sqrt(0.5) if self.architecture == "resnet" else 1
            x = self.conv0(inputs, next(styles), noise_name=f"{name}.conv0", **noise)
            x = self.conv1(x, next(styles), noise_name=f"{name}.conv1", gain=gain, **noise)
            if self.architecture == "resnet":
                x = self.skip(inputs, gain=gain) + x

        # Image.
        if self.num_torgb and self.torgb.padding == 0 and fused.is_used(x):
            img = self.torgb.added(img, x, next(styles), self.resample_filter)
        else:
            if img is not None:
                img = upsample2d(img, self.resample_filter)
            if self.num_torgb:
                y = self.torgb(x, next(styles)).to(torch.float32)
                img = y if img is None else y + img
        if self.has_sketch:  # below the image so far, and shown to the layers above
            assert img is not None
            sketch = ws[:, -1, -img[0].numel() :].reshape(img.shape)
            img = img + sketch
            x = x + self.fromsketch(sketch.to(x.dtype))
        return x, img


class SynthesisNetwork(nn.Module):
    """From styles to images."""

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 0,
        sketch: int = 0,
        **block_kwargs,
    ) -> None:
        """Draw the weights.

        Args:
            w_dim: size of a style, with its sketch.
            img_resolution: side of the images, a power of two of at least 8.
            img_channels: 3 for colour, 1 for gray.
            channel_base: feature maps times resolution, up to channel_max.
            channel_max: most feature maps of a block.
            num_fp16_res: so many of the highest resolutions compute in low precision.
            sketch: resolution of the sketch with which styles end; 0 for none.
            block_kwargs: further arguments of SynthesisBlock.

        Raises:
            ValueError: an argument out of its range.
        """
        super().__init__()
        self.w_dim = w_dim
        self.img_resolution = img_resolution
        self.img_channels = img_channels
        self.block_resolutions = block_resolutions(img_resolution)
        if sketch:
            check_choice("sketch", sketch, self.block_resolutions)
            architecture = block_kwargs.get("architecture", "skip")
            check_choice("architecture of a network with a sketch", architecture, ["skip"])
        lowest_fp16 = fp16_resolution(img_resolution, num_fp16_res)
        self.num_ws = 0
        in_channels = 0
        for resolution in self.block_resolutions:
            out_channels = num_channels(resolution, channel_base, channel_max)
            block = SynthesisBlock(
                in_channels,
                out_channels,
                w_dim=w_dim,
                resolution=resolution,
                img_channels=img_channels,
                is_last=resolution == img_resolution,
                use_fp16=resolution >= lowest_fp16,
                has_sketch=resolution == sketch,
                **block_kwargs,
            )
            setattr(self, f"b{resolution}", block)
            self.num_ws += block.num_conv
            in_channels = out_channels
        self.num_ws += block.num_torgb

    def forward(
        self,
        ws: Tensor,
        noise_mode: str = "random",
        force_fp32: bool = False,
        draws: Draws = DRAWS,
    ) -> Tensor:
        """Return images, [N, img_channels, R, R], float32, about in [-1, 1].

        Args:
            ws: styles, [N, num_ws, w_dim].
            noise_mode: random, const (the same in every call) or none.
            force_fp32: compute in float32 throughout.
            draws: where random noise comes from.
        """
        check_shape("ws", ws, [None, self.num_ws, self.w_dim])
        ws = ws.to(torch.float32)
        x = img = None
        start = 0
        for resolution in self.block_resolutions:
            block = getattr(self, f"b{resolution}")
            styles = ws[:, start : start + block.num_conv + block.num_torgb]
            x, img = block(x, img, styles, noise_mode, force_fp32=force_fp32, draws=draws)
            start += block.num_conv  # the image layer shares its style with the next block
        assert img is not None  # the last block makes one
        return img
