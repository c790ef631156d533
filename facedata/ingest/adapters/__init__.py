"""Adapters: one published layout each, read into the tables that all stages share.

An adapter is a class in a module of its own here: its fields are the config's `ingest.<adapter>`,
its methods tell what there will be and read it. The modules import nothing that is slow: settings
are checked before every run and every job.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from facedata.ingest.reserved import check_names
from facekit.errors import DataError
from facekit.options import Options, Share, option
from facekit.registry import Registry

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Ingested:
    """What an adapter makes of a data set.

    Attributes:
        index: one row an image: image_id (unique), table_row (Int64, from 1), path (relative to
            the root, posix), group, official_split, then the attributes: category columns in class
            order, or float64 for numeric ones; missing = NA.
        rejected: image_id, table_row (NA for a file without a row), reason, detail: what of the
            table or the folder is not in `index`.
        notes: image_id, attribute, given, note: values repaired or set missing in `index`.
        passed_over: paths of what is no part of the data set, or cannot be read, by why: see
            `facekit.storage.walking.Files`.
        named: where a table may have a row for each of a photograph's faces: which one each row of
            `index` means, as `cut.WAYS` has it, NaN where it does not say; the index then may have
            several rows of a path, and of an image_id. None: rows are of whole photographs.
        said: what else is to be told of them, in words.
    """

    index: pd.DataFrame
    rejected: pd.DataFrame
    notes: pd.DataFrame
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    named: pd.DataFrame | None = None
    said: Sequence[str] = ()


class Adapter(Options):
    """How a data set of one layout is read; the fields are its settings."""

    needs_root: ClassVar[bool] = True  # whether the data set has a folder of its own

    max_left_out: Share = option(
        0.5,
        "Most of the rows and files, and of the labels of an attribute, that may be left out or set"
        " missing, as a share; more stops the stage.",
    )

    @abstractmethod
    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attributes that there will be, in column order, each with its classes.

        None stands for a numeric attribute, an empty list for classes that are known only when the
        data set is read.

        Raises:
            DataError: the settings name no attributes.
        """

    def ranges(self) -> dict[str, tuple[float | None, float | None]]:
        """Return the least and largest value of numeric attributes; None: no limit."""
        return {}

    def may_have_official_split(self) -> bool:
        """Return whether images may come with an official split."""
        return False

    def names_faces(self) -> bool:
        """Return whether rows may be of faces, several of a photograph, that are to be cut out."""
        return False

    def check_faces(self, use_cut: bool) -> None:
        """Check that faces are cut out where rows name them, and out of photographs alone.

        Args:
            use_cut: whether they are cut out.

        Raises:
            DataError: they do not fit together.
        """
        if use_cut and not self.needs_root:
            raise DataError("faces: cut, but this adapter draws its pictures; expected keep")
        if self.names_faces() and not use_cut:
            raise DataError("faces: keep, but columns of the table name faces; expected cut")

    def place_of_map(self, name: str) -> tuple[str, str] | None:
        """Return where a map of an attribute's labels belongs, and what these are from.

        Args:
            name: of the attribute.

        Returns:
            A key of the settings, and the name of the column; None where it takes no map.
        """
        return None

    def derivations(self) -> list[dict[str, Any]]:
        """Return the attributes that follow from others, for `facedata.ingest.derived`."""
        return []

    def tables(self, root: Path) -> list[Path]:
        """Return the files whose edit makes the index anew: tables, not images.

        Args:
            root: folder of the data set.

        Raises:
            DataError: a table that the layout must have is not there.
        """
        return []

    @abstractmethod
    def ingest(self, root: Path, seed: int) -> Ingested:
        """Read the data set, or draw it.

        Args:
            root: folder of the data set.
            seed: of what is drawn; an adapter that reads ignores it.

        Raises:
            DataError: a data set that cannot be used.
        """

    def given_attributes(self) -> list[str]:
        """Return the names of the attributes that do not follow from others, in column order."""
        followers = {item["name"] for item in self.derivations()}
        return [name for name in self.class_lists() if name not in followers]


ADAPTERS: Registry[type[Adapter]] = Registry("adapter", __name__)


def read(adapter: str, settings: Mapping[str, Any]) -> Adapter:
    """Return an adapter with its settings.

    Args:
        adapter: one of `ADAPTERS`.
        settings: the config's `ingest.<adapter>`; what lacks gets its default.

    Raises:
        DataError: no such adapter, settings that make no sense, or an attribute with the name of
            another column.
    """
    found = ADAPTERS[adapter].read(settings, f"settings of {adapter}")
    check_names(found.class_lists())
    return found


def present(path: Path) -> Path:
    """Return the path of a table.

    Raises:
        DataError: it is not there.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; check dataset_root, config/README.md tells what lies there"
        )
    return path
