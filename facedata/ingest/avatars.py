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
from scipy import ndimage

from facedata.ingest.adapters.avatars import Style

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

TINT = 0.3  # at full difficulty a light gives a channel up to this share more or less

NON_PORTRAITS = ("uniform", "gradient", "noise", "text", "shapes")


def paint_portrait(
    labels: Mapping[str, str | None],
    height: int,
    width: int,
    rng: np.random.Generator,
    difficulty: float = 0.0,
    style: Style = "plain",
) -> Image.Image:
    """Return a portrait that shows the labels; everything else about it is drawn from `rng`.

    Another class of one attribute changes nothing else, nor does another difficulty or style change
    parts, colours of parts, or background.

    Args:
        labels: class of hair_color (None under headwear), glasses, facial_hair, headwear, mouth
            (None under a moustache).
        height: pixels.
        width: pixels.
        rng: of parts, colours, pose, light and noise.
        difficulty: 0 to 1: how far pose, light, lens and sensor go; the light's colour and shadows
            then make a hair colour look like another, which skin and background give away.
        style: `plain` as the artwork is; `sketch` as crayons on paper would draw it.

    Returns:
        PIL image of mode RGB.
    """
    extra = rng.spawn(1)[0]  # leaves what is drawn from `rng` as it is without difficulty
    svg = _portrait_svg(labels, height, width, rng, difficulty)
    data = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)
    pixels = np.asarray(Image.open(io.BytesIO(bytes(data))).convert("RGB"), dtype=np.float64)
    if style == "sketch":
        pixels = _sketch(pixels, extra)
    return _photograph(pixels, rng, difficulty, extra)


def _portrait_svg(
    labels: Mapping[str, str | None],
    height: int,
    width: int,
    rng: np.random.Generator,
    difficulty: float,
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
    far = 1 + difficulty  # a plain pose goes so far
    view_height = VIEW_HEIGHT / rng.uniform(0.92 - 0.2 * difficulty, 1.12 + 0.1 * difficulty)
    view_width = view_height * width / height
    x = CENTER[0] + rng.uniform(-0.05 * far, 0.05 * far) * view_height - view_width / 2
    y = CENTER[1] + rng.uniform(-0.04 * far, 0.04 * far) * view_height - view_height / 2
    angle = rng.uniform(-8 * far, 8 * far)

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


def _sketch(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return clean pixels [h, w, 3] in 0..255 as crayons on paper: outlines, strokes, pale colours.

    Another width of lines, direction of strokes and paper in every picture.
    """
    height, width = pixels.shape[:2]
    unit = height / 108
    # Colours that do not keep to the outlines, laid thinly on paper.
    paper = rng.uniform(225, 250) * rng.uniform(0.96, 1.0, 3)
    flat = ndimage.gaussian_filter(pixels, (1.2 * unit, 1.2 * unit, 0))
    cover = np.full((height, width), rng.uniform(0.75, 0.95))
    # Strokes in one direction leave stripes of paper.
    y, x = np.mgrid[:height, :width]
    angle, spacing = rng.uniform(0, np.pi), rng.uniform(3, 5) * unit
    across = np.cos(angle) * x + np.sin(angle) * y
    wobble = ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), 4 * unit) * 12 * unit
    cover = cover * (0.8 + 0.2 * np.cos(2 * np.pi * (across + wobble) / spacing))
    drawn = paper + (flat - paper) * cover[:, :, None]
    # Outlines, in one dark pencil.
    gray = pixels.mean(axis=2)
    thin = rng.uniform(0.4, 0.7) * unit
    edges = ndimage.gaussian_gradient_magnitude(gray, thin) * unit  # [h, w], per 1/108 of h
    line = np.clip(edges / rng.uniform(30, 50), 0, 0.8)[:, :, None]
    pencil = rng.uniform(20, 70) * rng.uniform(0.9, 1.1, 3)
    return drawn + (pencil - drawn) * line


def _photograph(
    pixels: np.ndarray, rng: np.random.Generator, difficulty: float, extra: np.random.Generator
) -> Image.Image:
    """Return clean pixels [h, w, 3] in 0..255 as a camera might: light, blur, noise, JPEG.

    `rng` gives as many numbers whatever the difficulty; `extra` is for what difficulty adds.
    """
    height, width = pixels.shape[:2]
    # Light: from one side, tinted, more or less of it, more or less contrast.
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    direction = rng.uniform(0, 2 * np.pi)
    side = rng.uniform(0, 0.2 + 0.3 * difficulty)
    light = 1 + side * (np.cos(direction) * x + np.sin(direction) * y)
    dark, cast = 0.82 - 0.3 * difficulty, 0.06 + TINT * difficulty
    light = light[:, :, None] * rng.uniform(dark, 1.12) * rng.uniform(1 - cast, 1 + cast, 3)
    if difficulty:
        light = light * _lights(x, y, difficulty, extra)
    contrast = rng.uniform(0.8 - 0.3 * difficulty, 1.05)
    pixels = (pixels * light - 128) * contrast + 128
    # Lens.
    image = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.9 + difficulty) * height / 108))
    # Sensor.
    noise = rng.normal(0, rng.uniform(0, 6 + 10 * difficulty), pixels.shape)
    pixels = np.asarray(image, dtype=np.float64) + noise
    image = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    # Half of them were JPEG files once.
    is_jpeg, jpeg_quality = rng.random() < 0.5, int(rng.integers(60, 96))
    return jpeg(image, jpeg_quality) if is_jpeg else image


def _lights(
    x: np.ndarray, y: np.ndarray, difficulty: float, rng: np.random.Generator
) -> np.ndarray:
    """Return what two more lights of other colours, and a shadow, make of the light, [h, w, 3]."""
    # Lamps of two colours on opposite sides.
    direction = rng.uniform(0, 2 * np.pi)
    cast = TINT * difficulty
    first, second = rng.uniform(1 - cast, 1 + cast, (2, 3))
    share = ((1 + (np.cos(direction) * x + np.sin(direction) * y) / np.sqrt(2)) / 2)[:, :, None]
    lights = first + (second - first) * share
    # A soft shadow over the part beyond a line, in one picture of two at most.
    direction, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6)
    depth, width = rng.uniform(0.2, 0.7), rng.uniform(0.05, 0.4)
    if rng.random() < difficulty / 2:
        beyond = (np.cos(direction) * x + np.sin(direction) * y - place) / width
        lights = lights * (1 - depth / (1 + np.exp(-4 * beyond)))[:, :, None]
    return lights


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
