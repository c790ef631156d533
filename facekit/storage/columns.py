"""Columns of the tables that stages hand one another: declared once, checked when they are read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from facekit.errors import DataError

# What a file may hold, in words of `arrow.kind_of`, for a column of each dtype of pandas.
KINDS = {
    "str": {"str"},
    "category": {"str"},
    "bool": {"bool"},
    "int64": {"int64"},
    "Int64": {"int64"},
    "UInt64": {"int64"},
    "float64": {"float64", "int64"},
}
COMPLETE = ("bool", "int64")  # dtypes without a missing value
NOTHING = "nothing"  # the kind of a column without any value


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: as the file has it; with a `*` for each of several columns, such as `*_left`.
        dtype: pandas' name, a key of KINDS. Only str, category, Int64, UInt64 and float64 can be
            missing.
        meaning: for people, with unit and range, and what it means that a value is missing.
        choices: all that a text may be; empty: anything.
        optional: whether a file may lack the column.
    """

    name: str
    dtype: str
    meaning: str
    choices: tuple[str, ...] = ()
    optional: bool = False

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for several columns."""
        return "*" in self.name


@dataclass(frozen=True)
class Table:
    """A table in a file.

    Attributes:
        name: of the file.
        made_by: the command that writes it.
        about: what a row is, for people.
        columns: in the order of the file.
        more: what further columns may follow, for people; empty: none.
        more_dtypes: of these; empty: any.
    """

    name: str
    made_by: str
    about: str
    columns: tuple[Column, ...]
    more: str = ""
    more_dtypes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the columns that are declared one by one."""
        return [one.name for one in self.columns if not one.is_pattern]

    @property
    def needed(self) -> list[str]:
        """Names of the columns that must be there."""
        return [one.name for one in self.columns if not (one.is_pattern or one.optional)]

    @property
    def again(self) -> str:
        """What to do about a file that is wrong."""
        return f"make it again with `{self.made_by}`"

    def find(self, name: str) -> Column | None:
        """Return the declaration of a column; None for one that is not declared."""
        for one in self.columns:
            if name == one.name:
                return one
        patterns = (one for one in self.columns if one.is_pattern)
        return next((one for one in patterns if fnmatchcase(name, one.name)), None)

    def dtypes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the dtype of each of some declared columns."""
        found = {name: self.find(name) for name in names}
        return {name: one.dtype for name, one in found.items() if one is not None}

    def check_names(
        self, path: Path, found: Sequence[str], wanted: Iterable[str] | None = None
    ) -> None:
        """Check that columns are there.

        Args:
            path: the file, for the message.
            found: names of its columns.
            wanted: that must be there; None for all that are declared and not optional.

        Raises:
            DataError: one is missing.
        """
        must = self.needed if wanted is None else list(wanted)
        missing = [name for name in must if name not in found]
        if missing:
            raise DataError(f"{path}: no column {missing}, found {list(found)}; {self.again}")

    def check_kinds(self, path: Path, kinds: Mapping[str, str]) -> None:
        """Check that columns hold what they are declared to.

        Args:
            path: the file, for the message.
            kinds: by name what each holds, in words of `facekit.storage.arrow.kind_of`.

        Raises:
            DataError: one holds something else.
        """
        for name, kind in kinds.items():
            one = self.find(name)
            if one is not None and kind not in KINDS[one.dtype] | {NOTHING}:
                raise DataError(
                    f"{path}: column {name} is {kind}, expected {one.dtype}; {self.again}"
                )

    def check_more(self, path: Path, name: str, dtype: str) -> None:
        """Check that a further column holds what such may.

        Args:
            path: the file, for the message.
            name: of the column, which is not declared.
            dtype: that it has; NOTHING: no value.

        Raises:
            DataError: it holds something else.
        """
        if self.more_dtypes and dtype not in (*self.more_dtypes, NOTHING):
            raise DataError(
                f"{path}: column {name} is {dtype}, expected {' or '.join(self.more_dtypes)} (was"
                f" the file written by another program, or as CSV?); {self.again}"
            )

    def check_complete(self, path: Path, name: str, num_missing: int) -> None:
        """Check that no value of a column is missing whose dtype has none for that.

        Args:
            path: the file, for the message.
            name: of the column.
            num_missing: values that are missing.

        Raises:
            DataError: some are.
        """
        one = self.find(name)
        if num_missing and one is not None and one.dtype in COMPLETE:
            raise DataError(
                f"{path}: column {name} lacks {num_missing} values, expected {one.dtype} in every"
                f" row; {self.again}"
            )

    def check_values(self, path: Path, name: str, found: Iterable[str]) -> None:
        """Check that a column holds no other texts than it may.

        Args:
            path: the file, for the message.
            name: of the column.
            found: each text once, missing ones left out.

        Raises:
            DataError: it holds another.
        """
        one = self.find(name)
        strange = sorted(set(found).difference(one.choices)) if one and one.choices else []
        if strange:
            expected = ", ".join(one.choices) if one else ""
            raise DataError(
                f"{path}: column {name} holds {strange[0]!r}, expected {expected}; {self.again}"
            )


def names_of(tables: Iterable[Table]) -> frozenset[str]:
    """Return the names of all columns of some tables."""
    return frozenset(name for one in tables for name in one.names)
