"""Layers that the networks of StyleGAN2 share, and their sizes and types.

Tensor names are those of the original checkpoints, so that weights can be exchanged.

Sources: arXiv:1912.04958 (architectures), arXiv:2006.06676 (conditioning, mixed precision).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stylegan2.ops import fused, native
from stylegan2.ops.bias_act import ACTIVATIONS, activate_, bias_act, split_gain
from stylegan2.ops.checks import check_choice, check_resolution, check_shape
from stylegan2.ops.conv2d_resample import conv2d_resample
from stylegan2.ops.modulate import SLOPES
from stylegan2.ops.upfirdn2d import setup_filter

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


def scaled_clamp(conv_clamp: float | None, gain: float) -> float | None:
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
        if self.bias is not None and fused.is_used(x, self.activation):
            return dense(x, [self])
        early, late = split_gain(self.activation, None)
        w = self.weight.to(x.dtype).T
        if self.bias is None:
            x = x @ (w * (self.weight_gain * early))
        else:
            b, b_gain = self.bias.to(x.dtype), self.bias_gain * early
            x = torch.addmm(b, x, w, beta=b_gain, alpha=self.weight_gain * early)
        return activate_(x, act=self.activation, gain=late)

    @property
    def affine(self) -> tuple[Tensor, Tensor, float, float]:
        """Weight, bias and their factors."""
        assert self.bias is not None
        return self.weight, self.bias, self.weight_gain, self.bias_gain


def dense(x: Tensor, layers: Sequence[FullyConnectedLayer]) -> Tensor:
    """Return what layers with a bias make of x one after the other, [N, out], in one call."""
    weights, biases, weight_gains, bias_gains = zip(
        *(layer.affine for layer in layers), strict=True
    )
    activations = [layer.activation for layer in layers]
    return fused.dense_layers(
        x,
        [tensor for pair in zip(weights, biases, strict=True) for tensor in pair],
        weight_gains,
        bias_gains,
        [SLOPES[name] for name in activations],
        [ACTIVATIONS[name].gain for name in activations],
    )


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
        clamp = scaled_clamp(self.conv_clamp, gain)
        gain = ACTIVATIONS[self.activation].gain * gain
        if min(self.up, self.down) == 1 and fused.is_used(x, self.activation, gain):
            return fused.conv_layer(
                x,
                self.weight,
                self.bias,
                self.resample_filter,
                up=self.up,
                down=self.down,
                weight_gain=self.weight_gain,
                act=self.activation,
                gain=gain,
                clamp=clamp,
            )
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
