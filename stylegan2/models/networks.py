"""The networks of StyleGAN2: mapping, synthesis, generator, discriminator.

Tensor names are those of the original checkpoints, so that weights can be exchanged.

Sources: arXiv:1912.04958 (architectures), arXiv:2006.06676 (conditioning, mixed precision).
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from stylegan2.models.draws import DRAWS, Draws
from stylegan2.ops import native
from stylegan2.ops.bias_act import ACTIVATIONS, activate_, bias_act, split_gain
from stylegan2.ops.checks import check_choice, check_positive, check_resolution, check_shape
from stylegan2.ops.conv2d_resample import conv2d_resample
from stylegan2.ops.modulated_conv2d import modulated_conv2d
from stylegan2.ops.upfirdn2d import downsample2d, setup_filter, upsample2d

ARCHITECTURES = ("orig", "skip", "resnet")
LOW_DTYPES = ("float16", "bfloat16")
NOISE_MODES = ("random", "const", "none")
RESAMPLE_FILTER = (1, 3, 3, 1)
EPSILON = 1e-8


def normalize(x: Tensor) -> Tensor:
    """Return x scaled to a mean square of 1 along its features, [N, features]."""
    return x * (x.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt()


def num_channels(resolution: int, channel_base: int, channel_max: int) -> int:
    """Return the number of feature maps at a resolution."""
    return min(channel_base // resolution, channel_max)


def block_resolutions(img_resolution: int) -> list[int]:
    """Return 4, 8, ... up to the resolution of the images."""
    check_resolution("img_resolution", img_resolution)
    return [2**k for k in range(2, int(math.log2(img_resolution)) + 1)]


def fp16_resolution(img_resolution: int, num_fp16_res: int) -> int:
    """Return the lowest resolution whose block computes in low precision."""
    return max(2 ** (int(math.log2(img_resolution)) + 1 - num_fp16_res), 8)


def compute_dtype(use_fp16: bool, low_dtype: str) -> torch.dtype:
    """Return the type that a block computes in."""
    return getattr(torch, low_dtype) if use_fp16 else torch.float32


def compute_layout(x: Tensor) -> torch.memory_format:
    """Return the layout for such tensors: the compiled operators', and a CPU's convolutions'."""
    is_last = x.device.type == "cpu" or native.is_used(x)
    return torch.channels_last if is_last else torch.contiguous_format


def _clamp(conv_clamp: float | None, gain: float) -> float | None:
    return None if conv_clamp is None else conv_clamp * gain


class FullyConnectedLayer(nn.Module):
    """Linear map with runtime weight scale, bias and activation, [N, in] -> [N, out]."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation: str = "linear",
        lr_multiplier: float = 1,
        bias_init: float = 0,
    ) -> None:
        """Draw the weights.

        Args:
            in_features, out_features: sizes.
            bias: add one.
            activation: a name of ACTIVATIONS.
            lr_multiplier: factor on the learning rate of weight and bias.
            bias_init: value of `bias` at first (it acts times lr_multiplier).
        """
        super().__init__()
        check_choice("activation", activation, ACTIVATIONS)
        self.activation = activation
        self.weight = nn.Parameter(torch.randn([out_features, in_features]) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([out_features], float(bias_init))) if bias else None
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations, [N, out_features], of x's dtype."""
        check_shape("x", x, [None, self.weight.shape[1]])
        early, late = split_gain(self.activation, None)
        w = self.weight.to(x.dtype).T
        if self.bias is None:
            x = x @ (w * (self.weight_gain * early))
        else:
            b, b_gain = self.bias.to(x.dtype), self.bias_gain * early
            x = torch.addmm(b, x, w, beta=b_gain, alpha=self.weight_gain * early)
        return activate_(x, act=self.activation, gain=late)


class Conv2dLayer(nn.Module):
    """Convolution with runtime weight scale, resampling, bias, activation and clamp."""

    resample_filter: Tensor
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        activation: str = "linear",
        up: int = 1,
        down: int = 1,
        resample_filter: Sequence[float] = RESAMPLE_FILTER,
        conv_clamp: float | None = None,
        trainable: bool = True,
    ) -> None:
        """Draw the weights.

        Args:
            in_channels, out_channels: sizes.
            kernel_size: odd, so that the size of the image is kept.
            bias: add one.
            activation: a name of ACTIVATIONS.
            up, down: factors of the resampling.
            resample_filter: its taps.
            conv_clamp: largest magnitude of the output; None for no limit.
            trainable: False keeps weight and bias as buffers, under the same names.
        """
        super().__init__()
        check_choice("activation", activation, ACTIVATIONS)
        self.activation = activation
        self.up = up
        self.down = down
        self.conv_clamp = conv_clamp
        self.padding = kernel_size // 2
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.register_buffer("resample_filter", setup_filter(resample_filter))
        weight = torch.randn([out_channels, in_channels, kernel_size, kernel_size])
        if trainable:
            self.weight = nn.Parameter(weight)
            self.bias = nn.Parameter(torch.zeros([out_channels])) if bias else None
        else:
            self.register_buffer("weight", weight)
            self.register_buffer("bias", torch.zeros([out_channels]) if bias else None)

    def forward(self, x: Tensor, gain: float = 1) -> Tensor:
        """Return the feature maps, [N, out_channels, H_out, W_out], of x's dtype.

        Args:
            x: [N, in_channels, H, W].
            gain: factor on the output and on the limit of its clamp.
        """
        clamp = _clamp(self.conv_clamp, gain)
        gain = ACTIVATIONS[self.activation].gain * gain
        early = gain if self.activation == "linear" and self.bias is None else 1
        x = conv2d_resample(
            x,
            (self.weight * (self.weight_gain * early)).to(x.dtype),
            f=self.resample_filter,
            up=self.up,
            down=self.down,
            padding=self.padding,
            flip_weight=self.up == 1,
        )
        return bias_act(x, self.bias, act=self.activation, gain=gain / early, clamp=clamp)


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
    ) -> None:
        """Draw the weights.

        Args:
            z_dim: size of the latents, 0 for none.
            c_dim: size of the labels, 0 for none.
            w_dim: size of the styles.
            num_ws: how often a style is repeated; None returns it once, without that dimension.
            num_layers: fully connected layers.
            embed_features: size of the embedded label; None for w_dim.
            layer_features: size of the hidden layers; None for w_dim.
            activation: a name of ACTIVATIONS.
            lr_multiplier: factor on the learning rate of the layers.
            w_avg_beta: decay of the running mean of w; None keeps none.

        Raises:
            ValueError: neither latents nor labels, or no layer.
        """
        super().__init__()
        if z_dim == 0 and c_dim == 0:
            raise ValueError("z_dim: 0 with c_dim 0, expected latents or labels")
        check_positive("num_layers", num_layers)
        self.z_dim = z_dim
        self.c_dim = c_dim
        self.w_dim = w_dim
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
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros([w_dim]))

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
        for i in range(self.num_layers):
            x = getattr(self, f"fc{i}")(x)

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
        noise = None
        if self.use_noise and noise_mode == "random":
            shape = [x.shape[0], 1, self.resolution, self.resolution]
            noise = draws.normal(noise_name, shape, x.device) * self.noise_strength
        elif self.use_noise and noise_mode == "const":
            noise = self.noise_const * self.noise_strength
        return modulated_conv2d(
            x,
            self.weight,
            self.affine(w),
            noise=noise,
            up=self.up,
            padding=self.padding,
            resample_filter=self.resample_filter,
            flip_weight=self.up == 1,
            bias=self.bias,
            act=self.activation,
            gain=ACTIVATIONS[self.activation].gain * gain,
            clamp=_clamp(self.conv_clamp, gain),
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
        if img is not None:
            img = upsample2d(img, self.resample_filter)
        if self.num_torgb:
            y = self.torgb(x, next(styles)).to(torch.float32)
            img = y if img is None else y + img
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
        **block_kwargs,
    ) -> None:
        """Draw the weights.

        Args:
            w_dim: size of a style.
            img_resolution: side of the images, a power of two of at least 8.
            img_channels: 3 for colour, 1 for gray.
            channel_base: feature maps times resolution, up to channel_max.
            channel_max: most feature maps of a block.
            num_fp16_res: so many of the highest resolutions compute in low precision.
            block_kwargs: further arguments of SynthesisBlock.

        Raises:
            ValueError: an argument out of its range.
        """
        super().__init__()
        self.w_dim = w_dim
        self.img_resolution = img_resolution
        self.img_channels = img_channels
        self.block_resolutions = block_resolutions(img_resolution)
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
    ) -> None:
        """Draw the weights; arguments as those of MappingNetwork and SynthesisNetwork."""
        super().__init__()
        self.z_dim = z_dim
        self.c_dim = c_dim
        self.w_dim = w_dim
        self.img_resolution = img_resolution
        self.img_channels = img_channels
        self.synthesis = SynthesisNetwork(
            w_dim, img_resolution, img_channels, **(synthesis_kwargs or {})
        )
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **(mapping_kwargs or {}))

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
        x = self.out(self.fc(self.conv(x).flatten(1)))
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
