"""Adapter `file_names`: the labels are parts of the names of files, or of the folders above them.

`{age}_{gender}_{}.jpg` reads `41_female_0001.jpg`; `{gender}/{age}_{}.png` a folder, too.
"""

import re
from pathlib import Path

from pydantic import model_validator

from facedata.ingest.adapters import ADAPTERS, Ingested
from facedata.ingest.adapters.table import Labelled
from facekit.options import Text, option

FIELD = re.compile(r"\{([^{}/]*)\}")
SUFFIX = re.compile(r"(\.[A-Za-z0-9]+)\Z")


def fields_of(pattern: str) -> list[str]:
    """Return the names of a pattern's fields, in their order; `{}` has none."""
    return [name for name in FIELD.findall(pattern) if name]


def matcher(pattern: str) -> re.Pattern[str]:
    """Return the expression of a pattern: whole names, from as many folders as it has slashes.

    A field takes as few characters as it can, at least one, and no slash. The suffix is read
    whatever its case.

    Raises:
        ValueError: no field has a name, or two have the same.
    """
    names = fields_of(pattern)
    if not names:
        raise ValueError(f"{pattern!r} has no field such as {{age}}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{pattern!r} has {{{twice}}} twice")
    stem, suffix, _ = SUFFIX.split(pattern) if SUFFIX.search(pattern) else (pattern, "", "")
    parts = FIELD.split(stem)  # texts and names by turns
    expression = re.escape(parts[0])
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        expression += ("([^/]+?)" if name else "[^/]+?") + re.escape(text)
    return re.compile(rf"(?:.*/)?{expression}(?i:{re.escape(suffix)})", re.DOTALL)


@ADAPTERS.register("file_names")
class FileNames(Labelled):
    """Pictures whose names tell their labels."""

    pattern: Text = option(
        "{label}_{}.jpg",
        "How files are called: a name in braces is a column, {} is passed over; with slashes, the"
        " folders above are part of it.",
    )

    @model_validator(mode="after")
    def _has_fields(self) -> "FileNames":
        try:
            matcher(self.pattern)
        except ValueError as error:
            raise ValueError(f"pattern: {error}") from None
        known = fields_of(self.pattern)
        named = {
            "group_column": self.group_column,
            "split_column": self.split_column,
            **{f"attributes[{i}].column": one.column for i, one in enumerate(self.attributes)},
        }
        for key, name in named.items():
            if name is not None and name not in known:
                raise ValueError(f"{key}: {name!r} is no field of {self.pattern!r}, found {known}")
        return self

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Read the names of all pictures below the root; reject those that are called otherwise.

        Raises:
            DataError: no picture is called so.
        """
        from facedata.ingest import name_rows

        return name_rows.read_names(self, root)
