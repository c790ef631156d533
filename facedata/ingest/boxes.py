"""Boxes around faces as tables have them: names of columns, texts of four numbers, their forms.

It imports nothing that is slow: settings are checked before every run and every job.
"""

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from facedata.ingest.numbers import read_number
from facekit.spelling import plain

Form = Literal["size", "corners", "centre"]
Unit = Literal["px", "share"]
Four = tuple[float, float, float, float]
FORMS: Mapping[Form, str] = {
    "size": "left, top, width, height",
    "corners": "left, top, right, bottom",
    "centre": "x and y of the centre, width, height",
}
# Words in the names of columns that say what has the box.
OWNERS = frozenset(
    {"face", "faces", "facial", "head", "bbox", "bb", "box", "boxes", "bounding", "rect"}
    | {"rectangle", "roi", "region", "detection", "det", "annotation", "ann", "crop"}
)
PARTS = re.compile(r"[A-Za-z]+|\d+")
BETWEEN = re.compile(r"[\s,;|x]+")
BRACKETS = str.maketrans("()[]{}", " " * 6)
CORNERS = re.compile(r"[\[(]\s*[\[(][^\])]*[\])][^\[(]*[\[(][^\])]*[\])]\s*[\])]")
# How an index names a box (`cut.WAYS`): in pixels, or in shares of the photograph's sides.
PIXELS = ("left", "top", "width", "height")
SHARES = ("left_share", "top_share", "width_share", "height_share")


def _names() -> dict[tuple[str, ...], Form]:
    """Return the four names that sides of a box go by, and the form that they mean."""
    found: dict[tuple[str, ...], Form] = {}
    corners = ["x1 y1 x2 y2", "x0 y0 x1 y1", "xmin ymin xmax ymax", "minx miny maxx maxy"]
    corners += ["left top right bottom", "l t r b", "x y x2 y2", "startx starty endx endy"]
    corners += ["xtl ytl xbr ybr", "tlx tly brx bry", "xstart ystart xend yend"]
    found |= {tuple(names.split()): "corners" for names in corners}
    sizes = [("w", "h"), ("width", "height"), ("bw", "bh")]
    centres = ["cx cy", "xc yc", "centerx centery", "xcenter ycenter", "centrex centrey"]
    centres += ["xcentre ycentre", "midx midy"]
    starts = ["x y", "x1 y1", "x0 y0", "left top", "xmin ymin", "l t", "topleftx toplefty"]
    of_starts: list[tuple[Form, list[str]]] = [("centre", centres), ("size", starts)]
    for form, places in of_starts:
        for place, size in itertools.product(places, sizes):
            found[(*place.split(), *size)] = form
    return found


NAMES = _names()


def key_of(name: str) -> str:
    """Return a column's name without what has the box: `bbox_x_1` and `faceX1` are `x1`."""
    words = PARTS.findall(re.sub(r"([a-z])([A-Z])", r"\1 \2", name))
    return "".join(word for word in map(str.casefold, words) if word not in OWNERS)


def named(names: Iterable[str]) -> tuple[tuple[str, ...], Form] | None:
    """Return the four columns that are a box by their names, and its form; None: there are none.

    Names of several points, such as of landmarks (x1, y1, x2, y2, x3, y3), are none.
    """
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(key_of(name), []).append(name)
    if "x3" in by_key or {"x0", "x1", "x2"} <= by_key.keys():
        return None
    for keys, form in NAMES.items():
        if all(key in by_key for key in keys):
            return tuple(_owned(by_key[key]) for key in keys), form
    return None


def _owned(names: Sequence[str]) -> str:
    """Return the name that says most plainly that it is of a face's box."""
    return max(names, key=lambda name: ("face" in name.casefold(), len(name)))


def is_owner(name: str) -> bool:
    """Return whether a column is called as a whole box is: bbox, face_rect."""
    return bool(PARTS.findall(name)) and not key_of(name)


def read(text: str) -> tuple[Four, Form | None] | None:
    """Return the four numbers of a box in one cell, and its form where the text says it.

    Args:
        text: `12 30 50 60`, `12,30,50,60`, JSON of a list, of two corners or of names with numbers,
            or what Python prints of them.

    Returns:
        None for anything else, also for several boxes.
    """
    text = plain(text).strip()
    if ":" in text:
        return _of_names(text)
    numbers = [read_number(one) for one in BETWEEN.split(text.translate(BRACKETS).strip())]
    four = _four(numbers)
    return None if four is None else (four, "corners" if CORNERS.fullmatch(text) else None)


def _four(numbers: Sequence[float | None]) -> Four | None:
    known = [number for number in numbers if number is not None and math.isfinite(number)]
    if len(known) != 4 or len(numbers) != 4:
        return None
    first, second, third, fourth = known
    return first, second, third, fourth


def _of_names(text: str) -> tuple[Four, Form | None] | None:
    """Return the box of JSON, or of what Python prints, that has a name for each number."""
    try:
        values = json.loads(text.replace("'", '"'))
    except ValueError:
        return None
    if not isinstance(values, dict) or (chosen := named(values)) is None:
        return None
    names, form = chosen
    four = _four([_number(values[name]) for name in names])
    return None if four is None else (four, form)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return read_number(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def to_size(values: Any, form: Form) -> Any:
    """Return boxes as left, top, width, height.

    Args:
        values: float64 [n, 4], of a form.
        form: of them.
    """
    first, last = values[:, :2], values[:, 2:]
    found = values.copy()
    if form == "corners":
        found[:, 2:] = last - first
    elif form == "centre":
        found[:, :2] = first - last / 2
    return found
