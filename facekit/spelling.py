"""How texts are written: Unicode forms, characters that nobody sees, numbers of things."""

import unicodedata


def plain(text: str) -> str:
    """Return text in one Unicode form (NFC), without characters that take no place.

    These are byte order marks, zero-width spaces and joiners, soft hyphens and marks of direction
    (category Cf).
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    return "".join(one for one in text if unicodedata.category(one) != "Cf")


def count(num: int, noun: str) -> str:
    """Return a number and its noun, such as `2 rounds`."""
    return f"{num:,} {noun}{'s' * (num != 1)}"
