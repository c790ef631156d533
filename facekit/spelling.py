"""Texts that look alike are alike: Unicode forms, and characters that nobody sees."""

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
