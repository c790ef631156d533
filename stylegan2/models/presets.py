"""The base configurations of StyleGAN2-ADA as plain data, and what follows from overriding them."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from facekit.errors import DataError
from facekit.options import AUTO


@dataclass(frozen=True)
class Preset:
    """What a base configuration says; every value may be overridden.

    Attributes:
        kimg: thousands of real images shown in all.
        batch: images an iteration.
        batch_gpu: images that go through the networks at a time; a batch is made of such rounds.
        mbstd_group: samples whose standard deviation the discriminator sees together.
        channel_base: channels at resolution r are min(channel_base // r, channel_max).
        lr: learning rate of both networks.
        gamma: weight of the R1 penalty.
        ema_kimg: half-life of the averaged generator, in thousands of images.
        ema_rampup: upper bound of that half-life as a share of the images shown; None = none.
        mapping_layers: fully connected layers from z to w.
        pl_weight: weight of the path length penalty.
        style_mixing_prob: how often two styles are mixed.
        architecture: of the discriminator, orig, skip or resnet.
        channel_max: see channel_base.
        z_dim, w_dim: length of latents and styles.
        num_fp16_res: how many of the largest resolutions compute in float16 on a GPU.
        conv_clamp: bound of activations where float16 is used.
        ada_kimg: thousands of images in which the strength of the augmentation can move by 1.
        feature_weight: of the discriminator on frozen features in the generator's loss; 0 = none.
        feature_lr: its learning rate.
        class_weight: of the cross-entropy of the class that it sees in a generated image.
        linear_kimg: thousands of images, the first ones, in which the generator imitates linear
            faces instead of being judged.
        rebuild_weight: of the distance of real images from what the generator makes of their
            principal components; 0 = none.
        pixel_interval: iterations from one in which the discriminator of pixels judges, too, to the
            next.
        sketch: pixels a side of the linear faces that G paints on; 0 = none.
    """

    kimg: float
    batch: int
    batch_gpu: int
    mbstd_group: int
    channel_base: int
    lr: float
    gamma: float
    ema_kimg: float
    ema_rampup: float | None
    mapping_layers: int
    pl_weight: float = 2.0
    style_mixing_prob: float = 0.9
    architecture: str = "resnet"
    channel_max: int = 512
    z_dim: int = 512
    w_dim: int = 512
    num_fp16_res: int = 4
    conv_clamp: float | None = 256
    ada_kimg: float = 500.0
    feature_weight: float = 0.0
    feature_lr: float = 0.002
    class_weight: float = 0.0
    linear_kimg: float = 0.0
    rebuild_weight: float = 0.0
    pixel_interval: int = 1
    sketch: int = 0


# Tuned by the authors of the paper (arXiv:2006.06676) for a number of GPUs given by batch_gpu.
FIXED = {
    "stylegan2": Preset(25000, 32, 4, 4, 32768, 0.002, 10.0, 10.0, None, 8),
    "paper256": Preset(25000, 64, 8, 8, 16384, 0.0025, 1.0, 20.0, None, 8),
    "paper512": Preset(25000, 64, 8, 8, 32768, 0.0025, 0.5, 20.0, None, 8),
    "paper1024": Preset(25000, 32, 4, 4, 32768, 0.002, 2.0, 10.0, None, 8),
    "cifar": Preset(
        100000, 64, 32, 32, 32768, 0.0025, 0.01, 500.0, 0.05, 2, 0.0, 0.0, architecture="orig"
    ),
}
# Ours, for minutes on two cores: small networks, and features that need not be learned.
_CPU = dataclasses.replace(
    FIXED["cifar"],
    kimg=80,
    batch=16,
    batch_gpu=16,
    mbstd_group=16,
    channel_base=1024,
    channel_max=96,
    lr=0.005,
    gamma=0.05,
    ema_kimg=2.0,
    z_dim=128,
    w_dim=128,
    ada_kimg=100.0,
    feature_weight=1.0,
    class_weight=0.5,
    linear_kimg=8.0,
    rebuild_weight=2.0,
    pixel_interval=8,
    sketch=8,
)
FIXED |= {
    "cpu-32": _CPU,
    "cpu-64": dataclasses.replace(_CPU, kimg=60, channel_base=2048),
}
MIN_ROUND = 16  # images; two rounds of 8 take 1.3 times as long as one of 16 (demo's GAN, AVX-512)
NAMES = (AUTO, *FIXED)  # AUTO: derived; as a value: what the configuration says


def auto(resolution: int, num_gpus: int = 1, batch: int | None = None) -> Preset:
    """Return the configuration that is derived from resolution, GPUs and batch.

    Args:
        resolution: of the images, pixels a side.
        num_gpus: that share a batch.
        batch: images an iteration; None derives it too.
    """
    if batch is None:
        batch = max(min(num_gpus * min(4096 // resolution, 32), 64), num_gpus)
    return Preset(
        kimg=25000,
        batch=batch,
        batch_gpu=batch // num_gpus,
        mbstd_group=min(batch // num_gpus, 4),
        channel_base=32768 if resolution >= 512 else 16384,
        lr=0.002 if resolution >= 1024 else 0.0025,
        gamma=0.0002 * resolution**2 / batch,
        ema_kimg=batch * 10 / 32,
        ema_rampup=0.05,
        mapping_layers=2,
    )


def num_block_layers(architecture: str, resolution: int) -> int:
    """Return how many layers the discriminator's blocks have, which can be kept from training.

    Args:
        architecture: orig, skip or resnet.
        resolution: of the images, pixels a side.
    """
    num_blocks = resolution.bit_length() - 3  # those of 8 pixels and more
    if architecture == "orig":
        return 2 * num_blocks + 1
    return 3 * num_blocks + (architecture == "resnet")


def resolve(
    name: str, resolution: int, num_gpus: int = 1, num_rounds: int = 1, **overrides: Any
) -> tuple[Preset, list[str]]:
    """Return a configuration with overrides, and lines that say what was derived from them.

    Under `auto` a batch that is given changes what depends on it (gamma, ema_kimg,
    mbstd_group), unless that is given too. Everywhere the minibatch-std group is made to divide
    the round (batch_gpu) that it is taken from.

    Args:
        name: one of `NAMES`.
        resolution: of the images, pixels a side.
        num_gpus: that share a batch.
        num_rounds: that a batch is divided into where nothing is said and each has `MIN_ROUND`
            images.
        overrides: fields of `Preset`; `auto` = as the configuration says.

    Raises:
        DataError: no such configuration, a batch that the GPUs cannot share, or overrides that
            need others.
    """
    given = {key: value for key, value in overrides.items() if value != AUTO}
    batch = given.get("batch")
    if batch is not None and batch % num_gpus:
        raise DataError(f"--batch {batch}: not a multiple of the {num_gpus} GPUs")
    if name == AUTO:
        preset = auto(resolution, num_gpus, batch)
    elif name in FIXED:
        preset = FIXED[name]
    else:
        raise DataError(f"--cfg {name}: unknown, expected one of {', '.join(NAMES)}")
    if batch is None:
        batch_gpu = min(preset.batch_gpu, preset.batch // num_gpus)
    else:
        batch_gpu = batch // num_gpus
    size, rest = divmod(preset.batch if batch is None else batch, num_rounds)
    if not rest and size >= MIN_ROUND:
        batch_gpu = min(batch_gpu, size)
    preset = dataclasses.replace(preset, **{"batch_gpu": batch_gpu, **given})
    preset = _fitting(preset, given)
    if preset.batch % (preset.batch_gpu * num_gpus):
        found = f"batch {preset.batch}, {num_gpus} GPUs, rounds of {preset.batch_gpu}"
        raise DataError(f"{found}: the batch is not a multiple of the rounds")

    derived = []
    if name == AUTO and batch is not None:
        for key in ("gamma", "ema_kimg"):
            if key not in given:
                derived.append(f"{key} {getattr(preset, key):g} derived from batch {batch}")
    group = _largest_divisor(preset.batch_gpu, at_most=preset.mbstd_group)
    if group != preset.mbstd_group:
        derived.append(
            f"minibatch-std group {group} instead of {preset.mbstd_group}: it has to divide"
            f" the {preset.batch_gpu} images of a round"
        )
    return dataclasses.replace(preset, mbstd_group=group), derived


def _fitting(preset: Preset, given: dict[str, Any]) -> Preset:
    """Return a configuration without what others of its values rule out.

    Raises:
        DataError: that was asked for.
    """
    if not preset.feature_weight:
        for name, least in (("rebuild_weight", 0.0), ("pixel_interval", 1)):
            if given.get(name, least) > least:
                flag = f"--{name.replace('_', '-')} {given[name]:g}"
                raise DataError(f"{flag}: needs a --feature-weight above 0")
        preset = dataclasses.replace(preset, rebuild_weight=0.0, pixel_interval=1)
    if preset.rebuild_weight:  # the styles of a real image are all its own
        preset = dataclasses.replace(preset, style_mixing_prob=0.0)
    return preset


def _largest_divisor(number: int, at_most: int) -> int:
    """Return the largest divisor of `number` that is no larger than `at_most`."""
    return max(d for d in range(1, min(number, at_most) + 1) if number % d == 0)
