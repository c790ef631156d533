"""Sizes that pictures are brought to."""

from typing import Literal

from facekit.options import Count, Options, Pixels, option


class Canvas(Options):
    """A size in pixels, and how pictures of other sizes are fitted into it."""

    height: Count = option(..., "Height.", unit="px")
    width: Count = option(..., "Width.", unit="px")
    fit: Literal["pad", "crop", "stretch"] = option(
        "pad",
        "Keep the whole picture between black bars (pad, can be undone), fill the size and cut what"
        " sticks out on both sides (crop), or ignore the aspect (stretch).",
    )


class Geometry(Canvas):
    """A packed size, and how pictures of other sizes are fitted into it."""

    height: Pixels = option(..., "Height.", unit="px")
    width: Pixels = option(..., "Width.", unit="px")
