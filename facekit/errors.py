"""The one exception that bad input raises."""


class DataError(Exception):
    """Input that cannot be used; its text is one line: which file or option, found, expected, mend.

    The command groups print it after `error:` and exit with code 1.
    """

    def __str__(self) -> str:
        """Return the text, on one line whatever names and messages it is made of."""
        return "".join(
            one if one.isprintable() else " " if one.isspace() else _escaped(one)
            for one in super().__str__()
        )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
