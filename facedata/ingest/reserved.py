"""Names of columns that no attribute may have."""

from collections.abc import Iterable

from facedata.columns import RESERVED
from facekit.errors import DataError


def check_names(names: Iterable[str]) -> None:
    """Check that no attribute has the name of a column of ours.

    Raises:
        DataError: one has.
    """
    taken = sorted(RESERVED.intersection(names))
    if taken:
        raise DataError(f"attribute {taken[0]!r}: the name is taken; all of {sorted(RESERVED)} are")
