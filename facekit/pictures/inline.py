"""Pictures and figures as text that stands inside one HTML page."""

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import jinja2
import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from facekit.errors import DataError

JPEG_QUALITY = 82
WEBP_QUALITY = 82
# What a figure does not need, or what would act on the rest of the page.
DROPPED_ELEMENTS = {"metadata", "script", "style", "title", "desc", "foreignObject"}
# What matplotlib's <style> says; written on the figure, where it reaches no other.
FIGURE_STYLE = "stroke-linejoin:round;stroke-linecap:butt"


def environment(package: str) -> jinja2.Environment:
    """Return where pages find their templates; text is escaped, a missing value is an error.

    Args:
        package: whose folder `templates` holds them.
    """
    found = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["code"] = code
    return found


def code(text: str) -> Markup:
    """Return a sentence of ours as HTML: what stands between backticks is code."""
    parts = text.split("`")
    assert len(parts) % 2, f"a backtick alone: {text}"
    marked = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    plain = [escape(part) for part in parts[::2]]
    return Markup("").join(one for pair in zip(plain, [*marked, ""], strict=True) for one in pair)


def picture(image: np.ndarray | Path, alt: str, max_width: int = 1100) -> Markup:
    """Return an `<img>` with the picture inside it as a JPEG data URI.

    Args:
        image: uint8 [H, W, 3], or the path of a picture file.
        alt: what it shows.
        max_width: px; wider pictures are scaled down.

    Raises:
        DataError: the file is no readable picture.
    """
    if isinstance(image, Path):
        try:
            with Image.open(image) as file:
                scaled = file.convert("RGB")
        except OSError as error:
            raise DataError(f"{image}: not a readable picture ({error})") from None
    else:
        scaled = Image.fromarray(np.ascontiguousarray(image))
    if scaled.width > max_width:
        height = max(1, round(scaled.height * max_width / scaled.width))
        scaled = scaled.resize((max_width, height), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    scaled.save(data, "JPEG", quality=JPEG_QUALITY, optimize=True)
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return Markup(
        '<img src="data:image/jpeg;base64,{}" alt="{}" width="{}" height="{}" loading="lazy">'
    ).format(text, alt, *scaled.size)


def webp(image: np.ndarray, max_height: int) -> str:
    """Return a picture (uint8 [H, W, 3]) as WebP in base64, at most `max_height` px high."""
    scaled = Image.fromarray(np.ascontiguousarray(image))
    if scaled.height > max_height:
        width = max(1, round(scaled.width * max_height / scaled.height))
        scaled = scaled.resize((width, max_height), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    scaled.save(data, "WEBP", quality=WEBP_QUALITY)
    return base64.b64encode(data.getvalue()).decode("ascii")


def strip(images: Sequence[np.ndarray], alt: str, side: int = 80, gap: int = 4) -> Markup:
    """Return one `<img>` with the pictures (uint8 [H, W, 3]) in a row, each `side` px high."""
    row = [
        Image.fromarray(np.ascontiguousarray(image)).resize(
            (max(1, round(side * image.shape[1] / image.shape[0])), side),
            Image.Resampling.LANCZOS,
        )
        for image in images
    ]
    width = sum(image.width + gap for image in row) - gap
    canvas = Image.new("RGB", (width, side), (128, 128, 128))
    left = 0
    for image in row:
        canvas.paste(image, (left, 0))
        left += image.width + gap
    return picture(np.asarray(canvas), alt, max_width=width)


def svg(path: Path, prefix: str, alt: str) -> Markup:
    """Return a figure's SVG for use inside HTML: no scripts, styles or outside links, own ids.

    Args:
        path: an SVG file.
        prefix: put before every id, so that figures on one page do not refer to each other.
        alt: what it shows.

    Raises:
        DataError: not an SVG file.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: not an SVG file ({error})") from None
    if _local(root.tag) != "svg":
        raise DataError(f"{path}: not an SVG file (found <{_local(root.tag)}>)")
    _clean(root, prefix)
    width, height = root.attrib.pop("width", ""), root.attrib.pop("height", "")
    if "viewBox" not in root.attrib and width and height:
        root.set("viewBox", f"0 0 {_number(width)} {_number(height)}")
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("class", "figure")
    pixels = _number(width) * (4 / 3 if width.endswith("pt") else 1) if width else 640
    root.set("style", f"{FIGURE_STYLE};--width:{pixels:.0f}px")
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=False))


def _clean(element: ElementTree.Element, prefix: str) -> None:
    """Strip namespaces, active and global parts; make ids and references to them the figure's."""
    element.tag = _local(element.tag)
    for name in list(element.attrib):
        value = element.attrib.pop(name)
        name = _local(name)
        if name.startswith("on") or (name == "href" and not value.startswith(("#", "data:image/"))):
            continue
        if name == "id":
            value = f"{prefix}-{value}"
        elif name == "href" and value.startswith("#"):
            value = f"#{prefix}-{value[1:]}"
        elif "url(" in value:
            if not re.search(r"url\(\s*#", value):
                continue
            value = re.sub(r"url\(\s*#", f"url(#{prefix}-", value)
        element.set(name, value)
    for child in list(element):
        if not isinstance(child.tag, str) or _local(child.tag) in DROPPED_ELEMENTS:
            element.remove(child)
        else:
            _clean(child, prefix)


def _local(name: str) -> str:
    """Return a tag or attribute without its namespace."""
    return name.rpartition("}")[2]


def _number(length: str) -> float:
    """Return the number of an SVG length such as `460.8pt`."""
    found = re.match(r"[\d.]+", length)
    assert found is not None  # the figures are our own
    return float(found[0])
