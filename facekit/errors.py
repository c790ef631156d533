"""The one exception that bad input raises."""


class DataError(Exception):
    """Input that cannot be used; its text is one line: which file or option, found, expected, mend.

    The command groups print it after `error:` and exit with code 1.
    """
