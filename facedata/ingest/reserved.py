"""Names of columns that no attribute may have."""

from collections.abc import Iterable

from facekit.errors import DataError

# What a table says of an image beside its attributes.
FIXED_COLUMNS = (
    "image_id",
    "table_row",
    "path",
    "group",
    "official_split",
    "row",
    "cluster",
    "weight",
    "flags",
    "pixel_hash",
    "split",
    "fold",
)
# With the columns that other tables (packs, samples, deficits, predictions) have beside them.
RESERVED = frozenset(FIXED_COLUMNS) | {
    *("class", "name", "count", "deficit", "arm", "seed", "psi", "accepted", "reason"),
    *("teacher_probability", "nearest_distance"),
}


def check_names(names: Iterable[str]) -> None:
    """Check that no attribute has the name of a column of ours.

    Raises:
        DataError: one has.
    """
    taken = sorted(RESERVED.intersection(names))
    if taken:
        raise DataError(f"attribute {taken[0]!r}: the name is taken; all of {sorted(RESERVED)} are")
