"""Adaptive augmentation: random transforms of what the discriminator sees, and their strength.

Each transform is drawn sample by sample and fires with probability (its multiplier) * p. The same
pipeline runs over real and generated images, and gradients of any order pass through it.

Source: arXiv:2006.06676, appendix B and section 3.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facekit.compute.distributed import Group
from stylegan2.models.draws import DRAWS, Draws
from stylegan2.models.pipes import BLIT, COLOR, GEOM, PIPES
from stylegan2.ops import native
from stylegan2.ops.checks import check_choice, check_shape
from stylegan2.ops.upfirdn2d import downsample2d, setup_filter, upsample2d

# Low-pass wavelets by their usual names: Daubechies, Ten lectures on wavelets, chapters 6 and 8.
SYM2 = (-0.12940952255126037, 0.2241438680420134, 0.8365163037378079, 0.48296291314453416)
SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)

BAND_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of natural images, by band


class Drawn(NamedTuple):
    """What is drawn for a transform: `{value}`, and `{name}.gate`, which tells whether it fires.

    Attributes:
        name: of the transform's part.
        multiplier: of the transform, by name.
        kind: of the values, uniform in [0, 1) or unit normal.
        width: values a sample; they fire together.
        value: name of the values, if not `{name}.value`.
    """

    name: str
    multiplier: str
    kind: str = "uniform"
    width: int = 1
    value: str = ""


# In the order in which they are drawn; what blanks rectangles is drawn last and by itself.
DRAWN = (
    Drawn("xflip", "xflip"),
    Drawn("rotate90", "rotate90"),
    Drawn("xint", "xint", width=2),
    Drawn("scale", "scale", "normal"),
    Drawn("rotate_pre", "rotate"),
    Drawn("aniso", "aniso", "normal"),
    Drawn("rotate_post", "rotate"),
    Drawn("xfrac", "xfrac", "normal", width=2),
    Drawn("brightness", "brightness", "normal"),
    Drawn("contrast", "contrast", "normal"),
    Drawn("lumaflip", "lumaflip"),
    Drawn("hue", "hue"),
    Drawn("saturation", "saturation", "normal"),
    *(Drawn(f"imgfilter_band{band}", "imgfilter", "normal") for band in range(len(BAND_POWER))),
    Drawn("noise", "noise", "normal", value="noise.sigma"),
)
OF_COLORS = ("hue", "saturation")  # gray images have none
NATIVE_CHANNELS = 4  # the most that the compiled operator takes
NATIVE_DTYPES = (torch.float32, torch.float64)


class AugmentPipe(nn.Module):
    """The transforms that are switched on; the buffer `p` is their common strength."""

    p: Tensor
    Hz_geom: Tensor
    Hz_fbank: Tensor

    def __init__(
        self,
        xflip: float = 0,
        rotate90: float = 0,
        xint: float = 0,
        xint_max: float = 0.125,
        scale: float = 0,
        rotate: float = 0,
        aniso: float = 0,
        xfrac: float = 0,
        scale_std: float = 0.2,
        rotate_max: float = 1,
        aniso_std: float = 0.2,
        xfrac_std: float = 0.125,
        brightness: float = 0,
        contrast: float = 0,
        lumaflip: float = 0,
        hue: float = 0,
        saturation: float = 0,
        brightness_std: float = 0.2,
        contrast_std: float = 0.5,
        hue_max: float = 1,
        saturation_std: float = 1,
        imgfilter: float = 0,
        imgfilter_bands: Sequence[float] = (1, 1, 1, 1),
        imgfilter_std: float = 1,
        noise: float = 0,
        cutout: float = 0,
        noise_std: float = 0.1,
        cutout_size: float = 0.5,
    ) -> None:
        """Switch transforms on by multipliers of p (0 is off) and set how far they go.

        Args:
            xflip: mirror.
            rotate90: turn by multiples of 90 degrees.
            xint: shift by whole pixels, up to xint_max of the size.
            scale: by 2^n, n normal with deviation scale_std.
            rotate: by any angle, up to rotate_max * 180 degrees either way, before and after aniso.
            aniso: stretch along x by 2^n, n normal with deviation aniso_std, keeping the area.
            xfrac: shift by fractions of pixels, normal with deviation xfrac_std of the size.
            brightness: add a number, normal with deviation brightness_std.
            contrast: multiply by 2^n, n normal with deviation contrast_std.
            lumaflip: mirror the brightness and keep the colours.
            hue: turn the colours by up to hue_max * 180 degrees either way.
            saturation: multiply the colours by 2^n, n normal with deviation saturation_std.
            imgfilter: multiply four frequency bands (lowest first, times imgfilter_bands)
                by 2^n, n normal with deviation imgfilter_std; keeps the power of natural images.
            noise: add noise, its deviation half-normal with deviation noise_std.
            cutout: blank a rectangle of cutout_size of the height and the width.
        """
        super().__init__()
        self.multiplier = {
            "xflip": xflip,
            "rotate90": rotate90,
            "xint": xint,
            "scale": scale,
            "rotate": rotate,
            "aniso": aniso,
            "xfrac": xfrac,
            "brightness": brightness,
            "contrast": contrast,
            "lumaflip": lumaflip,
            "hue": hue,
            "saturation": saturation,
            "imgfilter": imgfilter,
            "noise": noise,
            "cutout": cutout,
        }
        self.xint_max = xint_max
        self.scale_std = scale_std
        self.rotate_max = rotate_max
        self.aniso_std = aniso_std
        self.xfrac_std = xfrac_std
        self.brightness_std = brightness_std
        self.contrast_std = contrast_std
        self.hue_max = hue_max
        self.saturation_std = saturation_std
        if len(imgfilter_bands) != len(BAND_POWER):
            raise ValueError(f"imgfilter_bands: {list(imgfilter_bands)}, expected four multipliers")
        self.imgfilter_bands = tuple(imgfilter_bands)
        self.imgfilter_std = imgfilter_std
        self.noise_std = noise_std
        self.cutout_size = cutout_size
        self.register_buffer("p", torch.ones([]))
        self.register_buffer("Hz_geom", setup_filter(SYM6))
        self.register_buffer("Hz_fbank", filter_bank())

    @classmethod
    def preset(cls, name: str) -> "AugmentPipe":
        """Return the pipeline of a preset: its transforms with multiplier 1.

        Raises:
            ValueError: no such preset.
        """
        check_choice("augpipe", name, PIPES)
        multipliers: dict[str, Any] = dict.fromkeys(PIPES[name], 1)
        return cls(**multipliers)

    def forward(
        self, images: Tensor, debug_percentile: float | None = None, draws: Draws = DRAWS
    ) -> Tensor:
        """Return the augmented images, [N, C, H, W].

        Args:
            images: [N, C, H, W], about in [-1, 1].
            debug_percentile: in [0, 1]: take this percentile of every distribution, whatever p is.
            draws: where random numbers come from.

        Raises:
            ValueError: C is neither 1 nor 3 and colours are changed, or the images are too small.
        """
        check_shape("images", images, [None] * 4)
        num, channels, height, width = images.shape
        pick = self.picks(num, channels, debug_percentile, draws, images.device)
        maps = colors = None
        if any(self.multiplier[name] > 0 for name in BLIT + GEOM):
            maps = self.geometry(pick, height, width)
        if any(self.multiplier[name] > 0 for name in COLOR):
            colors = self.colors(pick, channels)
        images = self.change(images, maps, colors)
        if self.multiplier["imgfilter"] > 0:
            images = self.filter_bands(images, pick.tensor(self.band_gains(pick)))
        if self.multiplier["noise"] > 0:
            sigma = pick.tensor(pick("noise", lambda n: np.abs(n) * self.noise_std, 0))
            noise = draws.normal("noise.image", images.shape, images.device)
            images = images + noise * sigma[:, :, None, None]
        if self.multiplier["cutout"] > 0:
            images = self.cut_out(images, pick)
        return images

    def picks(
        self,
        num: int,
        channels: int,
        percentile: float | None,
        draws: Draws,
        device: torch.device,
    ) -> "Picks":
        """Draw for `num` images of `channels`; arguments as in `Picks`."""
        wanted = [
            drawn
            for drawn in DRAWN
            if self.multiplier[drawn.multiplier] > 0
            and not (channels == 1 and drawn.name in OF_COLORS)
        ]
        return Picks(num, wanted, self.multiplier, self.p, percentile, draws, device)

    def geometry(self, pick: "Picks", height: int, width: int) -> np.ndarray:
        """Return the maps from output to input pixels, origin at the centre, y down, [N, 3, 3]."""
        size = np.array([width, height])
        maps = identities(pick.num, 3)
        m = self.multiplier
        if m["xflip"] > 0:
            flip = pick("xflip", lambda u: np.floor(2 * u), 0)
            maps = maps @ scaling(1 - 2 * flip, np.ones_like(flip))
        if m["rotate90"] > 0:
            turns = pick("rotate90", lambda u: np.floor(4 * u), 0)
            maps = maps @ rotation(turns * (math.pi / 2))
        if m["xint"] > 0:
            shift = pick("xint", lambda u: (2 * u - 1) * self.xint_max, 0)
            maps = maps @ translation(-np.round(shift * size))
        if m["scale"] > 0:
            factor = pick("scale", lambda n: np.exp2(n * self.scale_std), 1)
            maps = maps @ scaling(1 / factor, 1 / factor)

        # Half of the rotations before the anisotropic scaling, half after it.
        rotate_p = 1 - np.sqrt(np.clip(1 - m["rotate"] * pick.p, 0, 1))

        def angle(u: np.ndarray) -> np.ndarray:
            return (2 * u - 1) * (math.pi * self.rotate_max)

        if m["rotate"] > 0:
            maps = maps @ rotation(pick("rotate_pre", angle, 0, rotate_p))
        if m["aniso"] > 0:
            factor = pick("aniso", lambda n: np.exp2(n * self.aniso_std), 1)
            maps = maps @ scaling(1 / factor, factor)
        if m["rotate"] > 0 and pick.percentile is None:  # a percentile turns once
            maps = maps @ rotation(pick("rotate_post", angle, 0, rotate_p))
        if m["xfrac"] > 0:
            shift = pick("xfrac", lambda n: n * self.xfrac_std, 0)
            maps = maps @ translation(-shift * size)
        return maps

    def change(self, images: Tensor, maps: np.ndarray | None, colors: np.ndarray | None) -> Tensor:
        """Return the images through the maps of `geometry` and of `colors`; None changes nothing.

        A map that moves nothing leaves pixels as they are: the filters of `transform` undo each
        other, as the wavelet is orthogonal.
        """
        channels, height, width = images.shape[1:]
        border = self.Hz_geom.shape[0] // 2  # what is reflected around an image that stays
        if maps is not None and min(height, width) > border and (maps == np.eye(3)).all():
            maps = None
        if colors is not None and (colors == np.eye(4)).all():
            colors = None
        if maps is None and colors is None:
            return images
        if colors is not None:
            colors = channel_maps(colors, channels)
        is_fit = channels <= NATIVE_CHANNELS and images.dtype in NATIVE_DTYPES
        if is_fit and native.has_for_cpu(images, "augment"):
            none = torch.empty(0, dtype=torch.float64)
            return torch.ops.stylegan2.augment(
                images,
                none if maps is None else torch.from_numpy(maps[:, :2]),
                none if colors is None else torch.from_numpy(colors),
                self.taps,
            )
        if maps is not None:
            images = self.transform(images, maps)
        return images if colors is None else recolor(images, colors)

    @functools.cached_property
    def taps(self) -> list[float]:
        """The low-pass filter around geometric transforms."""
        return self.Hz_geom.tolist()

    def transform(self, images: Tensor, maps: np.ndarray) -> Tensor:
        """Return the images through the maps of `geometry`, sampled without aliasing."""
        height, width = images.shape[2:]
        half_taps = self.Hz_geom.shape[0] // 4

        # Pad by what the images show from outside their frame.
        corner_x, corner_y = (width - 1) / 2, (height - 1) / 2
        corners = np.array(
            [
                [-corner_x, corner_x, corner_x, -corner_x],
                [-corner_y, -corner_y, corner_y, corner_y],
                [1, 1, 1, 1],
            ]
        )
        seen = (maps @ corners)[:, :2]  # x and y, [N, 2, 4]
        margin = np.concatenate([-seen.min(axis=(0, 2)), seen.max(axis=(0, 2))])
        margin += np.array([2 * half_taps - corner_x, 2 * half_taps - corner_y] * 2)
        margin = np.ceil(margin.astype(np.float32)).clip(0, [width - 1, height - 1] * 2)
        left, top, right, bottom = (int(pad) for pad in margin)
        images = functional.pad(images, [left, right, top, bottom], mode="reflect")
        shift = np.array([[(left - right) / 2, (top - bottom) / 2]])
        maps = translation(shift) @ maps

        # Sample the enlarged images on an enlarged canvas, then reduce it.
        images = upsample2d(images, self.Hz_geom, up=2)
        half = np.full([1, 2], 0.5)
        maps = translation(-half) @ scale_by(maps, 2, 2) @ translation(half)
        canvas_height = 2 * (height + 2 * half_taps)
        canvas_width = 2 * (width + 2 * half_taps)
        maps = maps * np.array([[2 / images.shape[3]], [2 / images.shape[2]], [1]])
        maps = maps * np.array([canvas_width / 2, canvas_height / 2, 1])
        shape = [*images.shape[:2], canvas_height, canvas_width]
        theta = torch.from_numpy(maps[:, :2]).to(images.device, images.dtype)
        grid = functional.affine_grid(theta, shape, align_corners=False)
        images = functional.grid_sample(
            images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
        pad = -2 * half_taps
        return downsample2d(images, self.Hz_geom, down=2, padding=pad, flip_filter=True)

    def colors(self, pick: "Picks", channels: int) -> np.ndarray:
        """Return the maps of homogeneous colours, [N, 4, 4].

        Raises:
            ValueError: images of other than 1 or 3 channels.
        """
        if channels not in (1, 3):
            raise ValueError(f"images: {channels} channels, expected 1 or 3 to change colours")
        m = self.multiplier
        eye = np.eye(4)
        maps = identities(pick.num, 4)
        gray = np.array([1, 1, 1, 0]) / math.sqrt(3)
        along_gray = np.outer(gray, gray)
        if m["brightness"] > 0:
            add = pick("brightness", lambda n: n * self.brightness_std, 0)
            lift = np.zeros([4, 4])
            lift[:3, 3] = 1
            maps = (eye + add[:, :, None] * lift) @ maps
        if m["contrast"] > 0:
            factor = pick("contrast", lambda n: np.exp2(n * self.contrast_std), 1)
            maps = (eye + (factor - 1)[:, :, None] * np.diag([1, 1, 1, 0])) @ maps
        if m["lumaflip"] > 0:
            flip = pick("lumaflip", lambda u: np.floor(2 * u), 0)
            maps = (eye - 2 * along_gray * flip[:, :, None]) @ maps
        if m["hue"] > 0 and channels > 1:
            angle = pick("hue", lambda u: (2 * u - 1) * (math.pi * self.hue_max), 0)
            maps = gray_rotation(angle) @ maps
        if m["saturation"] > 0 and channels > 1:
            factor = pick("saturation", lambda n: np.exp2(n * self.saturation_std), 1)
            maps = (eye + (eye - along_gray) * (factor - 1)[:, :, None]) @ maps
        return maps

    def band_gains(self, pick: "Picks") -> np.ndarray:
        """Return the gain of each frequency band, [N, 4]."""
        power = np.array(BAND_POWER)
        gains = np.ones([pick.num, len(BAND_POWER)])
        for band, enabled in enumerate(self.imgfilter_bands):
            factor = pick(
                f"imgfilter_band{band}",
                lambda n: np.exp2(n * self.imgfilter_std),
                1,
                self.multiplier["imgfilter"] * pick.p * enabled,
            )
            if pick.percentile is not None and not enabled:
                factor = np.ones_like(factor)
            step = np.ones_like(gains)
            step[:, band] = factor[:, 0]
            gains = gains * step / np.sqrt((power * step**2).sum(axis=1, keepdims=True))
        return gains

    def filter_bands(self, images: Tensor, gains: Tensor) -> Tensor:
        """Return the images filtered along both axes, with the frequency bands times `gains`.

        Raises:
            ValueError: the images are smaller than the reflected border.
        """
        kernels = gains @ self.Hz_fbank  # [N, taps]
        border = kernels.shape[1] // 2
        height, width = images.shape[2:]
        if min(height, width) <= border:
            raise ValueError(
                f"images: {height}x{width}, expected at least {border + 1} pixels each way"
                " to filter them (augpipe bgcf, bgcfn, bgcfnc)"
            )
        rows = reflecting_matrix(kernels, height).to(images.dtype)[:, None]
        cols = reflecting_matrix(kernels, width).to(images.dtype)[:, None]
        return rows @ images @ cols.transpose(2, 3)

    def cut_out(self, images: Tensor, pick: "Picks") -> Tensor:
        """Return the images with a rectangle set to 0."""
        height, width = images.shape[2:]
        if pick.percentile is None:
            gate = pick.draws.uniform("cutout.gate", [pick.num, 1], pick.device)
            probability = self.multiplier["cutout"] * self.p
            size = torch.where(gate < probability, self.cutout_size, 0.0)
            center = pick.draws.uniform("cutout.center", [pick.num, 2], pick.device)
        else:
            size = torch.full([pick.num, 1], float(self.cutout_size), device=pick.device)
            center = torch.full([pick.num, 2], float(pick.percentile), device=pick.device)
        x = (torch.arange(width, device=pick.device) + 0.5) / width
        y = (torch.arange(height, device=pick.device) + 0.5) / height
        keep_x = (x - center[:, :1]).abs() >= size / 2  # [N, W]
        keep_y = (y - center[:, 1:]).abs() >= size / 2  # [N, H]
        keep = keep_x[:, None, None, :] | keep_y[:, None, :, None]
        return images * keep.to(images.dtype)


class Picks:
    """The parameters of a batch: random ones that fire by chance, or one percentile for all.

    All are drawn at once and worked out on the CPU, so that a GPU is waited for once.

    Attributes:
        num: samples.
        p: strength, float32.
        percentile: of every distribution, or None.
    """

    def __init__(
        self,
        num: int,
        wanted: Sequence[Drawn],
        multiplier: Mapping[str, float],
        p: Tensor,
        percentile: float | None,
        draws: Draws,
        device: torch.device,
    ) -> None:
        """Draw what is wanted for `num` samples, to fire with probability multiplier[name] * p."""
        if percentile is not None and not 0 <= percentile <= 1:
            raise ValueError(f"debug_percentile: {percentile}, expected a number in [0, 1]")
        self.num = num
        self.percentile = percentile
        self.draws = draws
        self.device = device
        self._wanted = {drawn.name: drawn for drawn in wanted}
        self._multiplier = multiplier
        parts = [p]
        if percentile is None:
            for name, _, kind, width, value in wanted:
                draw = draws.normal if kind == "normal" else draws.uniform
                parts.append(draw(value or f"{name}.value", [num, width], device))
                parts.append(draws.uniform(f"{name}.gate", [num, 1], device))
        drawn_numbers = torch.cat([x.reshape(-1) for x in parts]).cpu().numpy()
        self.p = np.float32(drawn_numbers[0])
        self._drawn = drawn_numbers[1:]
        self._starts = {}
        start = 0
        for name, _, _, width, _ in wanted:
            self._starts[name] = start
            start += num * (width + 1)

    def __call__(
        self,
        name: str,
        fn: Callable[[np.ndarray], np.ndarray],
        identity: float,
        probability: float | np.floating | None = None,
    ) -> np.ndarray:
        """Return the parameters of a transform, [N, width], float64.

        Args:
            name: of what was drawn.
            fn: from draws to parameters.
            identity: the parameter that changes nothing, where the transform does not fire.
            probability: of firing; None for the multiplier times p.
        """
        drawn = self._wanted[name]
        if self.percentile is not None:
            return fn(np.full([self.num, drawn.width], self._at(self.percentile, drawn)))
        start, end = self._starts[name], self._starts[name] + self.num * drawn.width
        value = fn(self._drawn[start:end].astype(np.float64).reshape(self.num, drawn.width))
        gate = self._drawn[end : end + self.num, None]
        if probability is None:
            probability = self._multiplier[drawn.multiplier] * self.p
        return np.where(gate < probability, value, float(identity))

    def tensor(self, values: np.ndarray) -> Tensor:
        """Return values as float32 where the images are."""
        return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _at(self, percentile: float, drawn: Drawn) -> float:
        # Percentiles of a normal distribution with variance 1/2; noise is one-sided.
        if drawn.kind == "uniform":
            return percentile
        q = percentile if drawn.name == "noise" else 2 * percentile - 1
        return float(torch.erfinv(torch.tensor(float(q))))


class AdaController:
    """Sets the strength p so that the mean sign of the discriminator's real logits stays.

    Source: arXiv:2006.06676, section 3.
    """

    def __init__(
        self,
        target: float,
        interval: int,
        kimg: float,
        batch: int,
        p: float = 0.0,
        p_max: float = math.inf,
    ) -> None:
        """Start at `p`.

        Args:
            target: mean sign of the real logits to hold.
            interval: iterations from one adjustment to the next.
            kimg: thousands of real images over which p could go from 0 to 1.
            batch: real images an iteration.
            p: first strength.
            p_max: largest strength. Above 1 nothing more happens to an image, but p would take as
                long to come back.
        """
        self.p_max = p_max
        self.target = target
        self.interval = interval
        self.kimg = kimg
        self.batch = batch
        self.p = float(p)
        self.iteration = 0
        self.sign_sum: Tensor | float = 0.0
        self.sign_count = 0
        self.rt: float | None = None  # mean sign at the last adjustment

    def observe(self, real_logits: Tensor) -> None:
        """Take in logits of real images, of any shape; every pass over real images counts."""
        self.sign_sum = self.sign_sum + real_logits.detach().sign().sum().to(torch.float64)
        self.sign_count += real_logits.numel()

    @property
    def is_due(self) -> bool:
        """Whether the next step adjusts p."""
        return (self.iteration + 1) % self.interval == 0

    def merge(self, group: Group) -> None:
        """Take in what the other processes observed: the first one keeps the sums of all.

        At the iteration that adjusts p every process keeps them, since each has a p of its own.
        """
        if group.size == 1:
            return
        sums = group.sum([float(self.sign_sum), self.sign_count])
        keeps = group.is_lead or self.is_due
        self.sign_sum, self.sign_count = (sums[0], int(sums[1])) if keeps else (0.0, 0)

    def step(self) -> bool:
        """End an iteration; return whether p was adjusted, as every `interval`-th time."""
        self.iteration += 1
        if self.iteration % self.interval or self.sign_count == 0:
            return False
        self.rt = float(self.sign_sum) / self.sign_count
        speed = self.batch * self.interval / (self.kimg * 1000)
        p = self.p + float(np.sign(self.rt - self.target)) * speed
        self.p = min(max(0.0, p), self.p_max)
        self.sign_sum = 0.0
        self.sign_count = 0
        return True

    def state_dict(self) -> dict[str, float]:
        """Return what a resumed run needs."""
        return {
            "p": self.p,
            "iteration": self.iteration,
            "sign_sum": float(self.sign_sum),
            "sign_count": self.sign_count,
        }

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from a `state_dict`."""
        self.p = float(state["p"])
        self.iteration = int(state["iteration"])
        self.sign_sum = float(state["sign_sum"])
        self.sign_count = int(state["sign_count"])


def filter_bank() -> Tensor:
    """Return the taps of four band-pass filters, lowest band first, [4, 43], float32."""
    low = np.array(SYM2)
    high = low * (-1.0) ** np.arange(len(low))
    low_power = np.convolve(low, low[::-1]) / 2
    high_power = np.convolve(high, high[::-1]) / 2
    bank = np.array([[1.0], [0.0], [0.0], [0.0]])
    for band in range(1, len(bank)):
        spread = np.zeros([len(bank), 2 * bank.shape[1] - 1])
        spread[:, ::2] = bank
        bank = np.stack([np.convolve(row, low_power) for row in spread])
        start = (bank.shape[1] - len(high_power)) // 2
        bank[band, start : start + len(high_power)] += high_power
    return torch.from_numpy(bank).to(torch.float32)


def reflecting_matrix(kernels: Tensor, size: int) -> Tensor:
    """Return maps that filter `size` samples, reflected at both ends, [N, size, size].

    Args:
        kernels: symmetric taps, an odd number below 2 * size, [N, taps].
        size: samples.
    """
    num, taps = kernels.shape
    reach = torch.arange(size, device=kernels.device)[:, None]
    source = reach + torch.arange(taps, device=kernels.device) - taps // 2
    source = source.abs()
    source = torch.where(source >= size, 2 * (size - 1) - source, source)  # [size, taps]
    matrix = kernels.new_zeros([num, size, size])
    values = kernels[:, None].expand(num, size, taps)
    return matrix.scatter_add(2, source.expand(num, size, taps), values)


def channel_maps(maps: np.ndarray, channels: int) -> np.ndarray:
    """Return maps of homogeneous colours, [N, 4, 4], as those of 1 or 3 channels, [N, C, C + 1].

    Gray images take the mean row.
    """
    if channels == 3:
        return maps[:, :3]
    mean = maps[:, :3].mean(axis=1)  # [N, 4]
    return np.stack([mean[:, :3].sum(axis=1), mean[:, 3]], axis=1)[:, None]


def recolor(images: Tensor, maps: np.ndarray) -> Tensor:
    """Return the images with their colours mapped by [N, C, C + 1]."""
    channels = images.shape[1]
    on_device = torch.from_numpy(maps).to(images.device, images.dtype)
    more, factors = on_device[:, :, channels:], on_device[:, :, :channels]
    return torch.baddbmm(more, factors, images.flatten(2)).reshape(images.shape)


def identities(num: int, size: int) -> np.ndarray:
    """Return `num` maps that change nothing, [num, size, size]."""
    return np.broadcast_to(np.eye(size), (num, size, size)).copy()


def translation(shift: np.ndarray) -> np.ndarray:
    """Return the maps that add [N, 2] = (x, y), [N, 3, 3]."""
    maps = identities(len(shift), 3)
    maps[:, :2, 2] = shift
    return maps


def scaling(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the maps that multiply by x and y, both [N, 1], [N, 3, 3]."""
    maps = identities(len(x), 3)
    maps[:, 0, 0], maps[:, 1, 1] = x[:, 0], y[:, 0]
    return maps


def rotation(angle: np.ndarray) -> np.ndarray:
    """Return the maps that turn by an angle in radians, [N, 1], from x towards y, [N, 3, 3]."""
    sin, cos = np.sin(angle[:, 0]), np.cos(angle[:, 0])
    maps = identities(len(angle), 3)
    maps[:, 0, 0], maps[:, 0, 1] = cos, -sin
    maps[:, 1, 0], maps[:, 1, 1] = sin, cos
    return maps


def gray_rotation(angle: np.ndarray) -> np.ndarray:
    """Return the maps that turn colours about the gray axis, right-handed, [N, 4, 4].

    Args:
        angle: radians, [N, 1].
    """
    sin, cos = np.sin(angle[:, 0]), np.cos(angle[:, 0])
    # Rodrigues' formula for the axis (1, 1, 1) / sqrt 3.
    own, side, skew = (1 + 2 * cos) / 3, (1 - cos) / 3, sin / math.sqrt(3)
    maps = identities(len(angle), 4)
    for row in range(3):
        for step, value in enumerate((own, side - skew, side + skew)):
            maps[:, row, (row + step) % 3] = value
    return maps


def scale_by(maps: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return the maps for pixels x and y times as small, [N, 3, 3]."""
    factors = np.array([x, y, 1])
    return maps * factors[:, None] / factors
