"""The one exception that bad input raises."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

MAX_LENGTH = 2000  # characters of a message: values and names of others may have any length
SHOWN_OF_END = 300  # of one that is cut; what to do stands there
MAX_REASON = 300  # characters of what a library's error says


class DataError(Exception):
    """Input that cannot be used; its text is one line: which file or option, found, expected, mend.

    The command groups print it after `error:` and exit with code 1.
    """

    def __str__(self) -> str:
        """Return the text, on one line and not too long whatever it is made of."""
        text = super().__str__()
        if len(text) > MAX_LENGTH:
            text = f"{text[: MAX_LENGTH - SHOWN_OF_END]} ... {text[-SHOWN_OF_END:]}"
        return "".join(
            one if one.isprintable() else " " if one.isspace() else _escaped(one) for one in text
        )


class Mendable(DataError):
    """Input that cannot be used as asked, where what to do depends on the command that asks.

    Attributes:
        found: what is wrong, without what to do.
    """

    def __init__(self, found: str, mend: str) -> None:
        """Say what is wrong, and what to do in the command that this belongs to."""
        super().__init__(f"{found}; {mend}")
        self.found = found


def reason_of(error: object) -> str:
    """Return what another program's error says, on one line and not too long."""
    return " ".join(str(error).split())[:MAX_REASON]


def place_of(error: "ValidationError") -> str:
    """Return where in a file's values the first thing is wrong, such as `hair.per_class.red`."""
    return ".".join(map(str, error.errors()[0]["loc"]))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


class WriteError(DataError):
    """A file that the system does not let be written; a caller may know where else it could lie."""
