"""Figures of matplotlib as SVG: the same bytes for the same figure."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.storage import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

# Names of clip paths follow from it; they would be drawn by chance.
HASH_SALT: "dict[RcKeyType, Any]" = {"svg.hashsalt": "evenface"}


def save_svg(
    figure: "Figure", path: Path, style: "Mapping[RcKeyType, Any]", **options: Any
) -> None:
    """Write a figure as SVG, atomically, without a date in it.

    Args:
        figure: to draw.
        path: of the file.
        style: settings of matplotlib that it is drawn with.
        options: of `Figure.savefig`; `metadata` may leave out more than the date.
    """
    import matplotlib

    metadata = {"Date": None, **options.pop("metadata", {})}
    data = io.BytesIO()
    with matplotlib.rc_context({**HASH_SALT, **style}):
        figure.savefig(data, format="svg", metadata=metadata, **options)
    files.write_bytes(data.getvalue(), path)
