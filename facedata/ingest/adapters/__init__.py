"""Adapters: one published layout each, read into the tables that all stages share.

An adapter is a class in a module of its own here: its fields are the config's `ingest.<adapter>`,
its methods tell what there will be and read it. The modules import nothing that is slow: settings
are checked before every run and every job.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from facedata.ingest.reserved import check_names
from facekit.errors import DataError
from facekit.options import Options
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
    """

    index: pd.DataFrame
    rejected: pd.DataFrame
    notes: pd.DataFrame


class Adapter(Options):
    """How a data set of one layout is read; the fields are its settings."""

    needs_root: ClassVar[bool] = True  # whether the data set has a folder of its own

    @abstractmethod
    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attributes that there will be, in column order, each with its classes.

        None stands for a numeric attribute, an empty list for classes that are known only when the
        data set is read.

        Raises:
            DataError: the settings name no attributes.
        """

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
