"""Figures of matplotlib as SVG: the same bytes for the same figure."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

# Names of clip paths follow from it; they would be drawn by chance.
HASH_SALT: "dict[RcKeyType, Any]" = {"svg.hashsalt": "evenface"}


def svg(figure: "Figure", style: "Mapping[RcKeyType, Any]", **options: Any) -> bytes:
    """Return a figure as SVG, without a date in it.

    Args:
        figure: to draw.
        style: settings of matplotlib that it is drawn with.
        options: of `Figure.savefig`; `metadata` may leave out more than the date.
    """
    import matplotlib

    metadata = {"Date": None, **options.pop("metadata", {})}
    data = io.BytesIO()
    with matplotlib.rc_context({**HASH_SALT, **style}):
        figure.savefig(data, format="svg", metadata=metadata, **options)
    return data.getvalue()
