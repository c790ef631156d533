"""Letters on pictures: names in any language, in a font that has their letters."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from unicodedata import category

from PIL import ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
OWN = "fonts/ttf/DejaVuSans.ttf"  # of matplotlib's data: Latin, Greek, Cyrillic, Arabic, Hebrew


class Letters:
    """A font that has the letters of some texts; those that no font here has become escapes.

    Plain English keeps Pillow's own font, which has no other letters, not even é.

    Attributes:
        font: that they are written in.
    """

    def __init__(self, texts: Iterable[str], size: float) -> None:
        """Find the font.

        Args:
            texts: all that will be written.
            size: of the letters in pixels.
        """
        wanted = frozenset(ord(one) for text in texts for one in text if not one.isspace())
        self.font: Font = ImageFont.load_default(size)
        self._has = frozenset(range(0x20, 0x7F))
        if wanted <= self._has:
            return
        best: Path | None = None
        for path in _fonts():
            has = _letters_of(path)
            if best is None or len(wanted & has) > len(wanted & self._has):
                best, self._has = path, has
            if wanted <= has:
                break
        assert best is not None  # matplotlib's own is always there
        self.font = ImageFont.truetype(best, size)

    def shown(self, text: str) -> str:
        """Return a text as it is written: what the font lacks as escapes such as `\\u94f6`."""
        return "".join(
            one if one.isspace() or ord(one) in self._has else _escaped(one)
            for one in visible(text)
        )

    def width(self, text: str) -> int:
        """Return how many pixels the longest line of a text takes."""
        lines = self.shown(text).split("\n")
        return max(int(self.font.getlength(line)) for line in lines)


def visible(text: str) -> str:
    """Return a text with its control characters as escapes, but for line breaks: XML has none."""
    return "".join(_escaped(one) if category(one) == "Cc" and one != "\n" else one for one in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def one_line(text: str) -> str:
    """Return a text without line breaks."""
    return " ".join(text.split())


def lacks(text: str) -> bool:
    """Tell whether matplotlib's own font lacks a letter of a text."""
    has = _letters_of(_own())
    return any(ord(one) not in has for one in text if not one.isspace())


def _fonts() -> Iterator[Path]:
    """Yield matplotlib's font, then those of this machine."""
    from matplotlib import font_manager

    yield _own()
    for path in sorted(font_manager.findSystemFonts()):
        if _letters_of(Path(path)):
            yield Path(path)


def _own() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path(), OWN)


@cache
def _letters_of(path: Path) -> frozenset[int]:
    """Return the letters that a font has; none of one that cannot be scaled or read."""
    from matplotlib.ft2font import FT2Font

    try:
        ImageFont.truetype(path, 10)
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
