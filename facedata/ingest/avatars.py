"""Painted portraits: what an avatar looks like, and pictures that are no portraits.

The artwork is Pablo Stanley's Avataaars as packaged in python-avatars (NOTICE has the terms). Of
its parts those are used that were drawn for Avataaars, suit a portrait, and show the attribute
that they stand for: hair that cannot be coloured, eye patches or X eyes are left out.
"""

import colorsys
import io
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import resvg_py
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from python_avatars import (
    AccessoryType,
    Avatar,
    AvatarStyle,
    ClothingType,
    EyebrowType,
    EyeType,
    FacialHairType,
    HairType,
    HatType,
    MouthType,
    NoseType,
)

Choice = TypeVar("Choice")

HAIR = [
    *(HairType.BIG_HAIR, HairType.BOB, HairType.BUN, HairType.CAESAR, HairType.CAESAR_SIDE_PART),
    *(HairType.CURLY, HairType.CURVY, HairType.DREADS, HairType.FRO, HairType.LONG_NOT_TOO_LONG),
    *(HairType.MIA_WALLACE, HairType.SHAGGY, HairType.SHAGGY_MULLET, HairType.SHORT_CURLY),
    *(HairType.SHORT_DREADS_1, HairType.SHORT_DREADS_2, HairType.SHORT_FLAT, HairType.SHORT_ROUND),
    *(HairType.SHORT_WAVED, HairType.STRAIGHT_1, HairType.STRAIGHT_STRAND),
]
HEADWEAR = {
    "hat": [HatType.WINTER_HAT_1, HatType.WINTER_HAT_2, HatType.WINTER_HAT_3],
    "hijab": [HatType.HIJAB],
    "turban": [HatType.TURBAN],
}
GLASSES = {
    "none": [AccessoryType.NONE],
    "glasses": [AccessoryType.PRESCRIPTION_1, AccessoryType.PRESCRIPTION_2, AccessoryType.ROUND],
    "sunglasses": [AccessoryType.KURT, AccessoryType.SUNGLASSES, AccessoryType.WAYFARERS],
}
FACIAL_HAIR = {
    "none": [FacialHairType.NONE],
    "beard": [
        *(FacialHairType.BEARD_LIGHT, FacialHairType.BEARD_MEDIUM),
        FacialHairType.BEARD_MAGESTIC,
    ],
    "moustache": [FacialHairType.MOUSTACHE_FANCY, FacialHairType.MOUSTACHE_MAGNUM],
}
MOUTHS = {
    "smile": [MouthType.SMILE],
    "neutral": [MouthType.SERIOUS],
    "sad": [MouthType.SAD, MouthType.CONCERNED],
}
EYES = [
    *(EyeType.DEFAULT, EyeType.DEFAULT, EyeType.SQUINT, EyeType.SQUINT),
    *(EyeType.HAPPY, EyeType.SIDE, EyeType.SURPRISED),
]
EYEBROWS = [
    *(EyebrowType.DEFAULT, EyebrowType.DEFAULT_NATURAL, EyebrowType.FLAT_NATURAL),
    *(EyebrowType.RAISED_EXCITED, EyebrowType.RAISED_EXCITED_NATURAL, EyebrowType.UP_DOWN),
    *(EyebrowType.SAD_CONCERNED_NATURAL, EyebrowType.ANGRY_NATURAL),
]
CLOTHING = [
    *(ClothingType.BLAZER_SHIRT, ClothingType.BLAZER_SWEATER, ClothingType.COLLAR_SWEATER),
    *(ClothingType.HOODIE, ClothingType.OVERALL, ClothingType.SHIRT_CREW_NECK),
    *(ClothingType.SHIRT_SCOOP_NECK, ClothingType.SHIRT_V_NECK),
]
HAIR_COLORS = {
    "black": ["#2C1B18", "#1B1B1E", "#262020"],
    "brown": ["#4A312C", "#724133", "#5C3B2A", "#84573B"],
    "blonde": ["#B58143", "#D6B370", "#E4C88F"],
    "gray": ["#8F8F91", "#B9B5B2", "#E2DEDC"],
    "red": ["#C93305", "#A83E14", "#B9501F"],
    "pastel": ["#F59797", "#B49AE8", "#8AD0BC", "#8FB9F0"],
}
SKIN = ["#FFDBB4", "#F5CBA0", "#EDB98A", "#D9A06F", "#D08B5B", "#AE6B3C", "#8D5230", "#614335"]

# The part of the artwork (264x280) that a portrait shows before it is scaled, moved and turned.
CENTER = (132.0, 112.0)
VIEW_HEIGHT = 208.0

NON_PORTRAITS = ("uniform", "gradient", "noise", "text", "shapes")


def paint_portrait(
    labels: Mapping[str, str | None], height: int, width: int, rng: np.random.Generator
) -> Image.Image:
    """Return a portrait that shows the labels; everything else about it is drawn from `rng`.

    Another class of one attribute changes nothing else.

    Args:
        labels: class of hair_color (None under headwear), glasses, facial_hair, headwear, mouth
            (None under a moustache).
        height: pixels.
        width: pixels.
        rng: of parts, colours, pose, light and noise.

    Returns:
        PIL image of mode RGB.
    """
    svg = _portrait_svg(labels, height, width, rng)
    data = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)
    pixels = np.asarray(Image.open(io.BytesIO(bytes(data))).convert("RGB"), dtype=np.float64)
    return _photograph(pixels, rng)


def _portrait_svg(
    labels: Mapping[str, str | None], height: int, width: int, rng: np.random.Generator
) -> str:
    # Choose parts and colours.
    headwear = _class(labels, "headwear")
    hidden_hair = _pick(["black", "brown", "blonde", "gray"], rng)
    hidden_mouth = _pick(list(MOUTHS), rng)
    hair_class = labels["hair_color"] or hidden_hair
    mouth_class = labels["mouth"] or hidden_mouth
    beard_class = "brown" if hair_class == "pastel" else hair_class
    avatar = Avatar(
        style=AvatarStyle.TRANSPARENT,
        top=_pick(HAIR if headwear == "none" else HEADWEAR[headwear], rng),
        hat_color=_any_color(rng),
        eyebrows=_pick(EYEBROWS, rng),
        eyes=_pick(EYES, rng),
        nose=NoseType.DEFAULT,
        mouth=_pick(MOUTHS[mouth_class], rng),
        facial_hair=_pick(FACIAL_HAIR[_class(labels, "facial_hair")], rng),
        skin_color=_near(_pick(SKIN, rng), rng),
        hair_color=_near(_pick(HAIR_COLORS[hair_class], rng), rng),
        facial_hair_color=_near(_pick(HAIR_COLORS[beard_class], rng), rng, shade=0.85),
        accessory=_pick(GLASSES[_class(labels, "glasses")], rng),
        clothing=_pick(CLOTHING, rng),
        clothing_color=_any_color(rng),
    )
    drawing = avatar.render()
    drawing = drawing[drawing.index("<svg") :].replace("<svg", '<svg overflow="visible"', 1)

    # Place the view: scale, shift and turn a little.
    view_height = VIEW_HEIGHT / rng.uniform(0.92, 1.12)
    view_width = view_height * width / height
    x = CENTER[0] + rng.uniform(-0.05, 0.05) * view_height - view_width / 2
    y = CENTER[1] + rng.uniform(-0.04, 0.04) * view_height - view_height / 2
    angle = rng.uniform(-8, 8)

    # A background of two colours, one fading into the other.
    x2, y2 = rng.uniform(0, 1, 2)
    first, second = _any_color(rng), _any_color(rng)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="{x:.3f} {y:.3f} {view_width:.3f} {view_height:.3f}"'
        ' preserveAspectRatio="none">'
        f'<linearGradient id="fade" x1="0" y1="0" x2="{x2:.3f}" y2="{y2:.3f}">'
        f'<stop offset="0" stop-color="{first}"/><stop offset="1" stop-color="{second}"/>'
        "</linearGradient>"
        f'<rect x="{x:.3f}" y="{y:.3f}" width="{view_width:.3f}" height="{view_height:.3f}"'
        ' fill="url(#fade)"/>'
        f'<g transform="rotate({angle:.3f} {CENTER[0]} {CENTER[1]})">{drawing}</g></svg>'
    )


def _class(labels: Mapping[str, str | None], attribute: str) -> str:
    """Return the class of an attribute that nothing can hide."""
    value = labels[attribute]
    assert value is not None
    return value


def _photograph(pixels: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Return clean pixels [h, w, 3] in 0..255 as a camera might: light, blur, noise, JPEG."""
    height, width = pixels.shape[:2]
    # Light: from one side, tinted, more or less of it, more or less contrast.
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    direction = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.2) * (np.cos(direction) * x + np.sin(direction) * y)
    light = light[:, :, None] * rng.uniform(0.82, 1.12) * rng.uniform(0.94, 1.06, 3)
    contrast = rng.uniform(0.8, 1.05)
    pixels = (pixels * light - 128) * contrast + 128
    # Lens.
    image = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.9) * height / 108))
    # Sensor.
    noise = rng.normal(0, rng.uniform(0, 6), pixels.shape)
    pixels = np.asarray(image, dtype=np.float64) + noise
    image = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    # Half of them were JPEG files once.
    is_jpeg, jpeg_quality = rng.random() < 0.5, int(rng.integers(60, 96))
    return jpeg(image, jpeg_quality) if is_jpeg else image


def jpeg(image: Image.Image, jpeg_quality: int) -> Image.Image:
    """Return the image after a round through JPEG of the given quality (1 to 95)."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=jpeg_quality)
    return Image.open(buffer).convert("RGB")


def paint_non_portrait(kind: str, height: int, width: int, rng: np.random.Generator) -> Image.Image:
    """Return a picture without a face: one of `NON_PORTRAITS`.

    Args:
        kind: `uniform`, `gradient`, `noise`, `text` (letters) or `shapes` (bars and discs).
        height: pixels.
        width: pixels.
        rng: of what it shows.

    Returns:
        PIL image of mode RGB.
    """
    if kind == "noise":
        return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    image = Image.new("RGB", (width, height), _any_color(rng))
    if kind == "gradient":
        other = Image.new("RGB", image.size, _any_color(rng))
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        share = rng.random()
        mask = 255 * (share * y + (1 - share) * x)
        return Image.composite(image, other, Image.fromarray(mask.astype(np.uint8)))
    draw = ImageDraw.Draw(image)
    if kind == "text":
        size = max(height // 8, 6)
        font = ImageFont.load_default(size)
        for line in range(0, height, size + 2):
            letters = "".join(chr(letter) for letter in rng.integers(ord("A"), ord("Z") + 1, 24))
            draw.text((2, line), letters, fill=_any_color(rng), font=font)
    elif kind == "shapes":
        for _ in range(12):
            left, top = rng.integers(0, width), rng.integers(0, height)
            box = [left, top, left + rng.integers(2, width), top + rng.integers(2, height // 4)]
            paint = draw.rectangle if rng.random() < 0.7 else draw.ellipse
            paint([int(side) for side in box], fill=_any_color(rng))
    elif kind != "uniform":
        raise ValueError(f"kind {kind!r} is none of {', '.join(NON_PORTRAITS)}")
    return image


def _pick(choices: Sequence[Choice], rng: np.random.Generator) -> Choice:
    """Return one of the choices; takes one number from `rng` however many there are."""
    return choices[int(rng.random() * len(choices))]


def _any_color(rng: np.random.Generator) -> str:
    """Return a colour as #rrggbb, neither glaring nor black."""
    return _hex(rng.random(), rng.uniform(0.05, 0.65), rng.uniform(0.3, 0.95))


def _near(color: str, rng: np.random.Generator, shade: float = 1.0) -> str:
    """Return a colour near the given one, both as #rrggbb, made darker by `shade` < 1."""
    rgb = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
    hue = (hue + rng.normal(0, 0.008)) % 1
    return _hex(hue, saturation * rng.uniform(0.8, 1.1), value * rng.uniform(0.88, 1.1) * shade)


def _hex(hue: float, saturation: float, value: float) -> str:
    rgb = colorsys.hsv_to_rgb(hue, min(saturation, 1), min(value, 1))
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in rgb)
