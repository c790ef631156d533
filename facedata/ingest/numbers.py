"""Numbers as people write them in tables."""

import re
from collections.abc import Iterable

from facekit.spelling import plain

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
WITH_COMMA = re.compile(r"[+-]?\d+,(\d+)", re.ASCII)
THOUSANDS = 3  # digits behind a comma that may as well part thousands


def read_number(text: str) -> float | None:
    """Return a plain number, which may be infinite where it is too large; None if it is none."""
    text = plain(text).strip()
    return float(text) if NUMBER.fullmatch(text) else None


def has_decimal_commas(texts: Iterable[str]) -> bool:
    """Return whether commas stand for decimal points in a column.

    They do where a number has other than three digits behind its comma, and no number has a point:
    `1,020` alone may be a thousand and twenty.
    """
    tails = set()
    for text in texts:
        text = plain(text).strip()
        if found := WITH_COMMA.fullmatch(text):
            tails.add(len(found[1]))
        elif "." in text and NUMBER.fullmatch(text):
            return False
    return bool(tails - {THOUSANDS})
