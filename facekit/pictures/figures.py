"""Figures of matplotlib as SVG: the same bytes for the same figure."""

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.pictures.lettering import lacks, visible
from facekit.storage import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

OF_ALL: "dict[RcKeyType, Any]" = {
    "svg.hashsalt": "evenface",  # names of clip paths follow from it; they would be drawn by chance
    "text.parse_math": False,  # a class called `$a$` is no formula
}
MISSING_LETTER = r"Glyph \d+ .* missing from font"  # it is looked for, and text is text
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # characters that XML has not
DIGITS = 5  # of a position of axes, as a share of the figure


def save_svg(
    figure: "Figure", path: Path, style: "Mapping[RcKeyType, Any]", **options: Any
) -> None:
    """Write a figure as SVG, atomically, without a date in it; no text is read as a formula.

    Where matplotlib's font lacks a letter, text is written as text, for whoever looks at the file.

    Args:
        figure: to draw.
        path: of the file.
        style: settings of matplotlib that it is drawn with.
        options: of `Figure.savefig`; `metadata` may leave out more than the date.
    """
    import matplotlib
    from matplotlib.text import Text

    metadata = {"Date": None, **options.pop("metadata", {})}
    data = io.BytesIO()
    found = {"svg.fonttype": "path", **OF_ALL, **style}
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        if lacks(text.get_text()):
            found["svg.fonttype"] = "none"
    with matplotlib.rc_context(found), warnings.catch_warnings():
        warnings.filterwarnings("ignore", MISSING_LETTER)
        _settle(figure)
        figure.savefig(data, format="svg", metadata=metadata, **options)
    files.write_bytes(CONTROL.sub(_escaped, data.getvalue()), path)


def _escaped(found: re.Match[bytes]) -> bytes:
    return visible(found[0].decode()).encode()


def _settle(figure: "Figure") -> None:
    """Lay a figure out, and round where its axes are: the solver's last digits vary."""
    if figure.get_layout_engine() is None:
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        found = axes.get_position(original=True).bounds
        axes.set_position((*(round(one, DIGITS) for one in found),))
